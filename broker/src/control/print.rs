//! Answers as text for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::logging::{inert_json, push_printable};

/// Rows as one object each.
pub(super) fn objects(answer: &Value) -> Value {
    let columns = list(&answer["columns"]);
    let object = |row: &Value| -> Value {
        let names = columns.iter().filter_map(Value::as_str).map(str::to_owned);
        names
            .zip(list(row).iter().cloned())
            .collect::<Map<String, Value>>()
            .into()
    };
    list(&answer["rows"]).iter().map(object).collect()
}

/// Rows in columns that are as wide as their widest value: numbers to the right, texts to the left.
pub(super) fn table(answer: &Value) -> String {
    let heads: Vec<String> = list(&answer["columns"]).iter().map(cell).collect();
    let rows = list(&answer["rows"]);
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| list(row).iter().map(cell).collect())
        .collect();
    let is_number = |column: usize| {
        let mut values = rows
            .iter()
            .map(|row| &row[column])
            .filter(|value| !value.is_null())
            .peekable();
        values.peek().is_some() && values.all(Value::is_number)
    };
    let width = |column: usize| {
        let all = cells.iter().map(|row| &row[column]).chain([&heads[column]]);
        all.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let formats: Vec<(usize, bool)> = (0..heads.len())
        .map(|column| (width(column), is_number(column)))
        .collect();
    let mut out = String::new();
    for row in std::iter::once(&heads).chain(&cells) {
        let mut line = String::new();
        for (cell, (width, is_number)) in row.iter().zip(&formats) {
            let gap = if line.is_empty() { "" } else { "  " };
            let _ = match is_number {
                true => write!(line, "{gap}{cell:>width$}"),
                false => write!(line, "{gap}{cell:<width$}"),
            };
        }
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// A value in a table: what would move the cursor is escaped, nothing is a dash.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        // Rates, of which a whole one needs no decimal.
        Value::Number(number)
            if number.as_f64().is_some_and(|value| value.fract() == 0.0) && number.is_f64() =>
        {
            format!("{:.0}", number.as_f64().unwrap_or_default())
        }
        Value::Object(object) if object.is_empty() => "{}".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// Names are chosen by clients: without what a terminal would obey, or would turn round.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_printable(&mut out, text);
    out
}

/// A text of several lines, each of them plain.
pub(super) fn lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(plain).collect();
    lines.join("\n")
}

/// JSON in one line, as harmless.
pub(super) fn json(value: &Value) -> String {
    inert_json(&value.to_string())
}

/// JSON for people, with the end of its last line.
pub(super) fn json_at_length(value: &Value) -> String {
    inert_json(&format!("{value:#}\n"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What came of a reload.
pub(super) fn reloaded(answer: &Value) -> String {
    let mut out = String::new();
    let mut tell = |what: &str, list: &Value| {
        for change in list.as_array().into_iter().flatten() {
            let text = |name: &str| cell(&change[name]);
            let (key, from, to, origin) = (text("key"), text("from"), text("to"), text("origin"));
            let _ = writeln!(out, "{what}: {key} from \"{from}\" to \"{to}\" ({origin})");
        }
    };
    tell("changed", &answer["changed"]);
    tell("at the next start", &answer["waiting"]);
    for done in list(&answer["done"]) {
        let _ = writeln!(out, "done: {}", cell(done));
    }
    for note in list(&answer["notes"]) {
        let _ = writeln!(out, "note: {}", cell(note));
    }
    match out.is_empty() {
        true => "nothing has changed\n".to_owned(),
        false => out,
    }
}

/// How the broker is.
pub(super) fn status(status: &Value) -> String {
    let mut out = Sections::default();
    let text = |value: &Value| cell(value);
    let (version, state, pid) = (text(&status["version"]), text(&status["state"]), &status["pid"]);
    let up = status["uptime_ms"].as_u64().map_or_else(String::new, time);
    out.line("broker", format!("{version}, {state} for {up}, process {pid}"));
    let directory = text(&status["data_directory"]);
    if status.get("durability").is_none() {
        out.line("data directory", directory);
        return out.text;
    }
    out.line(
        "data directory",
        format!("{directory}, durability {}", text(&status["durability"])),
    );
    let listeners = list(&status["listeners"]).iter();
    let listeners: Vec<String> = listeners
        .map(|one| format!("{} {}", text(&one["protocol"]), text(&one["address"])))
        .collect();
    out.line("listeners", listeners.join(", "));
    let memory = &status["memory"];
    let (used, budget) = (&memory["budget_used_bytes"], &memory["budget_bytes"]);
    out.line(
        "memory",
        format!(
            "{} resident; {} of the budget of {}{}",
            size(&memory["resident_bytes"]),
            size(used),
            size(budget),
            share(used, budget)
        ),
    );
    let disk = &status["disk"];
    let checkpoint = disk["checkpoint_age_ms"]
        .as_u64()
        .map_or_else(|| "none yet".to_owned(), |ms| format!("{} ago", time(ms)));
    out.line(
        "disk",
        format!(
            "{} free (alarm below {}); logs {}; checkpoint {checkpoint}",
            size(&disk["free_bytes"]),
            size(&disk["free_min_bytes"]),
            size(&disk["log_bytes"])
        ),
    );
    let files = &status["file_descriptors"];
    out.line(
        "files open",
        format!("{} of {}", text(&files["open"]), text(&files["max"])),
    );
    let log = &status["log"];
    if !log.is_null() {
        let figures = ["commits", "sync_mean_us", "syncing"].map(|name| text(&log[name]));
        let [commits, mean, share] = figures;
        out.line(
            "log",
            format!("{commits} commits/s, {mean} µs each, {share} % of the time"),
        );
    }
    let threads = list(&status["threads"]).iter().take(THREADS_MAX);
    let threads: Vec<String> = threads
        .map(|one| format!("{} {} %", text(&one["name"]), text(&one["busy"])))
        .collect();
    if !threads.is_empty() {
        out.line("threads busy", threads.join(", "));
    }
    pairs(&mut out, "totals", &status["totals"]);
    pairs(&mut out, "per second", &status["rates"]);
    let alarms = list(&status["alarms"]).iter().map(|alarm| text(&alarm["text"]));
    out.lines("alarms", alarms.collect());
    let waits = list(&status["waits"]).iter();
    let waits = waits.map(|wait| {
        format!(
            "{} ({}) for {}: {}",
            text(&wait["who"]),
            text(&wait["count"]),
            text(&wait["cause"]),
            text(&wait["text"])
        )
    });
    out.lines("waiting", waits.collect());
    out.text
}

/// Threads that are shown, the busiest first.
const THREADS_MAX: usize = 5;
const LABEL: usize = 16;
/// Pairs on a line.
const PAIRS: usize = 4;

#[derive(Default)]
struct Sections {
    text: String,
}

impl Sections {
    fn line(&mut self, label: &str, text: impl AsRef<str>) {
        let _ = writeln!(self.text, "{label:<LABEL$}{}", text.as_ref());
    }

    fn lines(&mut self, label: &str, texts: Vec<String>) {
        if texts.is_empty() {
            return self.line(label, "none");
        }
        for (index, text) in texts.iter().enumerate() {
            self.line(if index == 0 { label } else { "" }, text);
        }
    }
}

fn pairs(out: &mut Sections, label: &str, object: &Value) {
    let all: Vec<String> = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name} {}", cell(value)))
        .collect();
    if !all.is_empty() {
        out.lines(label, all.chunks(PAIRS).map(|some| some.join("  ")).collect());
    }
}

/// Bytes in the largest unit of which there is one.
fn size(bytes: &Value) -> String {
    let Some(bytes) = bytes.as_f64() else {
        return "-".to_owned();
    };
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit as f64) {
        Some((name, unit)) => format!("{:.1} {name}", bytes / *unit as f64),
        None => format!("{bytes} B"),
    }
}

fn share(part: &Value, whole: &Value) -> String {
    match (part.as_f64(), whole.as_f64()) {
        (Some(part), Some(whole)) if whole > 0.0 => format!(" ({:.0} %)", 100.0 * part / whole),
        _ => String::new(),
    }
}

/// Milliseconds in the two largest units.
fn time(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{}.{} s", s, ms % 1000 / 100),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_values_and_numbers_stand_right() {
        let answer = json!({"columns": ["name", "messages", "rate"], "rows": [["a\u{1b}[2J", 7, null], ["orders", 12345678901u64, 1.5]]});
        let expected = "name           messages  rate\n\
                        a\\u{1b}[2J            7     -\n\
                        orders      12345678901   1.5\n";
        assert_eq!(table(&answer), expected);
        assert_eq!(
            objects(&answer)[1],
            json!({"name": "orders", "messages": 12345678901u64, "rate": 1.5})
        );
        assert_eq!(table(&json!({"columns": ["name", "n"], "rows": []})), "name  n\n");
    }

    #[test]
    fn nothing_turns_a_terminal_round() {
        let name = "a\u{9b}2J\u{202e}b\u{2066}\u{7f}ö";
        let shown = json(&json!({"name": name}));
        assert_eq!(shown, r#"{"name":"a\u009b2J\u202eb\u2066\u007fö"}"#);
        let read: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["name"], name);
        assert_eq!(
            lines(&format!("x:\n{name}\n")),
            "x:\na\\u{9b}2J\\u{202e}b\\u{2066}\\u{7f}ö\n"
        );
    }

    #[test]
    fn times_and_sizes_have_the_unit_that_suits_them() {
        let times = [900, 59_900, 61_000, 3_660_000, 90_000_000].map(time);
        assert_eq!(times, ["0.9 s", "59.9 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
        let sizes = [json!(null), json!(100), json!(1536), json!(3u64 << 30)].map(|bytes| size(&bytes));
        assert_eq!(sizes, ["-", "100 B", "1.5 KiB", "3.0 GiB"]);
    }
}
