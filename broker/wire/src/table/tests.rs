//! Tables: round trips, hostile input, bounds.
