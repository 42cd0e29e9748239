//! What the `x-…` arguments of `queue.declare` ask for, checked.
//!
//! Names, types and ranges are RabbitMQ's. An argument that nobody knows is kept and has no effect, as there: clients
//! use that to label their queues.

use wire::FieldTable;

use super::arguments::{ArgumentError, check_choice, flag, integer, number, text, typed_text};
use super::dead_letters::Onward;

/// Delivery limit of a quorum queue that does not name one, as in RabbitMQ 4.
const DELIVERY_LIMIT_DEFAULT: u32 = 20;
/// Largest number of milliseconds that RabbitMQ takes for a time to live: what an unsigned 32-bit number holds.
const MILLISECONDS_MAX: u64 = u32::MAX as u64;

/// Argument of the queues in which delayed messages wait.
pub const DELAYED_EXCHANGE: &str = "x-delayed-exchange";

/// Everything about a queue that its arguments decide.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct QueueOptions {
    /// `x-queue-type`.
    pub kind: QueueKind,
    /// `x-message-ttl`, milliseconds.
    pub ttl_ms: Option<u64>,
    /// `x-expires`, milliseconds.
    pub expires_ms: Option<u64>,
    /// `x-dead-letter-exchange` and `x-dead-letter-routing-key`.
    pub dead_letter: Option<DeadLetterTarget>,
    /// Its messages wait for a time, and then go on to this delayed exchange: an argument that only the broker gives.
    pub delayed_exchange: Option<String>,
    /// `x-max-length`: ready messages.
    pub length_max: Option<u64>,
    /// `x-max-length-bytes`: bytes of the bodies of ready messages.
    pub bytes_max: Option<u64>,
    /// `x-overflow`.
    pub overflow: Overflow,
    /// `x-max-priority`.
    pub priority_max: Option<u8>,
    /// `x-single-active-consumer`.
    pub single_active: bool,
    /// `x-delivery-limit`: how often a message may come back; quorum queues only.
    pub delivery_limit: Option<u32>,
    /// `x-consumer-timeout`, milliseconds.
    pub consumer_timeout_ms: Option<u64>,
}

/// `x-queue-type`. On one node both are the same queue; a quorum queue counts deliveries as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// Counts nothing.
    #[default]
    Classic,
    /// Durable, never exclusive; counts how often a message came back.
    Quorum,
}

/// Where dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterTarget {
    /// The exchange; it may not exist (yet), then they are dropped.
    pub exchange: String,
    /// The routing key; the message's own when there is none.
    pub routing_key: Option<String>,
}

/// What becomes of a message that a full queue (`x-max-length…`) cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest ready message makes room.
    #[default]
    DropHead,
    /// The new one is refused: its publisher gets a `basic.nack`.
    RejectPublish,
    /// The same, and the refused message is dead-lettered.
    RejectPublishDlx,
}

/// What a queue is declared as, besides its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFlags {
    /// As declared.
    pub durable: bool,
    /// As declared.
    pub exclusive: bool,
    /// As declared.
    pub auto_delete: bool,
}

impl QueueOptions {
    /// Where its messages go on to, if anywhere.
    pub(super) fn onward(&self) -> Option<Onward<'_>> {
        let delayed = self.delayed_exchange.as_deref().map(Onward::Delayed);
        delayed.or_else(|| self.dead_letter.as_ref().map(Onward::DeadLetters))
    }

    /// True when nothing but dealing and keeping messages is asked for.
    pub fn is_plain(&self) -> bool {
        self.dead_letter.is_none() && self.expires_ms.is_none() && self.delayed_exchange.is_none()
    }

    /// Reads the arguments of a queue.
    ///
    /// # Errors
    /// The argument and what is wrong with it.
    pub fn parse(arguments: &FieldTable, flags: QueueFlags) -> Result<QueueOptions, ArgumentError> {
        let kind = kind(arguments)?;
        if kind == QueueKind::Quorum {
            check_quorum(arguments, flags)?;
        }
        check_choice(
            arguments,
            "x-queue-mode",
            &["default", "lazy"],
            "unsupported queue mode",
        )?;
        check_choice(
            arguments,
            "x-dead-letter-strategy",
            &["at-most-once", "at-least-once"],
            "unsupported dead letter strategy",
        )?;
        check_choice(
            arguments,
            "x-queue-leader-locator",
            &["client-local", "balanced"],
            "unsupported queue leader locator",
        )?;
        check_version(arguments)?;
        let exchange = typed_text(arguments, "x-dead-letter-exchange")?;
        let routing_key = typed_text(arguments, "x-dead-letter-routing-key")?;
        let dead_letter = match (exchange, routing_key) {
            (Some(exchange), routing_key) => Some(DeadLetterTarget {
                exchange,
                routing_key,
            }),
            (None, None) => None,
            (None, Some(_)) => {
                let problem = "routing_key_but_no_dlx_defined";
                return Err(ArgumentError::new("x-dead-letter-routing-key", problem));
            }
        };
        let overflow = match text(arguments, "x-overflow")? {
            None | Some("drop-head") => Overflow::DropHead,
            Some("reject-publish") => Overflow::RejectPublish,
            Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
            Some(_) => return Err(ArgumentError::new("x-overflow", "invalid_overflow")),
        };
        Ok(QueueOptions {
            kind,
            ttl_ms: number(arguments, "x-message-ttl", 0, MILLISECONDS_MAX)?,
            expires_ms: number(arguments, "x-expires", 1, MILLISECONDS_MAX)?,
            dead_letter,
            delayed_exchange: text(arguments, DELAYED_EXCHANGE)?.map(str::to_owned),
            length_max: number(arguments, "x-max-length", 0, u64::MAX)?,
            bytes_max: number(arguments, "x-max-length-bytes", 0, u64::MAX)?,
            overflow,
            priority_max: priority_max(arguments)?,
            single_active: flag(arguments, "x-single-active-consumer")?,
            delivery_limit: delivery_limit(arguments, kind)?,
            consumer_timeout_ms: number(arguments, "x-consumer-timeout", 0, MILLISECONDS_MAX)?,
        })
    }
}

/// What only queues of other types have. RabbitMQ refuses a declaration with them, as one that hopes for what it will not get.
const NOT_FOR_CLASSIC: [&str; 10] = [
    "x-dead-letter-strategy",
    "x-initial-cluster-size",
    "x-max-age",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-quorum-initial-group-size",
    "x-quorum-target-group-size",
    "x-stream-filter-size-bytes",
    "x-stream-max-segment-size-bytes",
    "x-delivery-limit",
];
const NOT_FOR_QUORUM: [&str; 5] = [
    "x-initial-cluster-size",
    "x-max-age",
    "x-queue-master-locator",
    "x-stream-filter-size-bytes",
    "x-stream-max-segment-size-bytes",
];

impl QueueKind {
    /// To be asked of a new declaration. What was stored before this was asked stays as it is.
    ///
    /// # Errors
    /// The first argument that queues of this type do not have.
    pub fn check_foreign(self, arguments: &FieldTable) -> Result<(), ArgumentError> {
        let foreign = match self {
            QueueKind::Classic => &NOT_FOR_CLASSIC[..],
            QueueKind::Quorum => &NOT_FOR_QUORUM,
        };
        match foreign.iter().find(|argument| arguments.get(argument).is_some()) {
            Some(argument) => Err(ArgumentError::Kind { argument, kind: self }),
            None => Ok(()),
        }
    }

    /// The name that RabbitMQ's texts give it.
    pub(super) fn module(self) -> &'static str {
        match self {
            QueueKind::Classic => "rabbit_classic_queue",
            QueueKind::Quorum => "rabbit_quorum_queue",
        }
    }
}

fn kind(arguments: &FieldTable) -> Result<QueueKind, ArgumentError> {
    match text(arguments, "x-queue-type")? {
        None | Some("classic") => Ok(QueueKind::Classic),
        Some("quorum") => Ok(QueueKind::Quorum),
        Some(other) => {
            let problem = format!("\"unsupported queue type '{other}'\"");
            Err(ArgumentError::new("x-queue-type", problem))
        }
    }
}

/// RabbitMQ refuses for quorum queues what they cannot do there, so that clients do not come to rely on it here.
fn check_quorum(arguments: &FieldTable, flags: QueueFlags) -> Result<(), ArgumentError> {
    for (is_set, property) in [
        (!flags.durable, "non-durable"),
        (flags.exclusive, "exclusive"),
        (flags.auto_delete, "auto-delete"),
    ] {
        if is_set {
            return Err(ArgumentError::Property(property));
        }
    }
    for argument in ["x-max-priority", "x-queue-mode", "x-queue-version"] {
        if arguments.get(argument).is_some() {
            let kind = QueueKind::Quorum;
            return Err(ArgumentError::Kind { argument, kind });
        }
    }
    if text(arguments, "x-overflow")? == Some("reject-publish-dlx") {
        return Err(ArgumentError::new("x-overflow", "invalid_overflow"));
    }
    number(arguments, "x-quorum-initial-group-size", 1, u64::MAX)?;
    Ok(())
}

/// RabbitMQ's two ways to store a classic queue; there is one here, whichever is asked for.
fn check_version(arguments: &FieldTable) -> Result<(), ArgumentError> {
    const NAME: &str = "x-queue-version";
    match number(arguments, NAME, 0, u64::MAX)? {
        None | Some(1 | 2) => Ok(()),
        Some(version) => {
            let problem = format!("\"unsupported queue version '{version}'\"");
            Err(ArgumentError::new(NAME, problem))
        }
    }
}

/// No number is the default; a negative one means "no limit".
fn delivery_limit(arguments: &FieldTable, kind: QueueKind) -> Result<Option<u32>, ArgumentError> {
    const NAME: &str = "x-delivery-limit";
    match (kind, integer(arguments, NAME)?) {
        (QueueKind::Classic, None) => Ok(None),
        (QueueKind::Classic, Some(_)) => Err(ArgumentError::Kind { argument: NAME, kind }),
        (QueueKind::Quorum, None) => Ok(Some(DELIVERY_LIMIT_DEFAULT)),
        (QueueKind::Quorum, Some(..0)) => Ok(None),
        (QueueKind::Quorum, Some(limit)) => Ok(Some(limit.min(u32::MAX.into()) as u32)),
    }
}

fn priority_max(arguments: &FieldTable) -> Result<Option<u8>, ArgumentError> {
    const NAME: &str = "x-max-priority";
    let Some(max) = number(arguments, NAME, 0, u64::MAX)? else {
        return Ok(None);
    };
    let too_high = |_| ArgumentError::new(NAME, format!("{{max_value_exceeded,{max}}}"));
    u8::try_from(max).map(Some).map_err(too_high)
}

#[cfg(test)]
mod tests {
    use wire::FieldValue;

    use super::*;

    const FLAGS: QueueFlags = QueueFlags {
        durable: true,
        exclusive: false,
        auto_delete: false,
    };

    fn parse(arguments: &[(&str, FieldValue)]) -> Result<QueueOptions, ArgumentError> {
        let mut table = FieldTable::new();
        for (name, value) in arguments {
            table.insert(*name, value.clone());
        }
        QueueOptions::parse(&table, FLAGS)
    }

    #[test]
    fn nothing_asked_for_is_a_plain_classic_queue() {
        assert_eq!(parse(&[]).unwrap(), QueueOptions::default());
        assert_eq!(
            parse(&[("x-label", FieldValue::Void)]).unwrap(),
            QueueOptions::default()
        );
    }

    #[test]
    fn every_argument_is_read() {
        let options = parse(&[
            ("x-queue-type", "classic".into()),
            ("x-queue-mode", "lazy".into()),
            ("x-message-ttl", FieldValue::I32(0)),
            ("x-expires", FieldValue::I64(1000)),
            ("x-dead-letter-exchange", "".into()),
            ("x-dead-letter-routing-key", "dead".into()),
            ("x-max-length", FieldValue::U8(10)),
            ("x-max-length-bytes", FieldValue::I64(1 << 40)),
            ("x-overflow", "reject-publish-dlx".into()),
            ("x-max-priority", FieldValue::I8(10)),
            ("x-single-active-consumer", true.into()),
            ("x-consumer-timeout", FieldValue::I32(60_000)),
        ]);
        let dead_letter = DeadLetterTarget {
            exchange: String::new(),
            routing_key: Some("dead".to_owned()),
        };
        let expected = QueueOptions {
            kind: QueueKind::Classic,
            ttl_ms: Some(0),
            expires_ms: Some(1000),
            dead_letter: Some(dead_letter),
            delayed_exchange: None,
            length_max: Some(10),
            bytes_max: Some(1 << 40),
            overflow: Overflow::RejectPublishDlx,
            priority_max: Some(10),
            single_active: true,
            delivery_limit: None,
            consumer_timeout_ms: Some(60_000),
        };
        assert_eq!(options.unwrap(), expected);
    }

    #[test]
    fn quorum_queues_count_deliveries() {
        let quorum = ("x-queue-type", FieldValue::from("quorum"));
        let limit = |arguments: &[(&str, FieldValue)]| {
            let all: Vec<_> = [std::slice::from_ref(&quorum), arguments].concat();
            parse(&all).unwrap().delivery_limit
        };
        assert_eq!(limit(&[]), Some(20));
        assert_eq!(limit(&[("x-delivery-limit", FieldValue::I32(3))]), Some(3));
        assert_eq!(limit(&[("x-delivery-limit", FieldValue::I32(-1))]), None);
        let transient = QueueFlags {
            durable: false,
            ..FLAGS
        };
        let mut table = FieldTable::new();
        table.insert("x-queue-type", "quorum");
        assert!(QueueOptions::parse(&table, transient).is_err());
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let cases: [(&'static str, FieldValue, &str); 8] = [
            ("x-message-ttl", FieldValue::I32(-1), "{value_negative,-1}"),
            ("x-message-ttl", "1".into(), "\"expected integer, got longstr\""),
            ("x-expires", FieldValue::I32(0), "{value_zero,0}"),
            ("x-max-priority", FieldValue::I32(256), "{max_value_exceeded,256}"),
            ("x-overflow", "spill".into(), "invalid_overflow"),
            (
                "x-dead-letter-routing-key",
                "k".into(),
                "routing_key_but_no_dlx_defined",
            ),
            (
                "x-queue-type",
                "stream".into(),
                "\"unsupported queue type 'stream'\"",
            ),
            (
                "x-single-active-consumer",
                FieldValue::I8(1),
                "{unacceptable_type,byte}",
            ),
        ];
        for (argument, value, problem) in cases {
            let problem = problem.to_owned();
            assert_eq!(
                parse(&[(argument, value)]),
                Err(ArgumentError::Value { argument, problem })
            );
        }
    }
}
