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
        let matcher = Matcher::new(spec.kind, &spec.arguments)?;
        let (to_queues, to_exchanges, incoming) = Default::default();
        Ok(Exchange {
            spec,
            alternate,
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
