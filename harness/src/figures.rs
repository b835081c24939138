//! Numbers as people read them, the same in reports and charts. Takes floats, gives text.

use crate::statistics::Estimate;

/// Three digits that count, thousands apart: `0.0132`, `9.52`, `1 250 000`.
pub(crate) fn plain(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value == 0.0 {
        return grouped(value.round() as i64);
    }
    // The exponent after rounding to three digits: 9.996 is 10.0, not 10.00.
    let rounded = format!("{size:.2e}");
    let exponent = rounded
        .split_once('e')
        .and_then(|(_, exponent)| exponent.parse::<i32>().ok());
    let decimals = usize::try_from(2 - exponent.unwrap_or(0)).unwrap_or(0);
    format!("{value:.*}", decimals.min(6))
}

/// A whole number with its thousands apart.
pub(crate) fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    if value < 0 { format!("-{text}") } else { text }
}

/// Short, for labels: `350 k`, `1.2 M`, `0.5`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 999_500.0 => (value / 1e6, " M"),
        size if size >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    if unit.is_empty() {
        plain(scaled)
    } else {
        trim(&plain(scaled)) + unit
    }
}

/// A count for labels: `35`, `9 994`, `1.23 M`.
pub(crate) fn count(value: u64) -> String {
    if value < 9_995 {
        value.to_string()
    } else {
        short(value as f64)
    }
}

/// `9.52 [9.41, 9.60]`, or `9.52` alone where there is no interval.
pub(crate) fn interval(estimate: &Estimate) -> String {
    if estimate.has_interval() {
        format!(
            "{} [{}, {}]",
            plain(estimate.median),
            plain(estimate.low),
            plain(estimate.high)
        )
    } else {
        plain(estimate.median)
    }
}

/// Without zeros behind a point.
pub(crate) fn trim(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// Bytes in MiB.
pub(crate) fn mebibytes(bytes: u64) -> String {
    plain(bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_count() {
        let cases = [
            (0.0, "0"),
            (0.013_24, "0.0132"),
            (0.1, "0.100"),
            (0.999_6, "1.00"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (99.96, "100"),
            (123.4, "123"),
            (1_250_000.4, "1 250 000"),
            (-9.52, "-9.52"),
        ];
        for (value, text) in cases {
            assert_eq!(plain(value), text, "{value}");
        }
    }

    #[test]
    fn labels_are_short() {
        let cases = [
            (0.5, "0.500"),
            (200.0, "200"),
            (9_000.0, "9 000"),
            (10_000.0, "10 k"),
            (352_400.0, "352 k"),
            (999_700.0, "1 M"),
            (1_240_000.0, "1.24 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text, "{value}");
        }
        assert_eq!(
            (count(35), count(1_234_567)),
            ("35".to_owned(), "1.23 M".to_owned())
        );
    }
}
