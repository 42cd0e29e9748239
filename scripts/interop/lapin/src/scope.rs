//! What one feature uses; all of it goes when the feature ends.

use std::sync::{Arc, Mutex, OnceLock};

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::harness::variable;

pub struct Scope {
    feature: &'static str,
    connection: OnceLock<Arc<Connection>>,
    connections: Mutex<Vec<Arc<Connection>>>,
    queues: Mutex<Vec<String>>,
    exchanges: Mutex<Vec<String>>,
}

pub fn user() -> String {
    variable("AMQP_USER", "guest")
}

/// The broker's address with the options that a feature wants to differ: `Address { heartbeat: 1, ..Address::default() }`.
pub struct Address {
    pub password: String,
    pub vhost: String,
    pub heartbeat: u16,
}

impl Default for Address {
    fn default() -> Self {
        Address {
            password: variable("AMQP_PASSWORD", "guest"),
            vhost: variable("AMQP_VHOST", "/"),
            heartbeat: 20,
        }
    }
}

pub async fn connect(address: Address, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let (host, port) = (variable("AMQP_HOST", "127.0.0.1"), variable("AMQP_PORT", "5672"));
    let Address {
        password,
        vhost,
        heartbeat,
    } = address;
    let vhost = vhost.replace('/', "%2f");
    let uri = format!(
        "amqp://{}:{password}@{host}:{port}/{vhost}?heartbeat={heartbeat}",
        user()
    );
    Connection::connect(&uri, properties).await
}

impl Scope {
    pub fn new(feature: &'static str) -> Scope {
        Scope {
            feature,
            connection: OnceLock::new(),
            connections: Mutex::default(),
            queues: Mutex::default(),
            exchanges: Mutex::default(),
        }
    }

    pub async fn open(&self) {
        let connection = self
            .connect(Address::default(), ConnectionProperties::default())
            .await;
        self.connection.set(connection).expect("opened once");
    }

    pub async fn connect(&self, address: Address, properties: ConnectionProperties) -> Arc<Connection> {
        let connection = Arc::new(connect(address, properties).await.unwrap());
        self.connections.lock().unwrap().push(connection.clone());
        connection
    }

    pub fn connection(&self) -> &Arc<Connection> {
        self.connection.get().expect("opened before the feature")
    }

    pub async fn channel(&self) -> Channel {
        self.connection().create_channel().await.unwrap()
    }

    /// A channel of another connection.
    pub async fn stranger(&self) -> Channel {
        let connection = self
            .connect(Address::default(), ConnectionProperties::default())
            .await;
        connection.create_channel().await.unwrap()
    }

    pub async fn confirming(&self) -> Channel {
        let channel = self.channel().await;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .unwrap();
        channel
    }

    fn named(&self, name: &str) -> String {
        format!("interop.lapin.{}.{name}", self.feature)
    }

    /// The name of a queue that does not exist yet and is deleted at the end.
    pub async fn queue(&self, name: &str) -> String {
        let queue = self.named(name);
        self.queues.lock().unwrap().push(queue.clone());
        delete_queue(&self.channel().await, &queue).await;
        queue
    }

    pub async fn exchange(&self, name: &str) -> String {
        let exchange = self.named(name);
        self.exchanges.lock().unwrap().push(exchange.clone());
        delete_exchange(&self.channel().await, &exchange).await;
        exchange
    }

    /// Declares a transient queue that every connection may use.
    pub async fn declare(&self, channel: &Channel, name: &str, arguments: FieldTable) -> String {
        let queue = self.queue(name).await;
        let options = QueueDeclareOptions::default();
        channel
            .queue_declare(queue.as_str().into(), options, arguments)
            .await
            .unwrap();
        queue
    }

    pub async fn exclusive(&self, channel: &Channel, name: &str) -> String {
        let queue = self.queue(name).await;
        let options = QueueDeclareOptions::exclusive();
        channel
            .queue_declare(queue.as_str().into(), options, FieldTable::default())
            .await
            .unwrap();
        queue
    }

    pub async fn declare_exchange(
        &self,
        channel: &Channel,
        name: &str,
        kind: ExchangeKind,
        options: ExchangeDeclareOptions,
        arguments: FieldTable,
    ) -> String {
        let exchange = self.exchange(name).await;
        channel
            .exchange_declare(exchange.as_str().into(), kind, options, arguments)
            .await
            .unwrap();
        exchange
    }

    pub async fn close(&self) {
        let connections = std::mem::take(&mut *self.connections.lock().unwrap());
        for connection in connections {
            let _ = connection.close(200, "done".into()).await; // a feature may have closed it
        }
        let janitor = connect(Address::default(), ConnectionProperties::default())
            .await
            .unwrap();
        let channel = janitor.create_channel().await.unwrap();
        let (queues, exchanges) = (
            self.queues.lock().unwrap().clone(),
            self.exchanges.lock().unwrap().clone(),
        );
        for queue in queues {
            delete_queue(&channel, &queue).await;
        }
        for exchange in exchanges {
            delete_exchange(&channel, &exchange).await;
        }
        janitor.close(200, "done".into()).await.unwrap();
    }
}

async fn delete_queue(channel: &Channel, queue: &str) {
    channel
        .queue_delete(queue.into(), Default::default())
        .await
        .unwrap();
}

async fn delete_exchange(channel: &Channel, exchange: &str) {
    channel
        .exchange_delete(exchange.into(), Default::default())
        .await
        .unwrap();
}
