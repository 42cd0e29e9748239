//! Changing the headers and properties of a message on its way: for dead letters, delivery counts and the like.

use wire::{BasicProperties, CONTENT_PREFIX_SIZE, ContentHeader, FieldTable, TableRef, WireError};

use crate::record::Content;

/// The content with its headers and properties as `edit` leaves them; built in `buffer`. An empty table of headers
/// is left out.
///
/// # Errors
/// When the properties of the message are malformed, or too large for a table once they are changed.
pub(crate) fn edited<'a>(
    content: &Content<'_>,
    buffer: &'a mut Vec<u8>,
    edit: impl FnOnce(&mut FieldTable, &mut BasicProperties<'_>),
) -> Result<Content<'a>, WireError> {
    let header = ContentHeader::decode(content.header())?;
    let mut properties = BasicProperties::decode(header.properties)?;
    let mut table = properties.headers.map(TableRef::to_table).unwrap_or_default();
    edit(&mut table, &mut properties);
    let bytes = table.to_bytes();
    let mut properties = BasicProperties { ..properties };
    properties.headers = match table.is_empty() {
        true => None,
        false => Some(TableRef::parse(&bytes)?),
    };
    let mut payload = content.header()[..CONTENT_PREFIX_SIZE].to_vec();
    properties.encode(&mut payload);
    Ok(Content::build(buffer, &payload, content.body()))
}

#[cfg(test)]
mod tests {
    use wire::FieldValue;

    use super::*;

    fn content<'a>(buffer: &'a mut Vec<u8>, properties: &BasicProperties<'_>) -> Content<'a> {
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4];
        properties.encode(&mut payload);
        Content::build(buffer, &payload, b"body")
    }

    #[test]
    fn headers_are_added_changed_and_removed_and_all_else_stays() {
        let mut table = FieldTable::new();
        table.insert("kept", 1_i32);
        let table = table.to_bytes();
        let properties = BasicProperties {
            headers: Some(TableRef::parse(&table).unwrap()),
            expiration: Some("100"),
            message_id: Some("m"),
            ..BasicProperties::default()
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let content = content(&mut before, &properties);
        let changed = edited(&content, &mut after, |headers, properties| {
            headers.insert("new", true);
            properties.expiration = None;
        });
        let changed = changed.unwrap();
        assert_eq!(changed.body(), b"body");
        let header = ContentHeader::decode(changed.header()).unwrap();
        assert_eq!(header.body_size, 4);
        let read = BasicProperties::decode(header.properties).unwrap();
        assert_eq!((read.expiration, read.message_id), (None, Some("m")));
        let headers = read.headers.unwrap().to_table();
        assert_eq!(headers.get("kept"), Some(&FieldValue::I32(1)));
        assert_eq!(headers.get("new"), Some(&FieldValue::Bool(true)));
        let mut bare = Vec::new();
        let bare = edited(&changed, &mut bare, |headers, _| *headers = FieldTable::new()).unwrap();
        let header = ContentHeader::decode(bare.header()).unwrap();
        assert_eq!(BasicProperties::decode(header.properties).unwrap().headers, None);
    }
}
