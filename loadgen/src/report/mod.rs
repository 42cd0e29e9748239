//! The report: one HTML page over the whole history, which loads nothing from anywhere.
//!
//! The page's parts lie in `page/` and become part of the program; at run time only the data is put in. Own code instead of a
//! framework: a page that is kept beside results must still open in ten years.

mod details;
mod page;

pub use details::{Curve, Curves, Detail, Details, Gathered, gather};
pub use page::page;
