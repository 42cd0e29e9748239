//! The comparison page: one HTML file without scripts or anything from elsewhere, for light and dark, wide and narrow screens.
//!
//! A bar is the median of the counted runs, on a scale from zero that all entrants of a figure share; its error bar reaches
//! from the lowest run to the highest. Every text that comes from outside goes through [`escape`].

use std::fmt::{self, Write as _};

use super::document::{Attempt, Cell, Document, EntrantEntry, ScenarioEntry, Spread};
use super::metric::{METRICS, Metric};
use super::table::show;
use crate::durability::Durability;
use crate::recorder::ServerProperties;

/// Colours of the style sheet; further entrants begin again.
const COLOURS: usize = 6;

/// The page's text.
#[must_use]
pub fn page(document: &Document) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_page(&mut out, document);
    out
}

fn write_page(out: &mut String, document: &Document) -> fmt::Result {
    let names: Vec<_> = document
        .entrants
        .iter()
        .map(|entrant| escape(&entrant.name))
        .collect();
    let title = format!("{}: brokers compared", names.join(", "));
    write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>\n{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        include_str!("page.css"),
    )?;
    write_circumstances(out, document)?;
    for entry in &document.scenarios {
        write_scenario(out, document, entry)?;
    }
    writeln!(out, "<h2>The brokers and their settings</h2>")?;
    for entrant in &document.entrants {
        write_entrant(out, entrant)?;
    }
    writeln!(out, "<h2>Every run</h2>")?;
    write_runs(out, document)?;
    writeln!(out, "</body>\n</html>")
}

fn write_circumstances(out: &mut String, document: &Document) -> fmt::Result {
    let environment = &document.environment;
    writeln!(
        out,
        "<p class=\"quiet\">{} · {} · {} · generator {}</p>",
        escape(&document.started),
        escape(&environment.machine()),
        escape(&environment.kernel),
        escape(&environment.commit_short()),
    )?;
    writeln!(
        out,
        "<p class=\"quiet\">{} rounds, shuffled with seed {}; before each run a pause until the machine is calm, at most {} s; \
         an invalid run is repeated at most {} times and in no figure. A bar is the median, its line reaches from the lowest \
         run to the highest. Generator and broker share the machine.</p>",
        document.rounds, document.seed, document.settle_s_max, document.retries_max,
    )?;
    if document.interrupted {
        writeln!(
            out,
            "<p class=\"warn\">Cut short: not every cell has its rounds.</p>"
        )?;
    }
    if !environment.is_release() {
        writeln!(
            out,
            "<p class=\"warn\">A debug build: these figures mean little.</p>"
        )?;
    }
    writeln!(out, "<pre>{}</pre>", escape(&shell_words(&document.command)))
}

fn write_scenario(out: &mut String, document: &Document, entry: &ScenarioEntry) -> fmt::Result {
    let scenario = &entry.scenario;
    let cells: Vec<&Cell> = document.cells_of(&scenario.name).collect();
    writeln!(
        out,
        "<h2>{}</h2>\n<p>{}</p>",
        escape(&scenario.name),
        escape(&scenario.description)
    )?;
    let asked = Durability::of(scenario, &ServerProperties::default()).describe_request();
    writeln!(
        out,
        "<p class=\"quiet\">{} · load {}</p>",
        escape(&asked),
        escape(&entry.hash)
    )?;
    if entry.comparison.comparable {
        writeln!(
            out,
            "<p class=\"quiet\">Comparable: {}</p>",
            escape(&entry.comparison.reason)
        )?;
    } else {
        writeln!(
            out,
            "<p class=\"warn\">Not comparable: {}</p>",
            escape(&entry.comparison.reason)
        )?;
    }
    if scenario.measures_latency() && !scenario.is_open_loop() {
        writeln!(
            out,
            "<p class=\"quiet\">The window of messages in flight decides the latency here (Little's law): see it beside the \
             rate, and compare latencies where the rate is fixed.</p>"
        )?;
    }
    for cell in &cells {
        writeln!(
            out,
            "<p class=\"quiet\">{}: {}; {} of {} runs counted</p>",
            escape(&cell.entrant),
            cell.promise.describe(),
            cell.counted().count(),
            cell.attempts.len(),
        )?;
    }
    writeln!(out, "<div class=\"metrics\">")?;
    for metric in METRICS {
        write_metric(out, metric, document, &cells)?;
    }
    writeln!(out, "</div>")
}

fn write_metric(out: &mut String, metric: &Metric, document: &Document, cells: &[&Cell]) -> fmt::Result {
    let spreads: Vec<Option<Spread>> = cells
        .iter()
        .map(|cell| cell.spread(metric.id, document.seed))
        .collect();
    let Some(top) = spreads.iter().flatten().map(|spread| spread.max).reduce(f64::max) else {
        return Ok(());
    };
    let better = if metric.more_is_better {
        "more is better"
    } else {
        "less is better"
    };
    writeln!(
        out,
        "<section>\n<h3>{} <span class=\"quiet\">{better}</span></h3>",
        metric.label
    )?;
    for (index, (cell, spread)) in cells.iter().zip(spreads).enumerate() {
        write!(
            out,
            "<div class=\"row\"><span class=\"name\" title=\"{0}\">{0}</span><div class=\"track\">",
            escape(&cell.entrant)
        )?;
        if let Some(spread) = spread.filter(|_| top > 0.0) {
            let percent = |value: f64| 100.0 * value / top;
            write!(
                out,
                "<div class=\"bar c{}\" style=\"width:{:.2}%\"></div><div class=\"error\" style=\"left:{:.2}%;width:{:.2}%\"></div>",
                index % COLOURS,
                percent(spread.median),
                percent(spread.min),
                percent(spread.max - spread.min),
            )?;
        }
        writeln!(
            out,
            "</div><span class=\"value\">{}</span></div>",
            show(metric, spread)
        )?;
    }
    writeln!(out, "</section>")
}

fn write_entrant(out: &mut String, entrant: &EntrantEntry) -> fmt::Result {
    writeln!(
        out,
        "<h3>{}</h3>\n<p class=\"quiet\">{} · {} {}</p>",
        escape(&entrant.name),
        escape(&entrant.server),
        escape(&entrant.subject),
        escape(&entrant.arguments.join(" ")),
    )?;
    match &entrant.settings {
        Some(settings) => writeln!(out, "<pre>{}</pre>", escape(settings.trim_end())),
        None => Ok(()),
    }
}

fn write_runs(out: &mut String, document: &Document) -> fmt::Result {
    writeln!(
        out,
        "<details><summary>{} runs</summary>\n<div class=\"scroll\"><table>\n\
         <tr><th>round</th><th>scenario</th><th>broker</th><th>seed</th><th>counted</th><th>run</th><th>remarks</th></tr>",
        document
            .cells
            .iter()
            .map(|cell| cell.attempts.len())
            .sum::<usize>(),
    )?;
    let mut runs: Vec<(&Cell, &Attempt)> = document
        .cells
        .iter()
        .flat_map(|cell| cell.attempts.iter().map(move |attempt| (cell, attempt)))
        .collect();
    runs.sort_by_key(|(_, attempt)| attempt.round);
    for (cell, attempt) in runs {
        let counted = if attempt.counted { "yes" } else { "no" };
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{counted}</td><td>{}</td><td>{}</td></tr>",
            attempt.round,
            escape(&cell.scenario),
            escape(&cell.entrant),
            attempt.seed,
            escape(attempt.run.as_deref().unwrap_or("–")),
            escape(&attempt.reasons.join("; ")),
        )?;
    }
    writeln!(out, "</table></div></details>")
}

/// The command as it is typed: what holds blanks is quoted.
fn shell_words(command: &[String]) -> String {
    let quoted = command.iter().map(|word| {
        if word.contains(char::is_whitespace) {
            format!("'{word}'")
        } else {
            word.clone()
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Text as HTML, also within an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::super::document::tests::document;
    use super::*;

    #[test]
    fn the_page_holds_every_broker_and_escapes_what_comes_from_outside() {
        let html = page(&document());
        for expected in [
            "<h3>ours</h3>",
            "<h3>&lt;b&gt;theirs&lt;/b&gt;</h3>",
            "<pre>a = 1 &amp; b</pre>",
            "Not comparable: durability differs: &lt;b&gt;theirs&lt;/b&gt;",
            "persistent messages on durable queues · confirms, window 1,000",
            "CPU &lt;used&gt; by others",
            "20261129T000000Z-20p20c-abcdef0",
            "The window of messages in flight decides the latency here",
            "prefers-color-scheme: dark",
        ] {
            assert!(html.contains(expected), "{expected} is not in\n{html}");
        }
        assert!(!html.contains("<b>") && !html.contains("<broker>"), "{html}");
        assert!(!html.contains("http"), "everything is in the file");
    }

    #[test]
    fn a_bar_is_the_median_on_the_common_scale_and_its_line_the_range() {
        let html = page(&document());
        // Of 300 k/s: median 200, from 100 to 300; and median 30, from 20 to 40.
        for expected in [
            "<div class=\"bar c0\" style=\"width:66.67%\"></div><div class=\"error\" style=\"left:33.33%;width:66.67%\">",
            "<div class=\"bar c1\" style=\"width:10.00%\"></div><div class=\"error\" style=\"left:6.67%;width:6.67%\">",
        ] {
            assert!(html.contains(expected), "{expected} is not in\n{html}");
        }
    }
}
