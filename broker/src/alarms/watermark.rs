//! How much memory the process may have before publishers wait: as an operator writes it.

use std::fmt;
use std::str::FromStr;

use crate::cli::{bytes_u64, size_text};

/// See the module documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    /// Never.
    None,
    /// So many bytes.
    Bytes(u64),
    /// This share of what the machine has, or of the control group's limit where that is less.
    Percent(u8),
}

impl Watermark {
    /// In bytes, where so many are available; `None` when there is no mark, or a share of what is not known.
    pub fn bytes(self, available: Option<u64>) -> Option<u64> {
        match self {
            Watermark::None => None,
            Watermark::Bytes(bytes) => Some(bytes),
            Watermark::Percent(percent) => {
                let share = u128::from(available?) * u128::from(percent) / 100;
                u64::try_from(share).ok()
            }
        }
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Watermark::None => f.write_str("0"),
            Watermark::Bytes(bytes) => f.write_str(&size_text(*bytes)),
            Watermark::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for Watermark {
    type Err = String;

    fn from_str(text: &str) -> Result<Watermark, String> {
        let text = text.trim();
        if let Some(percent) = text.strip_suffix('%') {
            return match percent.trim().parse() {
                Ok(percent @ 1..=100) => Ok(Watermark::Percent(percent)),
                _ => Err("expected a percentage from 1% to 100%".to_owned()),
            };
        }
        match bytes_u64(text) {
            Ok(0) => Ok(Watermark::None),
            Ok(bytes) => Ok(Watermark::Bytes(bytes)),
            Err(error) => Err(format!("{error}, a percentage such as 60%, or 0 for none")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_shares_and_none_are_read_and_shown() {
        let cases = [
            ("0", Watermark::None),
            ("512MiB", Watermark::Bytes(512 << 20)),
            ("60%", Watermark::Percent(60)),
            ("100 %", Watermark::Percent(100)),
        ];
        for (text, expected) in cases {
            let read: Watermark = text.parse().unwrap();
            assert_eq!(read, expected);
            assert_eq!(read.to_string(), text.replace(' ', ""));
        }
        for text in ["0%", "101%", "-1%", "1.5%", "%", "much", ""] {
            let refused = text.parse::<Watermark>().unwrap_err();
            assert!(refused.contains('%'), "{text}: {refused}");
        }
    }

    #[test]
    fn a_share_is_one_of_what_is_available() {
        assert_eq!(Watermark::Percent(60).bytes(Some(1000)), Some(600));
        assert_eq!(Watermark::Percent(100).bytes(Some(u64::MAX)), Some(u64::MAX));
        assert_eq!(Watermark::Percent(60).bytes(None), None);
        assert_eq!(Watermark::Bytes(7).bytes(None), Some(7));
        assert_eq!(Watermark::None.bytes(Some(1000)), None);
    }
}
