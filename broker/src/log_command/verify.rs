//! The report on a data directory.

use std::io::Write;
use std::path::Path;

use super::run::Outcome;
use super::survey::{QueueSurvey, Survey};

/// Reads everything and prints one line a queue, then one a problem.
pub(super) fn verify(directory: &Path, out: &mut dyn Write) -> anyhow::Result<Outcome> {
    let survey = Survey::read(directory)?;
    for queue in &survey.queues {
        writeln!(out, "{}", line(queue))?;
    }
    for problem in &survey.problems {
        writeln!(out, "{problem}")?;
    }
    let (queues, problems) = (survey.queues.len(), survey.problems.len());
    writeln!(out, "queues: {queues}, problems: {problems}")?;
    Ok(match problems {
        0 => Outcome::Clean,
        _ => Outcome::Problems,
    })
}

fn line(queue: &QueueSurvey) -> String {
    let (kept, settled) = queue.messages();
    let bytes: u64 = queue.segments.iter().map(|segment| segment.bytes).sum();
    let what = match &queue.name {
        Some(name) => name.to_string(),
        None => "log without a queue".to_owned(),
    };
    format!(
        "{what}, id {}: {kept} messages kept, {settled} settled, {} live; {bytes} bytes in {} segments",
        queue.id,
        kept - settled,
        queue.segments.len()
    )
}
