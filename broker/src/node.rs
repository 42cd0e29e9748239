//! What the broker calls itself.

use crate::broker::Broker;

/// Names and versions, for whoever asks by HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `broker@` and the machine's name.
    pub name: String,
    /// The version that clients are told, some of which choose their behaviour by it.
    pub rabbitmq_version: String,
    /// Who it really is.
    pub product_name: String,
    /// The version of that.
    pub product_version: String,
}

impl Node {
    /// Of a broker in this process.
    pub fn of(broker: &Broker) -> Node {
        Node {
            name: node_name(),
            rabbitmq_version: broker.config.product.version.clone(),
            product_name: PRODUCT.to_owned(),
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The broker's own name, whatever it calls itself for clients' sake.
pub const PRODUCT: &str = "AMQP performance lab reference broker";

/// `broker@` and the machine's name, where the operating system tells it.
pub fn node_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "broker@localhost".to_owned(),
        name => format!("broker@{name}"),
    }
}
