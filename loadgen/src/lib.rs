//! Load generator for AMQP 0-9-1 brokers: scenario → plan → driver → recorder → result → history → charts.
//!
//! What is measured, from when, and what is not claimed: `METHOD.md` beside this crate.
#![forbid(unsafe_code)]

pub mod app;
pub mod body;
pub mod charts;
pub mod churn;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod comparison;
pub mod conductor;
pub mod control;
pub mod cost;
pub mod driver;
pub mod duel;
pub mod durability;
pub mod embedded;
pub mod environment;
pub mod failure;
#[cfg(test)]
mod fixtures;
pub mod formats;
pub mod history;
pub mod invocation;
pub mod ledger;
pub mod listener;
pub mod live;
pub mod matrix;
pub mod metric;
pub mod metrics;
pub mod outages;
pub mod perftest;
pub mod plan;
pub mod process_meter;
mod random;
pub mod rate_curve;
pub mod reading;
pub mod recorder;
pub mod recovery;
pub mod repeat;
pub mod report;
pub mod result;
pub mod runner;
pub mod sampler;
pub mod scenario;
pub mod schedule;
pub mod search;
mod sequence_set;
pub mod statistics;
pub mod storage;
pub mod subject;
pub mod summary;
pub mod sweep;
pub mod target;
pub mod terminal;
pub mod units;
pub mod usage;
pub mod utc;
pub mod variety;
pub mod verdict;
mod weights;
pub mod work;
pub mod workers;
