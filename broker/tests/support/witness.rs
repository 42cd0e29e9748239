//! Proof that a broker serves others.

use wire::{Method, TableRef};

use super::{BrokerProcess, Client, declare_own, encode_publish};

/// A second client, which must be served whatever the first one does.
#[derive(Debug)]
pub struct Witness {
    client: Client,
    sent: u64,
}

impl Witness {
    pub fn of(broker: &BrokerProcess) -> Witness {
        let mut client = Client::connect(broker);
        let declared = client.call(1, declare_own(""));
        assert!(matches!(declared.method(), Method::QueueDeclareOk { .. }));
        client.consume(1, "", "witness", true);
        Witness { client, sent: 0 }
    }

    /// Publishes, and gets it.
    pub fn works(&mut self) {
        self.sent += 1;
        let body = self.sent.to_be_bytes();
        let mut bytes = Vec::new();
        let bind = Method::QueueBind {
            queue: "",
            exchange: "amq.direct",
            routing_key: "witness",
            no_wait: true,
            arguments: TableRef::EMPTY,
        };
        bind.encode(1, &mut bytes);
        encode_publish(&mut bytes, 1, "amq.direct", "witness", false, &body, 131_072);
        self.client.write(&bytes);
        assert_eq!(self.client.message().body, body);
    }
}
