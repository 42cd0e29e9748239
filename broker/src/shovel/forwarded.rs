//! The header `x-shovelled`: an array of tables, of which each shovel puts its own in front, as RabbitMQ's does.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};

use super::flags::ShovelCommand;
use super::node::Node;

const HEADER: &str = "x-shovelled";

/// What this shovel says of every message between these nodes.
pub(super) fn entry(command: &ShovelCommand, from: &Node, to: &Node) -> FieldTable {
    let mut entry = FieldTable::default();
    let mut put = |name: &str, value: &str| {
        entry.insert(name.into(), AMQPValue::LongString(value.into()));
    };
    put("shovelled-by", "broker shovel");
    put("shovel-type", "static");
    put("src-uri", &from.to_string());
    put("src-queue", &command.from_queue);
    put("dest-uri", &to.to_string());
    match (&command.to_queue, &command.to_exchange) {
        (Some(queue), _) => put("dest-queue", queue),
        (None, exchange) => put("dest-exchange", exchange.as_deref().unwrap_or_default()),
    }
    if let Some(key) = &command.to_key {
        put("dest-exchange-key", key);
    }
    entry
}

/// The properties with `entry` before what other shovels have said.
pub(super) fn with_entry(properties: BasicProperties, entry: &FieldTable) -> BasicProperties {
    let mut headers = properties.headers().clone().unwrap_or_default();
    let mut entries = vec![AMQPValue::FieldTable(entry.clone())];
    if let Some(AMQPValue::FieldArray(before)) = headers.inner().get(HEADER) {
        entries.extend(before.as_slice().iter().cloned());
    }
    headers.insert(HEADER.into(), AMQPValue::FieldArray(FieldArray::from(entries)));
    properties.with_headers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_shovel_stands_in_front_and_other_headers_stay() {
        let said = |word: &str| {
            let mut table = FieldTable::default();
            table.insert("by".into(), AMQPValue::LongString(word.into()));
            table
        };
        let mut headers = FieldTable::default();
        headers.insert("own".into(), AMQPValue::Boolean(true));
        let properties = BasicProperties::default().with_headers(headers).with_priority(3);
        let properties = with_entry(with_entry(properties, &said("first")), &said("second"));
        assert_eq!(*properties.priority(), Some(3));
        let headers = properties.headers().clone().unwrap();
        assert_eq!(headers.inner()["own"], AMQPValue::Boolean(true));
        let expected = vec![
            AMQPValue::FieldTable(said("second")),
            AMQPValue::FieldTable(said("first")),
        ];
        assert_eq!(headers.inner()[HEADER], AMQPValue::FieldArray(expected.into()));
    }
}
