//! The highest rate that holds an objective.
//!
//! The engine knows nothing of brokers: it asks for one run at a time and learns whether the rate was held. What counts as
//! held (objective, flat backlog, nothing harmed) is [`judge`]'s.

mod engine;
mod judge;
mod objective;
mod report;

pub use engine::{Bound, Engine, Finding, Found, Phase, Plan, Stop, Tried};
pub use judge::{Criteria, Judgement, judge};
pub use objective::{Objective, ObjectiveError};
pub use report::{Point, Report, draw, table};
