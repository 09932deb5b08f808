//! Counts, shares and durations for people.

use std::time::Duration;

/// Formats a number with its noun: `3 findings`, `1 finding`, `2 rows with a NULL`.
pub fn format_count(count: u64, noun: &str) -> String {
    let plural = match noun {
        _ if count == 1 => noun.to_owned(),
        noun if noun.ends_with("ch") => format!("{noun}es"),
        noun => match noun.split_once(' ') {
            Some(("row", rest)) => format!("rows {rest}"),
            _ => format!("{noun}s"),
        },
    };
    format!("{} {plural}", format_number(count))
}

/// Formats a number with its digits in groups of three: `2,000,000`.
pub fn format_number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a share, rounded down, so that 100% means all.
pub fn format_percent(share: f64) -> String {
    let thousandths = (share * 1000.0).floor();
    if thousandths >= 1000.0 { "100%".into() } else { format!("{:.1}%", thousandths / 10.0) }
}

/// Formats a duration in its two largest units: `4.2s`, `3m05s`, `1h01m`.
pub fn format_duration(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0..60 => format!("{:.1}s", elapsed.as_secs_f64()),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped_by_three() {
        let texts = [0, 999, 1_000, 1_234_567].map(format_number);
        assert_eq!(texts, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn shares_are_rounded_down() {
        let texts = [1.0, 0.9999, 0.5, 0.0].map(format_percent);
        assert_eq!(texts, ["100%", "99.9%", "50.0%", "0.0%"]);
    }

    #[test]
    fn durations_have_two_units() {
        let texts = [59, 61, 3_660].map(|s| format_duration(Duration::from_secs(s)));
        assert_eq!(texts, ["59.0s", "1m01s", "1h01m"]);
    }
}
