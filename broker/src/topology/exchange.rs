//! What an exchange is declared as.

use std::fmt;
use std::str::FromStr;

use rustc_hash::FxHashSet;
use wire::FieldTable;

use super::binding::BindingId;
use super::error::TopologyError;
use super::matcher::Matcher;
use crate::terms;

/// Where a message goes that an exchange would otherwise drop: the argument that names another exchange.
pub(super) const ALTERNATE_EXCHANGE: &str = "alternate-exchange";
/// How a delayed exchange routes in the end: the argument that names another kind.
const DELAYED_KIND: &str = "x-delayed-type";
/// Begins the names of the queues in which delayed messages wait. Clients cannot use them.
pub const DELAY_QUEUE_PREFIX: &str = "amq.delayed.";

/// The queue in which the messages of a delayed exchange wait.
pub fn delay_queue(exchange: &str) -> String {
    format!("{DELAY_QUEUE_PREFIX}{exchange}")
}

/// How an exchange chooses among its bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExchangeKind {
    /// Routing key equals binding key.
    Direct,
    /// Every binding.
    Fanout,
    /// Words of the routing key match a pattern with `*` (one word) and `#` (any number of words).
    Topic,
    /// Message headers match the binding's arguments.
    Headers,
    /// One binding for each message, by a hash and in proportion to the weights that are the binding keys.
    ConsistentHash,
    /// As the kind that the argument `x-delayed-type` names, but a message with a header `x-delay` waits so long before.
    Delayed,
}

impl ExchangeKind {
    /// The name used in `exchange.declare`.
    pub fn name(self) -> &'static str {
        match self {
            ExchangeKind::Direct => "direct",
            ExchangeKind::Fanout => "fanout",
            ExchangeKind::Topic => "topic",
            ExchangeKind::Headers => "headers",
            ExchangeKind::ConsistentHash => "x-consistent-hash",
            ExchangeKind::Delayed => "x-delayed-message",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ExchangeKind {
    type Err = TopologyError;

    fn from_str(name: &str) -> Result<ExchangeKind, TopologyError> {
        Ok(match name {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            "headers" => ExchangeKind::Headers,
            "x-consistent-hash" => ExchangeKind::ConsistentHash,
            "x-delayed-message" => ExchangeKind::Delayed,
            unknown => return Err(TopologyError::unknown_kind(unknown)),
        })
    }
}

/// An exchange as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct ExchangeSpec {
    /// Its name; empty for the default exchange.
    pub name: String,
    /// Its type.
    pub kind: ExchangeKind,
    /// Survives a restart.
    pub durable: bool,
    /// Goes with its last binding.
    pub auto_delete: bool,
    /// Reached through other exchanges only, never published to.
    pub internal: bool,
    /// Further arguments: `alternate-exchange`, and what the type gives a meaning.
    pub arguments: FieldTable,
}

impl ExchangeSpec {
    /// A durable exchange without arguments, as the predeclared ones are.
    pub(super) fn predeclared(name: &str, kind: ExchangeKind) -> ExchangeSpec {
        let arguments = FieldTable::new();
        ExchangeSpec {
            name: name.to_owned(),
            kind,
            durable: true,
            auto_delete: false,
            internal: false,
            arguments,
        }
    }

    /// The default exchange, as it is shown to people: it cannot be declared.
    pub fn default_exchange() -> ExchangeSpec {
        ExchangeSpec::predeclared("", ExchangeKind::Direct)
    }

    /// Checks that a second declaration says what the first one, `self`, said.
    pub(super) fn check_equivalent(&self, vhost: &str, received: &ExchangeSpec) -> Result<(), TopologyError> {
        let fields: [(&str, &dyn fmt::Display, &dyn fmt::Display); 4] = [
            ("type", &received.kind, &self.kind),
            ("durable", &received.durable, &self.durable),
            ("auto_delete", &received.auto_delete, &self.auto_delete),
            ("internal", &received.internal, &self.internal),
        ];
        for (argument, theirs, ours) in fields {
            let (theirs, ours) = (theirs.to_string(), ours.to_string());
            if theirs != ours {
                let difference = format!("received '{theirs}' but current is '{ours}'");
                return Err(TopologyError::inequivalent(
                    vhost,
                    argument,
                    &self.name,
                    &difference,
                ));
            }
        }
        // Other arguments are not compared, as in RabbitMQ.
        let ours = self.arguments.get(ALTERNATE_EXCHANGE);
        match terms::difference(ours, received.arguments.get(ALTERNATE_EXCHANGE)) {
            Some(difference) => Err(TopologyError::inequivalent(
                vhost,
                ALTERNATE_EXCHANGE,
                &self.name,
                &difference,
            )),
            None => Ok(()),
        }
    }

    /// How it chooses among its bindings: for a delayed exchange what it was declared with.
    ///
    /// # Errors
    /// When a delayed exchange names no kind, or none that can be delayed.
    pub(super) fn matched_kind(&self) -> Result<ExchangeKind, TopologyError> {
        if self.kind != ExchangeKind::Delayed {
            return Ok(self.kind);
        }
        let named = self.arguments.get(DELAYED_KIND).and_then(|value| value.as_str());
        match named.map(str::parse) {
            Some(Ok(kind)) if kind != ExchangeKind::Delayed => Ok(kind),
            _ => {
                let text = format!("Invalid argument, '{DELAYED_KIND}' must be an existing exchange type");
                Err(TopologyError::invalid_argument(text))
            }
        }
    }

    /// The alternate exchange, if it has one.
    ///
    /// # Errors
    /// When the argument is no string.
    pub(super) fn alternate(&self, vhost: &str) -> Result<Option<&str>, TopologyError> {
        match self.arguments.get(ALTERNATE_EXCHANGE) {
            None => Ok(None),
            Some(value) => match value.as_str() {
                Some(name) => Ok(Some(name)),
                None => {
                    let text = format!(
                        "invalid type '{}' for arg '{ALTERNATE_EXCHANGE}' in exchange '{}' in vhost '{vhost}'",
                        terms::type_name(value),
                        self.name
                    );
                    Err(TopologyError::invalid_argument(text))
                }
            },
        }
    }
}

/// A declared exchange with its bindings.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) spec: ExchangeSpec,
    pub(super) alternate: Option<String>,
    /// Where messages wait that are to be delayed.
    pub(super) delay_queue: Option<String>,
    pub(super) matcher: Matcher,
    /// Bindings from here to queues.
    pub(super) to_queues: FxHashSet<BindingId>,
    /// Bindings from here to exchanges.
    pub(super) to_exchanges: FxHashSet<BindingId>,
    /// Bindings from other exchanges to this one.
    pub(super) incoming: FxHashSet<BindingId>,
}

impl Exchange {
    pub(super) fn new(vhost: &str, spec: ExchangeSpec) -> Result<Exchange, TopologyError> {
        let alternate = spec.alternate(vhost)?.map(str::to_owned);
        let matcher = Matcher::new(spec.matched_kind()?, &spec.arguments)?;
        let delay_queue = (spec.kind == ExchangeKind::Delayed).then(|| delay_queue(&spec.name));
        let (to_queues, to_exchanges, incoming) = Default::default();
        Ok(Exchange {
            spec,
            alternate,
            delay_queue,
            matcher,
            to_queues,
            to_exchanges,
            incoming,
        })
    }

    pub(super) fn has_bindings(&self) -> bool {
        !(self.to_queues.is_empty() && self.to_exchanges.is_empty())
    }
}
