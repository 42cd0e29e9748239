//! A sweep: every combination of some fields' values, each run several times.

mod grid;
mod report;

pub use grid::{Axis, AxisError, GridError, GridPoint, POINTS_MAX, grid, schedule};
pub use report::{PointReport, Report, draw, table};
