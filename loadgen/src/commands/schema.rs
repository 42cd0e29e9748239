//! `loadgen schema`: the JSON Schemas of the files that loadgen reads and writes.

use std::io::{self, Write};

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::{result, scenario};

/// `loadgen schema scenario`.
#[derive(Clone, Debug, Args)]
pub struct SchemaArguments {
    /// The file to describe.
    #[arg(value_enum)]
    pub file: SchemaFile,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaFile {
    /// A scenario, as one writes it.
    Scenario,
    /// A run's run.json, as loadgen writes it.
    Run,
}

/// Prints a schema.
///
/// # Errors
/// None; it is a command as any other.
pub fn schema(arguments: &SchemaArguments) -> Result<u8, Failure> {
    let schema = match arguments.file {
        SchemaFile::Scenario => scenario::json_schema(),
        SchemaFile::Run => result::json_schema(),
    };
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain data");
    // A closed output is the reader's choice.
    let _ = writeln!(io::stdout(), "{text}");
    Ok(0)
}
