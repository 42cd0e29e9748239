//! Whether there are colours: the flag first, then NO_COLOR (no-color.org), then what the terminal says of itself.

use std::env;

use clap::ValueEnum;

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Unless NO_COLOR is set or TERM is dumb.
    #[default]
    Auto,
    /// Whatever the environment says.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether colours are used in this environment.
    #[must_use]
    pub fn is_on(self) -> bool {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        self.decide(is_set("NO_COLOR"), is_dumb)
    }

    fn decide(self, no_color: bool, is_dumb: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => !no_color && !is_dumb,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_wins_over_the_environment() {
        assert!(Color::Auto.decide(false, false));
        assert!(!Color::Auto.decide(true, false) && !Color::Auto.decide(false, true));
        assert!(Color::Always.decide(true, true));
        assert!(!Color::Never.decide(false, false));
    }
}
