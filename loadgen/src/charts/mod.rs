//! Charts of runs, searches, comparisons and the history: as SVG, light and dark, and as PNG.
//!
//! A page is a header (title, verdict, what it was paid for with), one or more plots, and a footer with where the figures come
//! from: run ids, commit, machine, date, command. Files are named by a stem: `<stem>.svg`, `<stem>-dark.svg`, `<stem>.png`.

mod axis;
pub mod bars;
mod caption;
pub mod curve;
mod font;
pub mod forest;
mod heat;
mod legend;
mod marker;
mod page;
mod panel;
mod picture;
mod run;
mod theme;
pub mod trend;
mod unit;
mod views;

pub use caption::Caption;
pub use picture::WIDTH;
pub use run::{write_overview, write_run, write_run_to};
pub use unit::Unit;
