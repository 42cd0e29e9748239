//! The command line as results repeat it: so that a run can be made again, without what nobody else may know.

use std::ffi::OsString;
use std::path::Path;

/// Stands where a secret stood.
const HIDDEN: &str = "…";

/// This process's command line: the program's name without its directory, then the arguments without passwords.
#[must_use]
pub fn command() -> Vec<String> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let name = Path::new(&program).file_name().unwrap_or_default();
    std::iter::once(name.to_string_lossy().into_owned())
        .chain(without_secrets(arguments))
        .collect()
}

/// The arguments without the passwords in URLs, in the broker's `--user NAME:PASSWORD`, and after flags that are
/// called password, secret or token.
pub fn without_secrets(arguments: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let mut flag_before = String::new();
    let mut shown = Vec::new();
    for argument in arguments {
        let argument = without_url_passwords(&argument.to_string_lossy());
        if argument.contains(" --") {
            // A broker's flags in one argument, as in 'two=embedded --user me:secret'.
            let words = argument.split(' ').map(OsString::from);
            shown.push(without_secrets(words).join(" "));
            continue;
        }
        // What is passed on to the broker counts as if it stood alone.
        let (passed_on, own) = match argument.strip_prefix("--broker-arg=") {
            Some(own) => ("--broker-arg=", own),
            None => ("", argument.as_str()),
        };
        let text = if let Some((flag, value)) = own.split_once('=').filter(|_| own.starts_with("--")) {
            flag_before.clear();
            format!("{flag}={}", without_secret(flag, value))
        } else if own.starts_with("--") {
            if own != "--broker-arg" {
                own.clone_into(&mut flag_before);
            }
            own.to_owned()
        } else {
            without_secret(&std::mem::take(&mut flag_before), own)
        };
        shown.push(format!("{passed_on}{text}"));
    }
    shown
}

/// The value of a flag, as far as it may be shown.
fn without_secret(flag: &str, value: &str) -> String {
    match value.split_once(':') {
        Some((name, _)) if flag == "--user" => format!("{name}:{HIDDEN}"),
        _ if ["password", "secret", "token"]
            .iter()
            .any(|word| flag.contains(word)) =>
        {
            HIDDEN.into()
        }
        _ => value.into(),
    }
}

/// `amqp://user:secret@host` → `amqp://user@host`, for every URL in `text`. A password that holds `/` or `@` unescaped
/// must not show either, so everything up to the last `@` counts as credentials.
fn without_url_passwords(text: &str) -> String {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_string();
    for part in parts {
        shown.push_str("://");
        let Some((credentials, rest)) = part.rsplit_once('@') else {
            shown.push_str(part);
            continue;
        };
        let user = credentials.split_once(':').map_or(credentials, |(user, _)| user);
        shown.push_str(user);
        shown.push('@');
        shown.push_str(rest);
    }
    shown
}

/// Arguments as one would type them in a shell.
#[must_use]
pub fn shell(command: &[String]) -> String {
    let is_plain = |text: &String| {
        !text.is_empty()
            && text
                .chars()
                .all(|it| it.is_alphanumeric() || "-_=./:@,+…%".contains(it))
    };
    let quoted = command.iter().map(|text| {
        if is_plain(text) {
            text.clone()
        } else {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(arguments: &[&str]) -> String {
        without_secrets(arguments.iter().map(OsString::from)).join(" ")
    }

    #[test]
    fn passwords_do_not_show() {
        let cases: [(&[&str], &str); 8] = [
            (
                &["--url", "amqp://me:secret@host:1/v"],
                "--url amqp://me@host:1/v",
            ),
            (
                &["--url=amqp://me:se/cr@et@host", "--quiet"],
                "--url=amqp://me@host --quiet",
            ),
            (
                &["--peers", "a=amqp://x:y@h,b=amqp://v:w@i"],
                "--peers a=amqp://x@h,b=amqp://v@i",
            ),
            (
                &["--broker-arg=--user=me:secret", "--broker-arg=--reactors=2"],
                "--broker-arg=--user=me:… --broker-arg=--reactors=2",
            ),
            (
                &["--broker-arg", "--user", "--broker-arg", "me:secret"],
                "--broker-arg --user --broker-arg me:…",
            ),
            (&["--api-password", "secret", "x"], "--api-password … x"),
            (&["--api-token=secret"], "--api-token=…"),
            (
                &["--target", "x=embedded --user me:secret", "--seed", "1"],
                "--target x=embedded --user me:… --seed 1",
            ),
        ];
        for (arguments, expected) in cases {
            assert_eq!(shown(arguments), expected);
        }
    }

    #[test]
    fn everything_else_stays_as_it_was_typed() {
        let arguments = ["--scenario", "20p20c", "--url", "amqp://host", "--rate", "5:6"];
        assert_eq!(shown(&arguments), arguments.join(" "));
        assert!(!command()[0].contains('/'));
    }

    #[test]
    fn commands_are_quoted_as_a_shell_needs_it() {
        let command = ["loadgen", "--x", "a b", "it's"].map(String::from);
        assert_eq!(shell(&command), "loadgen --x 'a b' 'it'\\''s'");
    }
}
