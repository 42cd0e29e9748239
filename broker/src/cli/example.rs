//! The example of a configuration file, made from the flags' own help, so that it says what they say.

use std::fmt::Write as _;

use clap::Arg;

use super::layers::{FILE_KEY, command, key_of, repeats};

/// Columns of the prose.
const WIDTH: usize = 110;

const HEADER: &str = "\
Configuration of the broker, with every key and its default. `broker --config FILE` reads it, `broker config --check
--config FILE` looks for mistakes, SIGHUP makes a running broker read it again.

A key is a flag's name with _ for -: frame_max is --frame-max, and BROKER_FRAME_MAX in the environment. Flags beat the
environment, which beats this file. A table is the beginning of its keys' names: [ring] with bytes = \"64MiB\" is ring_bytes.
An array is a flag that is repeated. Relative paths are those of the broker's working directory.";

/// The whole file. Lines that begin with `#` and no space are settings that wait to be uncommented.
pub(super) fn text() -> String {
    let mut out = String::new();
    for line in HEADER.lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
    let mut heading = None;
    for arg in command().get_arguments().filter(|arg| key_of(arg) != FILE_KEY) {
        if heading.as_deref() != arg.get_help_heading() {
            heading = arg.get_help_heading().map(str::to_owned);
            let _ = write!(out, "\n# ==== {} ====\n", heading.as_deref().unwrap_or("Others"));
        }
        let _ = write!(out, "\n{}", setting(arg));
    }
    out
}

fn setting(arg: &Arg) -> String {
    let mut out = String::new();
    let help = arg.get_long_help().or(arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    for line in wrapped(&help) {
        let _ = writeln!(out, "# {line}");
    }
    let names = arg.get_value_names().unwrap_or_default();
    let (key, takes) = (key_of(arg), names.join(" "));
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|value| literal(&value.to_string_lossy()))
        .collect();
    let _ = match (repeats(arg), &defaults[..]) {
        (true, []) => writeln!(out, "# {takes}, in an array\n#{key} = []"),
        (true, defaults) => writeln!(out, "# {takes}, in an array\n#{key} = [{}]", defaults.join(", ")),
        (false, [default, ..]) => writeln!(out, "# {takes}\n#{key} = {default}"),
        (false, []) => writeln!(out, "# {key} = {}", literal(&takes)),
    };
    out
}

/// A value in TOML: bare where it is a number or a boolean.
pub(super) fn literal(value: &str) -> String {
    let is_number = value
        .parse::<i64>()
        .is_ok_and(|number| number.to_string() == value);
    if is_number || value == "true" || value == "false" {
        return value.to_owned();
    }
    let mut out = String::from("\"");
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, String::len);
        if last > 0 && last + 1 + word.len() > WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::layers::{Origin, Sources};
    use super::*;
    use crate::config::Config;

    fn loaded(text: &str) -> super::super::layers::Loaded {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("broker.toml");
        std::fs::write(&path, text).unwrap();
        let args = ["broker".into(), OsString::from("--config"), path.into_os_string()];
        let matches = command().try_get_matches_from(args).unwrap();
        Sources::new(&matches, []).load().unwrap()
    }

    #[test]
    fn the_example_says_what_is_so_without_it() {
        assert_eq!(loaded(&text()).config, Config::default());
        let uncommented: String = text()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let loaded = loaded(&uncommented);
        assert_eq!(loaded.config, Config::default());
        for arg in command().get_arguments().filter(|arg| key_of(arg) != FILE_KEY) {
            let key = key_of(arg);
            let is_read = loaded.settings[&key].origin != Origin::Default;
            assert_eq!(is_read, !arg.get_default_values().is_empty(), "{key}");
            assert!(text().contains(&format!("{key} = ")), "{key}");
        }
    }

    #[test]
    fn text_is_quoted_and_numbers_are_not() {
        for (value, written) in [
            ("5", "5"),
            ("true", "true"),
            ("05", "\"05\""),
            ("64MiB", "\"64MiB\""),
            ("a\"b\\\n", "\"a\\\"b\\\\\\u000A\""),
        ] {
            assert_eq!(literal(value), written);
        }
    }
}
