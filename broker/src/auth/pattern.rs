//! Patterns of permissions, as RabbitMQ understands them.
//!
//! A pattern matches a name when it matches any part of it (nothing is anchored); the empty pattern matches the empty name
//! only. RabbitMQ's regular expressions are Perl's, so look-around works here too. A match that would take
//! forever is given up, which counts as none.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

/// Steps after which a match is given up.
const BACKTRACK_MAX: usize = 100_000;
/// The pattern that everything matches.
pub(crate) const EVERYTHING: &str = ".*";

/// A pattern that can be matched.
#[derive(Clone)]
pub(crate) struct Pattern(Kind);

#[derive(Clone)]
enum Kind {
    Everything,
    EmptyName,
    /// Boxed: most patterns are one of the others.
    Regex(Box<Regex>),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        let kind = match text {
            EVERYTHING => Kind::Everything,
            "" | "^$" => Kind::EmptyName,
            text => {
                let regex = RegexBuilder::new(text).backtrack_limit(BACKTRACK_MAX).build();
                Kind::Regex(Box::new(regex.map_err(|error| error.to_string())?))
            }
        };
        Ok(Pattern(kind))
    }

    /// Whether it matches a part of `name`.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Everything => true,
            Kind::EmptyName => name.is_empty(),
            Kind::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Everything => f.write_str("Everything"),
            Kind::EmptyName => f.write_str("EmptyName"),
            Kind::Regex(regex) => fmt::Debug::fmt(regex.as_str(), f),
        }
    }
}

/// The pattern with `{username}` and `{vhost}` replaced by what they stand for, letter by letter.
pub(crate) fn expanded(pattern: &str, user: &str, vhost: &str) -> String {
    pattern
        .replace("{username}", &fancy_regex::escape(user))
        .replace("{vhost}", &fancy_regex::escape(vhost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_rabbitmq() {
        for (pattern, name, expected) in [
            (".*", "anything", true),
            (".*", "", true),
            ("", "", true),
            ("", "x", false),
            ("^$", "x", false),
            ("log", "my-logs", true),
            ("^log$", "my-logs", false),
            ("^(amq\\.|x).*", "amq.direct", true),
            ("^(?!amq\\.).*", "amq.direct", false),
            ("^(?!amq\\.).*", "orders", true),
            ("(a)\\1", "baab", true),
        ] {
            let matches = Pattern::new(pattern).unwrap().matches(name);
            assert_eq!(matches, expected, "'{pattern}' against '{name}'");
        }
        Pattern::new("(").unwrap_err();
    }

    #[test]
    fn a_match_that_takes_forever_is_none() {
        let pattern = Pattern::new("^(a+)+(?=b)$").unwrap();
        assert!(!pattern.matches(&"a".repeat(64)));
    }

    #[test]
    fn variables_stand_for_themselves() {
        assert_eq!(expanded("^{username}-{vhost}\\.", "a.b", "/"), "^a\\.b-/\\.");
        let pattern = Pattern::new(&expanded("^{username}\\.", "a.b", "/")).unwrap();
        assert!(pattern.matches("a.b.x") && !pattern.matches("aXb.x"));
    }
}
