//! The run's queues and exchange: declared before the first connection of the load, deleted after the last.

use std::time::Duration;

use wire::{FieldTable, Method, TableRef};

use super::session::Session;
use crate::driver::DriverError;
use crate::plan::Plan;
use crate::recorder::ServerProperties;
use crate::scenario::QueueType;
use crate::target::Target;

const CONNECTION: &str = "the topology";

/// How long the broker may take to delete a queue with all that it holds.
const DELETE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the broker said while the topology was made.
#[derive(Debug)]
pub(super) struct Declared {
    /// How it introduced itself.
    pub(super) server: ServerProperties,
    /// Messages that were in the queues already: what it recovered after a kill.
    pub(super) queued: u64,
}

/// Declares the exchange, the queues and their bindings.
pub(super) fn declare(plan: &Plan, target: &Target) -> Result<Declared, DriverError> {
    let mut queued = 0;
    let mut session = Session::open(CONNECTION, target)?;
    let durable = plan.scenario.durable;
    if let Some(exchange) = &plan.exchange {
        let declare = Method::ExchangeDeclare {
            exchange,
            kind: plan.scenario.routing.exchange_kind().unwrap_or_default(),
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
    let arguments = queue_arguments(plan).to_bytes();
    for queue in &plan.queues {
        let declare = Method::QueueDeclare {
            queue: &queue.name,
            passive: plan.only_consumes(),
            durable: queue.durable,
            exclusive: false,
            auto_delete: false,
            no_wait: false,
            arguments: TableRef::parse(&arguments).expect("a table this crate encoded is valid"),
        };
        queued += session.call(&declare, |method| match *method {
            Method::QueueDeclareOk { message_count, .. } => Some(u64::from(message_count)),
            _ => None,
        })?;
    }
    for binding in &plan.bindings {
        let bind = Method::QueueBind {
            queue: &plan.queues[binding.queue].name,
            exchange: plan.exchange.as_deref().unwrap_or_default(),
            routing_key: &binding.key,
            no_wait: false,
            arguments: TableRef::EMPTY,
        };
        session.call(&bind, |method| {
            matches!(method, Method::QueueBindOk).then_some(())
        })?;
    }
    let server = session.server.clone();
    session.close();
    Ok(Declared { server, queued })
}

fn queue_arguments(plan: &Plan) -> FieldTable {
    let mut arguments = FieldTable::new();
    if let Some(kind) = plan.scenario.queue_type {
        arguments.insert(QueueType::ARGUMENT, kind.name());
    }
    arguments
}

/// Deletes them, with whatever is still in the queues; queues with fixed names stay.
pub(super) fn delete(plan: &Plan, target: &Target) -> Result<(), DriverError> {
    let mut session = Session::open(CONNECTION, target)?;
    session.set_answer_timeout(DELETE_TIMEOUT)?;
    for queue in plan.own_queues() {
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
