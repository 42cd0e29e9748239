//! Numbers for people: three significant digits with a unit, the same in progress, summary and charts.

/// `1.62 M/s`, `50.0 k/s`, `17.0 /s`
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        value if value >= 999_500.0 => format!("{} M/s", three_digits(value / 1e6)),
        value if value >= 999.5 => format!("{} k/s", three_digits(value / 1e3)),
        value => format!("{} /s", three_digits(value)),
    }
}

/// `0.50 µs`, `480 µs`, `1.24 ms`, `2.10 s`, from µs.
#[must_use]
pub fn latency_us(us: f64) -> String {
    match us {
        us if us >= 999_500.0 => format!("{} s", three_digits(us / 1e6)),
        us if us >= 999.5 => format!("{} ms", three_digits(us / 1e3)),
        us => format!("{} µs", three_digits(us)),
    }
}

/// `38.4 MiB`
#[must_use]
pub fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let number = match unit {
        0 if value.fract() == 0.0 || value >= 9.95 => format!("{value:.0}"),
        // Of a message.
        0 => format!("{value:.2}"),
        _ => three_digits(value),
    };
    format!("{number} {}", UNITS[unit])
}

/// `97,412,345`
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `0.8 %`
#[must_use]
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn three_digits(value: f64) -> String {
    match value.abs() {
        magnitude if magnitude >= 99.95 => format!("{value:.0}"),
        magnitude if magnitude >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_unit() {
        assert_eq!(
            [rate(1_620_000.0), rate(999_600.0), rate(50_000.0), rate(17.0)],
            ["1.62 M/s", "1.00 M/s", "50.0 k/s", "17.0 /s"]
        );
        assert_eq!(
            [
                latency_us(0.5),
                latency_us(480.0),
                latency_us(999.7),
                latency_us(2.1e6)
            ],
            ["0.50 µs", "480 µs", "1.00 ms", "2.10 s"]
        );
        assert_eq!(
            [
                bytes(12.0),
                bytes(0.25),
                bytes(40.0 * 1024.0 * 1024.0),
                bytes(1e9)
            ],
            ["12 B", "0.25 B", "40.0 MiB", "954 MiB"]
        );
        assert_eq!(
            [count(0), count(999), count(1_000), count(97_412_345)],
            ["0", "999", "1,000", "97,412,345"]
        );
        assert_eq!(percent(0.0081), "0.8 %");
    }
}
