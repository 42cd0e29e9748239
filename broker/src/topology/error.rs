//! Refused topology changes: reply code and text for the client.

use wire::ReplyCode;

/// A request that the topology refuses. Whether it ends the channel or the connection follows from the code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} - {text}", code.name())]
pub struct TopologyError {
    /// Reply code of the close method.
    pub code: ReplyCode,
    /// What was refused and why, without the code's name.
    pub text: String,
}

impl TopologyError {
    fn new(code: ReplyCode, text: String) -> TopologyError {
        TopologyError { code, text }
    }

    pub(super) fn no_exchange(vhost: &str, name: &str) -> TopologyError {
        Self::new(
            ReplyCode::NotFound,
            format!("no exchange '{name}' in vhost '{vhost}'"),
        )
    }

    pub(super) fn no_queue(vhost: &str, name: &str) -> TopologyError {
        Self::new(
            ReplyCode::NotFound,
            format!("no queue '{name}' in vhost '{vhost}'"),
        )
    }

    pub(super) fn default_exchange() -> TopologyError {
        Self::new(
            ReplyCode::AccessRefused,
            "operation not permitted on the default exchange".to_owned(),
        )
    }

    pub(super) fn reserved_name(name: &str) -> TopologyError {
        Self::new(
            ReplyCode::AccessRefused,
            format!("exchange name '{name}' contains reserved prefix 'amq.*'"),
        )
    }

    pub(super) fn predeclared(vhost: &str, name: &str) -> TopologyError {
        let text = format!("deletion of system exchange '{name}' in vhost '{vhost}' not allowed");
        Self::new(ReplyCode::AccessRefused, text)
    }

    pub(super) fn internal(vhost: &str, name: &str) -> TopologyError {
        let text = format!("cannot publish to internal exchange '{name}' in vhost '{vhost}'");
        Self::new(ReplyCode::AccessRefused, text)
    }

    pub(super) fn in_use(vhost: &str, name: &str) -> TopologyError {
        Self::new(
            ReplyCode::PreconditionFailed,
            format!("exchange '{name}' in vhost '{vhost}' in use"),
        )
    }

    pub(super) fn too_many_exchanges(vhost: &str, name: &str, limit: usize) -> TopologyError {
        let text = format!(
            "cannot declare exchange '{name}' in vhost '{vhost}': exchange limit of {limit} is reached"
        );
        Self::new(ReplyCode::PreconditionFailed, text)
    }

    /// RabbitMQ has no such limit.
    pub(super) fn too_many_bindings(vhost: &str, source: &str, limit: usize) -> TopologyError {
        let text = format!(
            "cannot bind to exchange '{source}' in vhost '{vhost}': binding limit of {limit} is reached"
        );
        Self::new(ReplyCode::PreconditionFailed, text)
    }

    pub(super) fn unknown_kind(kind: &str) -> TopologyError {
        Self::new(
            ReplyCode::PreconditionFailed,
            format!("unknown exchange type '{kind}'"),
        )
    }

    /// `difference` names both values.
    pub(super) fn inequivalent(
        vhost: &str,
        argument: &str,
        exchange: &str,
        difference: &str,
    ) -> TopologyError {
        let text = format!(
            "inequivalent arg '{argument}' for exchange '{exchange}' in vhost '{vhost}': {difference}"
        );
        Self::new(ReplyCode::PreconditionFailed, text)
    }

    pub(super) fn invalid_argument(text: String) -> TopologyError {
        Self::new(ReplyCode::PreconditionFailed, text)
    }
}
