//! Publishes that ask for more than their method says: by their properties, or because their exchange looks at them.
//!
//! | property | asks for |
//! |---|---|
//! | `user-id` | a check: it is the user who is logged in, unless that user may impersonate others |
//! | `reply-to` | `amq.rabbitmq.reply-to` becomes the address of the channel's reply consumer (see `replies`) |
//! | `expiration` | a check: milliseconds, as decimal text |
//! | headers `CC`, `BCC` | further routing keys; nobody sees the latter (sender-selected distribution) |
//!
//! A run of publishes whose flags name none of these never comes here.

use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;
use wire::{
    BasicProperties, CONTENT_PREFIX_SIZE, ContentHeader, FLAG_EXPIRATION, FLAG_HEADERS, FLAG_REPLY_TO,
    FLAG_USER_ID, FieldTable, ReplyCode, TableRef, ValueRef, property_flags,
};

use super::channel::Route;
use super::failure::Failure;
use super::replies::{REPLY_TO, is_reply_key};
use super::task::Connection;
use crate::auth::Operation;
use crate::queue::Queue;
use crate::record::Content;

/// Properties that have to be looked at.
pub(super) const INSPECTED_FLAGS: u16 = FLAG_HEADERS | FLAG_REPLY_TO | FLAG_EXPIRATION | FLAG_USER_ID;

/// Users with this tag may publish in the name of others.
const IMPERSONATOR: &str = "impersonator";
/// Headers with further routing keys, and whether they stay in the message.
const ROUTING_HEADERS: [(&str, bool); 2] = [("CC", true), (BCC, false)];
const BCC: &str = "BCC";

/// Why a message cannot travel with its neighbours.
struct Special<'a> {
    properties: BasicProperties<'a>,
    /// Routing keys besides the method's.
    keys: SmallVec<[&'a str; 4]>,
    /// Its content header payload, where that changes.
    header: Option<Vec<u8>>,
}

impl Connection {
    /// Publishes messages of one route, some of which have to be looked at.
    pub(super) fn publish_inspected(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        run: &[Content<'_>],
        in_transaction: bool,
    ) -> Result<(), Failure> {
        let mut plain = 0;
        for (index, content) in run.iter().enumerate() {
            let special = self.inspect(id, route, content);
            if matches!(special, Ok(None)) {
                continue;
            }
            self.place_or_hold(id, route, &run[plain..index], false, in_transaction)?;
            plain = index + 1;
            if let Some(special) = special? {
                self.publish_alone(id, route, content, &special, in_transaction)?;
            }
        }
        self.place_or_hold(id, route, &run[plain..], false, in_transaction)
    }

    /// `None` for a message that goes where its method says, as it is.
    fn inspect<'a>(
        &self,
        id: u16,
        route: &Route,
        content: &Content<'a>,
    ) -> Result<Option<Special<'a>>, Failure> {
        let flags = property_flags(content.header()) & INSPECTED_FLAGS;
        if flags == 0 && !route.by_headers {
            return Ok(None);
        }
        let properties = BasicProperties::decode(ContentHeader::decode(content.header())?.properties)?;
        let reply_to = match properties.reply_to {
            Some(REPLY_TO) => Some(self.reply_address(id)?),
            _ => None,
        };
        properties.expiration.map_or(Ok(()), check_expiration)?;
        let mut keys = SmallVec::new();
        let mut hidden = false;
        for (name, stays) in ROUTING_HEADERS {
            if let Some(value) = properties.headers.and_then(|headers| headers.get(name)) {
                add_keys(&mut keys, name, value)?;
                hidden |= !stays;
            }
        }
        properties
            .user_id
            .map_or(Ok(()), |claimed| self.check_user_id(claimed))?;
        if reply_to.is_none() && keys.is_empty() && !hidden && !route.by_headers {
            return Ok(None);
        }
        let changed = reply_to.is_some() || hidden;
        let header = changed.then(|| rewritten(content.header(), properties, reply_to, hidden));
        Ok(Some(Special {
            properties,
            keys,
            header,
        }))
    }

    fn check_user_id(&self, claimed: &str) -> Result<(), Failure> {
        let user = self.user();
        if user.name == claimed || user.tags.iter().any(|tag| tag == IMPERSONATOR) {
            return Ok(());
        }
        let text = format!(
            "user_id property set to '{claimed}' but authenticated user was '{}'",
            user.name
        );
        Err(Failure::new(ReplyCode::PreconditionFailed, text))
    }

    /// Routes one message by itself, by every key that it has; a queue that several of them lead to gets it once.
    fn publish_alone(
        &mut self,
        id: u16,
        route: &Rc<Route>,
        content: &Content<'_>,
        special: &Special<'_>,
        in_transaction: bool,
    ) -> Result<(), Failure> {
        for key in &special.keys {
            self.check_topic_access(Operation::Write, &route.exchange, key)?;
        }
        let mut frames = Vec::new();
        let content = match &special.header {
            Some(header) => Content::build(&mut frames, header, content.body()),
            None => *content,
        };
        let mut queues: SmallVec<[Arc<Queue>; 4]> = SmallVec::new();
        let mut replied = false;
        let keys = special.keys.iter().copied();
        for key in std::iter::once(route.routing_key.as_str()).chain(keys) {
            if is_reply_key(&route.exchange, key) {
                replied |= self.deliver_reply(key, &route.names, content);
                continue;
            }
            let topology = self.vhost().topology.read();
            for queue in topology.route(&route.exchange, key, &special.properties)? {
                if !queues.iter().any(|known| Arc::ptr_eq(known, &queue)) {
                    queues.push(queue);
                }
            }
        }
        let routed = Rc::new(Route {
            exchange: route.exchange.clone(),
            routing_key: route.routing_key.clone(),
            names: route.names.clone(),
            mandatory: route.mandatory && !replied,
            replied,
            queues,
            by_headers: true,
        });
        self.place_or_hold(id, &routed, std::slice::from_ref(&content), true, in_transaction)
    }
}

/// The routing keys of a `CC` or `BCC` header; what is no string in it does not count.
fn add_keys<'a>(keys: &mut SmallVec<[&'a str; 4]>, name: &str, value: ValueRef<'a>) -> Result<(), Failure> {
    let Some(array) = value.as_array() else {
        let text = format!(
            "invalid message: {{unacceptable_type_in_header,\"{name}\",{}}}",
            type_name(value)
        );
        return Err(Failure::new(ReplyCode::PreconditionFailed, text));
    };
    keys.extend(array.iter().filter_map(ValueRef::as_str));
    Ok(())
}

/// What RabbitMQ calls the types of table values.
fn type_name(value: ValueRef<'_>) -> &'static str {
    match value {
        ValueRef::Bool(_) => "bool",
        ValueRef::I8(_) => "byte",
        ValueRef::U8(_) => "unsignedbyte",
        ValueRef::I16(_) => "short",
        ValueRef::U16(_) => "unsignedshort",
        ValueRef::I32(_) => "signedint",
        ValueRef::U32(_) => "unsignedint",
        ValueRef::I64(_) => "long",
        ValueRef::F32(_) => "float",
        ValueRef::F64(_) => "double",
        ValueRef::Decimal { .. } => "decimal",
        ValueRef::LongStr(_) => "longstr",
        ValueRef::Array(_) => "array",
        ValueRef::Timestamp(_) => "timestamp",
        ValueRef::Table(_) => "table",
        ValueRef::Void => "void",
        ValueRef::Bytes(_) => "binary",
    }
}

/// A content header payload with another reply-to, or without `BCC`.
fn rewritten(
    header: &[u8],
    properties: BasicProperties<'_>,
    reply_to: Option<String>,
    hides_bcc: bool,
) -> Vec<u8> {
    let mut visible = FieldTable::new();
    for (name, value) in properties.headers.into_iter().flatten() {
        if name != BCC {
            visible.insert(name, value.to_value());
        }
    }
    let visible = visible.to_bytes();
    let mut changed = BasicProperties { ..properties };
    if hides_bcc {
        changed.headers = TableRef::parse(&visible).ok();
    }
    changed.reply_to = reply_to.as_deref().or(properties.reply_to);
    let mut payload = header[..CONTENT_PREFIX_SIZE].to_vec();
    changed.encode(&mut payload);
    payload
}

/// An expiration is a number of milliseconds; the texts are RabbitMQ's.
fn check_expiration(text: &str) -> Result<(), Failure> {
    let (sign, unsigned) = match text.strip_prefix(['+', '-']) {
        Some(rest) => (text[..1].trim_start_matches('+'), rest),
        None => ("", text),
    };
    let digits = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = unsigned.split_at(digits);
    let problem = match () {
        () if number.is_empty() => "no_integer".to_owned(),
        () if !rest.is_empty() => format!("{{leftover_string,\"{rest}\"}}"),
        () if sign == "-" && number.bytes().any(|digit| digit != b'0') => {
            format!("{{value_negative,-{}}}", number.trim_start_matches('0'))
        }
        () => return Ok(()),
    };
    let text = format!("invalid expiration '{text}': {problem}");
    Err(Failure::new(ReplyCode::PreconditionFailed, text))
}
