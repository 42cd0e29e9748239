//! Sizes and times as people write them: `128KiB`, `1.5GiB`, `16MB`, `10s`, `500ms`.

use std::time::Duration;

/// Units of size, the largest first, so that a size is shown in the largest that divides it.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];
/// Units of time, in milliseconds.
const TIMES: [(&str, u64); 4] = [("h", 3_600_000), ("min", 60_000), ("s", 1000), ("ms", 1)];

/// A size in bytes.
pub(crate) fn bytes_u64(text: &str) -> Result<u64, String> {
    let expected = || {
        format!(
            "expected a size such as 4096, 64KiB or 16MiB (units {})",
            names(&SIZES)
        )
    };
    scaled(text, &SIZES, 1).ok_or_else(expected)
}

/// A size in bytes that memory can have.
pub(super) fn bytes(text: &str) -> Result<usize, String> {
    let value = bytes_u64(text)?;
    usize::try_from(value).map_err(|_| format!("at most {} bytes", usize::MAX))
}

/// A size in bytes that a 32-bit field can hold.
pub(super) fn bytes_u32(text: &str) -> Result<u32, String> {
    let value = bytes_u64(text)?;
    u32::try_from(value).map_err(|_| format!("at most {} bytes", u32::MAX))
}

/// A time; a bare number counts seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let expected = || {
        format!(
            "expected a time such as 10s or 500ms (units {}; none means s)",
            names(&TIMES)
        )
    };
    scaled(text, &TIMES, 1000)
        .map(Duration::from_millis)
        .ok_or_else(expected)
}

/// Restricts a time to whole seconds in a range.
pub(super) fn whole_seconds(time: Duration, min_s: u64, max_s: u64) -> Result<Duration, String> {
    if time.subsec_nanos() != 0 || !(min_s..=max_s).contains(&time.as_secs()) {
        return Err(format!("expected whole seconds from {min_s}s to {max_s}s"));
    }
    Ok(time)
}

/// A size in the largest unit that divides it.
pub(crate) fn size_text(bytes: u64) -> String {
    let divides = |&&(_, unit): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(unit);
    let (name, unit) = SIZES.iter().find(divides).unwrap_or(&SIZES[SIZES.len() - 1]);
    format!("{}{name}", bytes / unit)
}

/// A time of whole seconds.
pub(crate) fn duration_text(time: Duration) -> String {
    format!("{}s", time.as_secs())
}

/// A number and a unit, without regard to the unit's case; `None` when it is neither or does not fit.
fn scaled(text: &str, units: &[(&str, u64)], unit_default: u64) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = (&text[..digits], text[digits..].trim_start());
    let unit = match unit {
        "" => unit_default,
        unit => units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1,
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let fraction: f64 = number.parse().ok()?;
    let value = fraction * unit as f64;
    (value.fract() == 0.0 && value < u64::MAX as f64).then_some(value as u64)
}

fn names(units: &[(&str, u64)]) -> String {
    units.iter().map(|&(name, _)| name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64 kib", 65_536),
            ("1.5MiB", 1_572_864),
            ("16MB", 16_000_000),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes_u64(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "KiB",
            "4k",
            "-1",
            "1.3B",
            "1e9",
            "1..5MiB",
            "99999999999GiB",
            "20000000000.5GiB",
        ] {
            assert!(
                bytes_u64(text).unwrap_err().contains("units GiB, MiB, KiB"),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        for text in ["16MiB", "128KiB", "1GiB", "1kB", "0B", "3GB", "1001B"] {
            assert_eq!(size_text(bytes_u64(text).unwrap()), text);
        }
    }

    #[test]
    fn times_are_read_in_seconds_unless_they_say_otherwise() {
        let cases = [
            ("10", 10_000),
            ("10s", 10_000),
            ("250ms", 250),
            ("1.5s", 1500),
            ("2min", 120_000),
            ("1h", 3_600_000),
        ];
        for (text, expected) in cases {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        assert!(duration("10 parsec").unwrap_err().contains("units h, min, s, ms"));
    }
}
