//! Agreement with `amq-protocol`, an independent codec: each side reads what the other writes, byte for byte.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use amq_protocol::frame::{AMQPFrame, gen_frame, parse_frame};
use amq_protocol::protocol::{AMQPClass, access, basic, channel, confirm, connection, exchange, queue, tx};
use amq_protocol::types::{self as theirs, AMQPValue};
use proptest::{prelude::*, test_runner::RngSeed};
use wire::{
    BasicProperties, ContentHeader, FieldTable, FieldValue, Method, TableRef, decode_frame,
    encode_content_header,
};

/// The same value in `amq-protocol`'s types.
trait Theirs<T> {
    fn theirs(self) -> T;
}

macro_rules! theirs_as_is {
    ($($ty:ty),*) => {$(
        impl Theirs<$ty> for $ty {
            fn theirs(self) -> $ty {
                self
            }
        }
    )*};
}

theirs_as_is!(bool, u8, u16, u32, u64);

impl Theirs<theirs::ShortString> for &str {
    fn theirs(self) -> theirs::ShortString {
        self.into()
    }
}

impl Theirs<theirs::LongString> for &[u8] {
    fn theirs(self) -> theirs::LongString {
        self.into()
    }
}

impl Theirs<theirs::FieldTable> for TableRef<'_> {
    fn theirs(self) -> theirs::FieldTable {
        table(&self.to_table())
    }
}

fn table(table: &FieldTable) -> theirs::FieldTable {
    let mut converted = theirs::FieldTable::default();
    for (key, entry) in table.iter() {
        converted.insert(key.into(), value(entry));
    }
    converted
}

fn value(ours: &FieldValue) -> AMQPValue {
    match ours {
        FieldValue::Bool(value) => AMQPValue::Boolean(*value),
        FieldValue::I8(value) => AMQPValue::ShortShortInt(*value),
        FieldValue::U8(value) => AMQPValue::ShortShortUInt(*value),
        FieldValue::I16(value) => AMQPValue::ShortInt(*value),
        FieldValue::U16(value) => AMQPValue::ShortUInt(*value),
        FieldValue::I32(value) => AMQPValue::LongInt(*value),
        FieldValue::U32(value) => AMQPValue::LongUInt(*value),
        FieldValue::I64(value) => AMQPValue::LongLongInt(*value),
        FieldValue::F32(value) => AMQPValue::Float(*value),
        FieldValue::F64(value) => AMQPValue::Double(*value),
        FieldValue::Decimal { scale, value } => AMQPValue::DecimalValue(theirs::DecimalValue {
            scale: *scale,
            value: *value,
        }),
        FieldValue::LongStr(bytes) => AMQPValue::LongString(bytes.as_slice().theirs()),
        FieldValue::Array(values) => {
            AMQPValue::FieldArray(values.iter().map(value).collect::<Vec<_>>().into())
        }
        FieldValue::Timestamp(seconds) => AMQPValue::Timestamp(*seconds),
        FieldValue::Table(nested) => AMQPValue::FieldTable(table(nested)),
        FieldValue::Void => AMQPValue::Void,
        FieldValue::Bytes(bytes) => AMQPValue::ByteArray(bytes.as_slice().into()),
    }
}

/// Their encoding of a frame.
fn their_bytes(frame: &AMQPFrame) -> Vec<u8> {
    let context = gen_frame(frame)(Vec::new().into()).expect("they encode what they hold");
    context.into_inner().0
}

/// Both ways: they understand our bytes as `theirs`, and their bytes are ours.
#[track_caller]
fn assert_agreement(ours: Method<'_>, theirs: AMQPClass) {
    let frame = AMQPFrame::Method(9, theirs);
    let mut bytes = Vec::new();
    ours.encode(9, &mut bytes);
    let (rest, parsed) = parse_frame(bytes.as_slice()).expect("they decode what we encode");
    assert!(rest.is_empty());
    assert_eq!(parsed, frame);
    let written = their_bytes(&frame);
    assert_eq!(written, bytes, "{}", ours.name());
    let read = decode_frame(&written, usize::MAX).unwrap().unwrap();
    assert_eq!(Method::decode(read.payload).unwrap(), ours);
}

/// `ours = class Class Theirs { fields }`; an optional `nowait` closes the list, since only that field's
/// name differs.
macro_rules! agree {
    ($($ours:ident = $module:ident $class:ident $theirs:ident { $($field:ident: $value:expr),* } $(nowait $nowait:literal)?;)*) => {{
        $(assert_agreement(
            Method::$ours { $($field: $value,)* $(no_wait: $nowait)? },
            AMQPClass::$class($module::AMQPMethod::$theirs($module::$theirs {
                $($field: $value.theirs(),)* $(nowait: $nowait)?
            })),
        );)*
        [$(stringify!($ours)),*].len()
    }};
}

#[test]
fn every_method_agrees_in_both_directions() {
    let mut arguments = FieldTable::new();
    arguments.insert("x-message-ttl", 60_000);
    let bytes = arguments.to_bytes();
    let arguments = TableRef::parse(&bytes).unwrap();

    let agreed = agree! {
        ConnectionStart = connection Connection Start { version_major: 0u8, version_minor: 9u8, server_properties: arguments, mechanisms: &b"PLAIN AMQPLAIN"[..], locales: &b"en_US"[..] };
        ConnectionStartOk = connection Connection StartOk { client_properties: arguments, mechanism: "PLAIN", response: &b"\0guest\0secret"[..], locale: "en_US" };
        ConnectionSecure = connection Connection Secure { challenge: &b"why"[..] };
        ConnectionSecureOk = connection Connection SecureOk { response: &b"because"[..] };
        ConnectionTune = connection Connection Tune { channel_max: 2047u16, frame_max: 131_072u32, heartbeat: 60u16 };
        ConnectionTuneOk = connection Connection TuneOk { channel_max: 2047u16, frame_max: 131_072u32, heartbeat: 60u16 };
        ConnectionOpen = connection Connection Open { virtual_host: "/" };
        ConnectionOpenOk = connection Connection OpenOk {};
        ConnectionClose = connection Connection Close { reply_code: 320u16, reply_text: "CONNECTION_FORCED", class_id: 60u16, method_id: 40u16 };
        ConnectionCloseOk = connection Connection CloseOk {};
        ConnectionBlocked = connection Connection Blocked { reason: "low on memory" };
        ConnectionUnblocked = connection Connection Unblocked {};
        ConnectionUpdateSecret = connection Connection UpdateSecret { new_secret: &b"token"[..], reason: "expired" };
        ConnectionUpdateSecretOk = connection Connection UpdateSecretOk {};

        ChannelOpen = channel Channel Open {};
        ChannelOpenOk = channel Channel OpenOk {};
        ChannelFlow = channel Channel Flow { active: true };
        ChannelFlowOk = channel Channel FlowOk { active: false };
        ChannelClose = channel Channel Close { reply_code: 404u16, reply_text: "NOT_FOUND", class_id: 50u16, method_id: 20u16 };
        ChannelCloseOk = channel Channel CloseOk {};

        ExchangeDeclare = exchange Exchange Declare { exchange: "e", kind: "topic", passive: false, durable: true, auto_delete: false, internal: true, arguments: arguments } nowait false;
        ExchangeDeclare = exchange Exchange Declare { exchange: "e", kind: "topic", passive: true, durable: false, auto_delete: true, internal: false, arguments: arguments } nowait true;
        ExchangeDeclareOk = exchange Exchange DeclareOk {};
        ExchangeDelete = exchange Exchange Delete { exchange: "e", if_unused: true } nowait false;
        ExchangeDeleteOk = exchange Exchange DeleteOk {};
        ExchangeBind = exchange Exchange Bind { destination: "to", source: "from", routing_key: "k", arguments: arguments } nowait true;
        ExchangeBindOk = exchange Exchange BindOk {};
        ExchangeUnbind = exchange Exchange Unbind { destination: "to", source: "from", routing_key: "k", arguments: arguments } nowait false;
        ExchangeUnbindOk = exchange Exchange UnbindOk {};

        QueueDeclare = queue Queue Declare { queue: "q", passive: false, durable: true, exclusive: false, auto_delete: true, arguments: arguments } nowait false;
        QueueDeclare = queue Queue Declare { queue: "q", passive: true, durable: false, exclusive: true, auto_delete: false, arguments: arguments } nowait true;
        QueueDeclareOk = queue Queue DeclareOk { queue: "q", message_count: 7u32, consumer_count: 3u32 };
        QueueBind = queue Queue Bind { queue: "q", exchange: "e", routing_key: "k", arguments: arguments } nowait true;
        QueueBindOk = queue Queue BindOk {};
        QueueUnbind = queue Queue Unbind { queue: "q", exchange: "e", routing_key: "k", arguments: arguments };
        QueueUnbindOk = queue Queue UnbindOk {};
        QueuePurge = queue Queue Purge { queue: "q" } nowait true;
        QueuePurgeOk = queue Queue PurgeOk { message_count: 7u32 };
        QueueDelete = queue Queue Delete { queue: "q", if_unused: true, if_empty: false } nowait false;
        QueueDelete = queue Queue Delete { queue: "q", if_unused: false, if_empty: true } nowait true;
        QueueDeleteOk = queue Queue DeleteOk { message_count: 7u32 };

        BasicQosOk = basic Basic QosOk {};
        BasicConsume = basic Basic Consume { queue: "q", consumer_tag: "c", no_local: true, no_ack: false, exclusive: true, arguments: arguments } nowait false;
        BasicConsume = basic Basic Consume { queue: "q", consumer_tag: "c", no_local: false, no_ack: true, exclusive: false, arguments: arguments } nowait true;
        BasicConsumeOk = basic Basic ConsumeOk { consumer_tag: "c" };
        BasicCancel = basic Basic Cancel { consumer_tag: "c" } nowait true;
        BasicCancelOk = basic Basic CancelOk { consumer_tag: "c" };
        BasicPublish = basic Basic Publish { exchange: "e", routing_key: "k", mandatory: true, immediate: false };
        BasicPublish = basic Basic Publish { exchange: "e", routing_key: "k", mandatory: false, immediate: true };
        BasicReturn = basic Basic Return { reply_code: 312u16, reply_text: "NO_ROUTE", exchange: "e", routing_key: "k" };
        BasicDeliver = basic Basic Deliver { consumer_tag: "c", delivery_tag: u64::MAX, redelivered: true, exchange: "e", routing_key: "k" };
        BasicGet = basic Basic Get { queue: "q", no_ack: true };
        BasicGetOk = basic Basic GetOk { delivery_tag: 5u64, redelivered: true, exchange: "e", routing_key: "k", message_count: 9u32 };
        BasicGetEmpty = basic Basic GetEmpty {};
        BasicAck = basic Basic Ack { delivery_tag: 5u64, multiple: true };
        BasicReject = basic Basic Reject { delivery_tag: 5u64, requeue: true };
        BasicRecoverAsync = basic Basic RecoverAsync { requeue: true };
        BasicRecover = basic Basic Recover { requeue: true };
        BasicRecoverOk = basic Basic RecoverOk {};
        BasicNack = basic Basic Nack { delivery_tag: 5u64, multiple: true, requeue: false };
        BasicNack = basic Basic Nack { delivery_tag: 5u64, multiple: false, requeue: true };

        ConfirmSelect = confirm Confirm Select {} nowait true;
        ConfirmSelectOk = confirm Confirm SelectOk {};

        AccessRequest = access Access Request { realm: "/data", exclusive: true, passive: false, active: true, write: false, read: true };
        TxSelect = tx Tx Select {};
        TxSelectOk = tx Tx SelectOk {};
        TxCommit = tx Tx Commit {};
        TxCommitOk = tx Tx CommitOk {};
        TxRollback = tx Tx Rollback {};
        TxRollbackOk = tx Tx RollbackOk {};
    };
    // Six methods appear twice, and basic.qos has its own line: they keep prefetch-size reserved.
    assert_agreement(
        Method::BasicQos {
            prefetch_size: 0,
            prefetch_count: 50,
            global: true,
        },
        AMQPClass::Basic(basic::AMQPMethod::Qos(basic::Qos {
            prefetch_count: 50,
            global: true,
        })),
    );
    // Their ticket is always 1.
    assert_agreement(
        Method::AccessRequestOk { ticket: 1 },
        AMQPClass::Access(access::AMQPMethod::RequestOk(access::RequestOk {})),
    );
    assert_eq!(agreed - 6 + 2, Method::ALL.len());
}

/// Any value, nested up to three levels; keys are unique, since they keep tables as maps.
fn any_value() -> impl Strategy<Value = FieldValue> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<f32>().prop_map(FieldValue::F32),
        any::<f64>().prop_map(FieldValue::F64),
        any::<(u8, u32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(FieldValue::LongStr),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(FieldValue::Bytes),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(FieldValue::Array),
            prop::collection::btree_map("[a-zü]{0,8}", inner, 0..4)
                .prop_map(|entries| FieldValue::Table(entries.into_iter().collect())),
        ]
    })
}

fn any_table() -> impl Strategy<Value = FieldTable> {
    prop::collection::btree_map("[a-zü]{0,8}", any_value(), 0..5)
        .prop_map(|entries| entries.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, rng_seed: RngSeed::Fixed(0x0A09_0100), ..ProptestConfig::default() })]

    #[test]
    fn tables_agree_in_both_directions(ours in any_table()) {
        let bytes = ours.to_bytes();
        let parsed = TableRef::parse(&bytes).unwrap();
        prop_assert_eq!(parsed.to_table(), ours.clone());
        assert_agreement(
            Method::QueueUnbind { queue: "", exchange: "", routing_key: "", arguments: parsed },
            AMQPClass::Queue(queue::AMQPMethod::Unbind(queue::Unbind {
                queue: "".theirs(), exchange: "".theirs(), routing_key: "".theirs(), arguments: table(&ours),
            })),
        );
    }

    #[test]
    fn properties_agree_in_both_directions(
        texts in prop::array::uniform10(prop::option::of("[a-zü ]{0,60}")),
        headers in prop::option::of(any_table()),
        octets: (Option<u8>, Option<u8>),
        timestamp: Option<u64>,
        body_size: u64,
    ) {
        let text = |index: usize| texts[index].as_deref();
        let headers_bytes = headers.as_ref().map(FieldTable::to_bytes);
        let ours = BasicProperties {
            content_type: text(0), content_encoding: text(1),
            headers: headers_bytes.as_deref().map(|bytes| TableRef::parse(bytes).unwrap()),
            delivery_mode: octets.0, priority: octets.1, correlation_id: text(2), reply_to: text(3), expiration: text(4),
            message_id: text(5), timestamp, kind: text(6), user_id: text(7), app_id: text(8), cluster_id: text(9),
        };
        let mut bytes = Vec::new();
        encode_content_header(&mut bytes, 9, body_size, &ours);

        let (rest, frame) = parse_frame(bytes.as_slice()).expect("they decode what we encode");
        prop_assert!(rest.is_empty());
        let AMQPFrame::Header(9, header) = &frame else { panic!("not a header: {frame:?}") };
        prop_assert_eq!(header.body_size, body_size);
        let parsed = &header.properties;
        let short = |text: &Option<theirs::ShortString>| text.as_ref().map(|text| text.as_str().to_owned());
        let theirs_texts = [
            short(parsed.content_type()), short(parsed.content_encoding()), short(parsed.correlation_id()),
            short(parsed.reply_to()), short(parsed.expiration()), short(parsed.message_id()), short(parsed.kind()),
            short(parsed.user_id()), short(parsed.app_id()), short(parsed.cluster_id()),
        ];
        prop_assert_eq!(&theirs_texts, &texts);
        prop_assert_eq!(parsed.headers(), &headers.as_ref().map(table));
        prop_assert_eq!((*parsed.delivery_mode(), *parsed.priority(), *parsed.timestamp()), (octets.0, octets.1, timestamp));

        let written = their_bytes(&frame);
        prop_assert_eq!(&written, &bytes);
        let read = decode_frame(&written, usize::MAX).unwrap().unwrap();
        let header = ContentHeader::decode(read.payload).unwrap();
        prop_assert_eq!(BasicProperties::decode(header.properties).unwrap(), ours);
        prop_assert_eq!(wire::delivery_mode(read.payload), octets.0.unwrap_or(1));
    }
}
