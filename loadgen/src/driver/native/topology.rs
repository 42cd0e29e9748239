//! The run's queues and exchange: declared before the first connection of the load, deleted after the last.

use wire::{Method, TableRef};

use super::session::Session;
use crate::driver::DriverError;
use crate::plan::Plan;
use crate::recorder::ServerProperties;
use crate::target::Target;

const CONNECTION: &str = "the topology";

/// Declares the exchange, the queues and their bindings. Returns how the broker introduced itself.
pub(super) fn declare(plan: &Plan, target: &Target) -> Result<ServerProperties, DriverError> {
    let mut session = Session::open(CONNECTION, target)?;
    let durable = plan.scenario.durable;
    if let Some(exchange) = &plan.exchange {
        let declare = Method::ExchangeDeclare {
            exchange,
            kind: "fanout",
            passive: false,
            durable,
            auto_delete: false,
            internal: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        session.call(&declare, |method| {
            matches!(method, Method::ExchangeDeclareOk).then_some(())
        })?;
    }
    for queue in &plan.queues {
        let declare = Method::QueueDeclare {
            queue: &queue.name,
            passive: false,
            durable: queue.durable,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        session.call(&declare, |method| {
            matches!(method, Method::QueueDeclareOk { .. }).then_some(())
        })?;
        if let Some(exchange) = &plan.exchange {
            let bind = Method::QueueBind {
                queue: &queue.name,
                exchange,
                routing_key: "",
                no_wait: false,
                arguments: TableRef::EMPTY,
            };
            session.call(&bind, |method| {
                matches!(method, Method::QueueBindOk).then_some(())
            })?;
        }
    }
    let server = session.server.clone();
    session.close();
    Ok(server)
}

/// Deletes them, with whatever is still in the queues.
pub(super) fn delete(plan: &Plan, target: &Target) -> Result<(), DriverError> {
    let mut session = Session::open(CONNECTION, target)?;
    for queue in &plan.queues {
        let delete = Method::QueueDelete {
            queue: &queue.name,
            if_unused: false,
            if_empty: false,
            no_wait: false,
        };
        session.call(&delete, |method| {
            matches!(method, Method::QueueDeleteOk { .. }).then_some(())
        })?;
    }
    if let Some(exchange) = &plan.exchange {
        let delete = Method::ExchangeDelete {
            exchange,
            if_unused: false,
            no_wait: false,
        };
        session.call(&delete, |method| {
            matches!(method, Method::ExchangeDeleteOk).then_some(())
        })?;
    }
    session.close();
    Ok(())
}
