//! A time as people write it.

const DAY_S: u64 = 86_400;

/// Milliseconds since the Unix epoch as RFC 3339 in UTC: `2026-03-01T12:00:00.250Z`.
pub(crate) fn iso(timestamp_ms: u64) -> String {
    format!(
        "{}.{:03}Z",
        to_the_second(timestamp_ms / 1000),
        timestamp_ms % 1000
    )
}

/// The same of microseconds: `2026-03-01T12:00:00.250125Z`.
pub(crate) fn iso_us(timestamp_us: u64) -> String {
    format!(
        "{}.{:06}Z",
        to_the_second(timestamp_us / 1_000_000),
        timestamp_us % 1_000_000
    )
}

fn to_the_second(seconds: u64) -> String {
    let (year, month, day) = civil(seconds / DAY_S);
    let of_day = seconds % DAY_S;
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// Year, month and day of so many days after 1970-01-01 (Howard Hinnant's `civil_from_days`, with years that start in
/// March, so that the leap day comes last).
fn civil(days: u64) -> (u64, u64, u64) {
    const ERA_DAYS: u64 = 146_097;
    let days = days + 719_468;
    let (era, of_era) = (days / ERA_DAYS, days % ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (timestamp_ms, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(timestamp_ms), expected);
        }
        assert_eq!(iso_us(1_700_000_000_123_456), "2023-11-14T22:13:20.123456Z");
        iso(u64::MAX);
    }
}
