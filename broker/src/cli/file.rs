//! A TOML file as settings: `key = value`, a key being a flag's name with `_` for `-`.
//!
//! A table's name is the beginning of its keys' names: `[ring]` with `bytes = "64MiB"` is `ring_bytes = "64MiB"`. Values
//! are written as on the command line, in quotes or, where TOML has numbers and booleans, without. An array is a flag
//! that is repeated.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem, nearest};

/// A setting of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// One, or several where the flag may be repeated.
    pub(super) values: Vec<String>,
    pub(super) line: usize,
}

/// What is known of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) repeats: bool,
    /// There is something to be without.
    pub(super) has_default: bool,
}

/// Reads a file. Gives what could be understood, and what is wrong with the rest.
pub(super) fn read(path: &Path, keys: &[Key<'_>]) -> (Vec<Entry>, Vec<Problem>) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path, keys),
        Err(error) => {
            let problem = Problem {
                origin: Origin::File(path.to_owned(), None),
                text: format!("cannot read it: {error}"),
            };
            (Vec::new(), vec![problem])
        }
    }
}

fn parse(text: &str, path: &Path, keys: &[Key<'_>]) -> (Vec<Entry>, Vec<Problem>) {
    let mut reader = Reader {
        text,
        path,
        keys,
        entries: Vec::new(),
        lines: BTreeMap::new(),
        problems: Vec::new(),
    };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.refuse(at, error.message().to_owned());
    }
    let mut found = Vec::new();
    flatten("", document.get_ref(), &mut found);
    // The parser sorts by name.
    found.sort_by_key(|(_, at, _)| *at);
    for (key, at, value) in found {
        reader.entry(key, at, value);
    }
    reader.problems.sort_by_key(|problem| problem.origin.line());
    (reader.entries, reader.problems)
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    keys: &'a [Key<'a>],
    entries: Vec<Entry>,
    /// Where each key was first.
    lines: BTreeMap<String, usize>,
    problems: Vec<Problem>,
}

/// Keys with their positions and values, tables taken apart.
fn flatten<'a>(prefix: &str, table: &'a DeTable<'_>, found: &mut Vec<(String, usize, &'a DeValue<'a>)>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&format!("{key}_"), inner, found),
            single => found.push((key, name.span().start, single)),
        }
    }
}

impl Reader<'_> {
    fn entry(&mut self, name: String, at: usize, value: &DeValue<'_>) {
        let keys = self.keys;
        let Some(key) = keys.iter().find(|key| key.name == name) else {
            let near = nearest(&name.replace('-', "_"), keys.iter().map(|key| key.name));
            let hint = near.map_or_else(
                || "`broker config --example` shows all".to_owned(),
                |near| format!("perhaps '{near}'"),
            );
            self.refuse(at, format!("unknown key '{name}'; {hint}"));
            return;
        };
        let line = self.line(at);
        if let Some(first) = self.lines.insert(name.clone(), line) {
            self.refuse(at, format!("key '{name}' is given in line {first} already"));
            return;
        }
        let values = match value {
            // None instead of the default ones, which is an empty value on the command line.
            DeValue::Array(items) if key.repeats && key.has_default && items.is_empty() => {
                Ok(vec![String::new()])
            }
            DeValue::Array(items) if key.repeats => items.iter().map(|item| scalar(item.get_ref())).collect(),
            DeValue::Array(_) => Err("takes one value, not an array".to_owned()),
            single => scalar(single).map(|text| vec![text]),
        };
        match values {
            Ok(values) if values.is_empty() && !key.has_default => {}
            Ok(values) => self.entries.push(Entry {
                key: name,
                values,
                line,
            }),
            Err(problem) => self.refuse(at, format!("key '{name}' {problem}")),
        }
    }

    fn refuse(&mut self, at: usize, text: String) {
        let origin = Origin::File(self.path.to_owned(), Some(self.line(at)));
        self.problems.push(Problem { origin, text });
    }

    /// The line of a position, counted from 1.
    fn line(&self, at: usize) -> usize {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        before.iter().filter(|&&byte| byte == b'\n').count() + 1
    }
}

/// A value as the command line would have it.
fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    Ok(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Integer(_) => return Err("takes decimal numbers, or text in quotes".to_owned()),
        DeValue::Datetime(_) => return Err("takes no date; put text in quotes".to_owned()),
        DeValue::Array(_) | DeValue::Table(_) => {
            return Err("takes text, numbers and booleans, nothing inside each other".to_owned());
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [Key<'_>; 5] = [
        key("ring_bytes", false, true),
        key("ring_messages", false, true),
        key("listen", true, true),
        key("user", true, false),
        key("tls_verify", false, true),
    ];

    const fn key(name: &str, repeats: bool, has_default: bool) -> Key<'_> {
        Key {
            name,
            repeats,
            has_default,
        }
    }

    fn read(text: &str) -> (Vec<Entry>, Vec<String>) {
        let (entries, problems) = parse(text, Path::new("b.toml"), &KEYS);
        (entries, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn a_table_is_the_beginning_of_its_keys_names() {
        let text = "listen = ['a', \"b\"]\ntls_verify = true\n\n[ring]\nbytes = '1.5MiB'\nmessages = 1_000\n";
        let entry = |key: &str, values: &[&str], line| {
            let values = values.iter().map(|&value| value.to_owned()).collect::<Vec<_>>();
            Entry {
                key: key.to_owned(),
                values,
                line,
            }
        };
        let expected = vec![
            entry("listen", &["a", "b"], 1),
            entry("tls_verify", &["true"], 2),
            entry("ring_bytes", &["1.5MiB"], 5),
            entry("ring_messages", &["1000"], 6),
        ];
        assert_eq!(read(text), (expected, Vec::new()));
        let none = vec![entry("listen", &[""], 1)];
        assert_eq!(read("listen = []\nuser = []"), (none, Vec::new()));
    }

    #[test]
    fn all_mistakes_are_told_each_with_its_line() {
        let text = "ring-byte = 1\nnonsense = 2\nring_bytes = [1]\nlisten = [[1]]\ntls_verify = 2020-01-01\nring_messages = 0x10\n[tls]\nverify = 'a'\n[ring]\nbytes = ";
        let (_, problems) = read(text);
        let expected = [
            "b.toml:1: unknown key 'ring-byte'; perhaps 'ring_bytes'",
            "b.toml:2: unknown key 'nonsense'; `broker config --example` shows all",
            "b.toml:3: key 'ring_bytes' takes one value, not an array",
            "b.toml:4: key 'listen' takes text, numbers and booleans",
            "b.toml:5: key 'tls_verify' takes no date",
            "b.toml:6: key 'ring_messages' takes decimal numbers",
            "b.toml:8: key 'tls_verify' is given in line 5 already",
            "b.toml:10: ",
        ];
        for start in expected {
            assert!(
                problems.iter().any(|problem| problem.starts_with(start)),
                "{start}: {problems:#?}"
            );
        }
    }
}
