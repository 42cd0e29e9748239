//! Calendar time for names and labels; nothing is measured with it.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: u64 = 86_400;

/// A moment in UTC, to the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc {
    unix_s: u64,
}

impl Utc {
    /// Now; a clock before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            unix_s: since.as_secs(),
        }
    }

    /// `2026-11-23T22:04:05Z`
    #[must_use]
    pub fn iso(self) -> String {
        let ((year, month, day), (hour, minute, second)) = self.parts();
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }

    /// `20261123T220405Z`: sorts by time, fits file names.
    #[must_use]
    pub fn compact(self) -> String {
        self.iso().replace(['-', ':'], "")
    }

    /// `2026-11-23 22:04 UTC`
    #[must_use]
    pub fn short(self) -> String {
        let ((year, month, day), (hour, minute, _)) = self.parts();
        format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
    }

    /// Date and time of day. Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    fn parts(self) -> ((u64, u64, u64), (u64, u64, u64)) {
        let days = self.unix_s / SECONDS_PER_DAY + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        let year = year_of_era + era * 400 + u64::from(month <= 2);
        let second = self.unix_s % SECONDS_PER_DAY;
        (
            (year, month, day),
            (second / 3_600, second / 60 % 60, second % 60),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_known_dates() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (1_795_471_445, "2026-11-23T22:04:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ];
        for (unix_s, expected) in cases {
            assert_eq!(Utc { unix_s }.iso(), expected);
        }
        let utc = Utc {
            unix_s: 1_795_471_445,
        };
        assert_eq!(
            (utc.compact().as_str(), utc.short().as_str()),
            ("20261123T220405Z", "2026-11-23 22:04 UTC")
        );
    }
}
