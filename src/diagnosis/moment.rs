//! Times and durations: parsed as PostgreSQL writes them, formatted for people.

/// A date, a time of day or both, as nanoseconds since 1970 or since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) nanos: i128,
    /// Whether it has a date: times with and without one are not comparable.
    dated: bool,
    /// Whether it has a time zone: times with and without one are not comparable.
    zoned: bool,
}

/// A unit to which times are truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Day,
}

impl Unit {
    /// All units, the finest first.
    pub(super) const ALL: [Unit; 4] =
        [Unit::Microsecond, Unit::Millisecond, Unit::Second, Unit::Day];

    pub(super) fn name(self) -> &'static str {
        match self {
            Unit::Microsecond => "microsecond",
            Unit::Millisecond => "millisecond",
            Unit::Second => "second",
            Unit::Day => "day",
        }
    }

    pub(super) fn nanos(self) -> i128 {
        match self {
            Unit::Microsecond => 1_000,
            Unit::Millisecond => 1_000_000,
            Unit::Second => SECOND,
            Unit::Day => 86_400 * SECOND,
        }
    }
}

pub(super) const SECOND: i128 = 1_000_000_000;

impl Moment {
    /// Parses a date, a time of day or both in ISO format. Returns `None` for anything else, such
    /// as infinity and years BC.
    pub(super) fn parse(text: &str) -> Option<Moment> {
        if text.len() > 40 || !text.is_ascii() {
            return None;
        }
        let (date, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (Some(date), Some(time)),
            None if text.contains(':') => (None, Some(text)),
            None => (Some(text), None),
        };
        let days = date.map_or(Some(0), parse_date)?;
        let (of_day, zone) = time.map_or(Some((0, None)), parse_time)?;
        let seconds = days * 86_400 - zone.unwrap_or(0);
        let nanos = i128::from(seconds) * SECOND + of_day;
        Some(Moment { nanos, dated: date.is_some(), zoned: zone.is_some() })
    }

    /// Returns whether the two can be compared.
    pub(super) fn is_comparable(self, other: Moment) -> bool {
        self.dated == other.dated && self.zoned == other.zoned
    }
}

/// Parses `2026-11-24` as days since 1970.
fn parse_date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let mut next = |least: usize| {
        let part = parts.next()?;
        let plain = part.len() >= least && part.len() < 7;
        (plain && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse::<i64>().ok())?
    };
    let (year, month, day) = (next(4)?, next(2)?, next(2)?);
    if parts.next().is_some() || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Counting years from March puts the leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
            - 719_468,
    )
}

/// Parses `10:00:00.5+05:30` as nanoseconds since midnight, and seconds east of Greenwich if there
/// is a zone.
fn parse_time(text: &str) -> Option<(i128, Option<i64>)> {
    let zone_at = text.find(['+', '-', 'Z']);
    let (time, zone) = match zone_at.and_then(|at| text.split_at_checked(at)) {
        Some((time, rest)) => (time, Some(parse_zone(rest)?)),
        None => (text, None),
    };
    let (whole, part) = time.split_once('.').unwrap_or((time, ""));
    if part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: i128 = format!("{part:0<9}").parse().ok()?;
    Some((i128::from(parse_clock(whole)?) * SECOND + fraction, zone))
}

/// Parses `Z` or `+05:30` as seconds east of Greenwich.
fn parse_zone(text: &str) -> Option<i64> {
    match text.split_at_checked(1)? {
        ("Z", "") => Some(0),
        ("-", time) => Some(-parse_clock(time)?),
        ("+", time) => parse_clock(time),
        _ => None,
    }
}

/// Parses `05`, `05:30` or `05:30:00` as seconds.
fn parse_clock(text: &str) -> Option<i64> {
    let mut seconds = 0;
    let mut unit = 3_600;
    for part in text.split(':') {
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) || unit == 0 {
            return None;
        }
        seconds += part.parse::<i64>().ok()? * unit;
        unit /= 60;
    }
    Some(seconds)
}

/// Formats a duration for people, without its sign: `2h`, `1d 30m`, `0.5s`.
pub(super) fn format_nanos(nanos: i128) -> String {
    let (seconds, fraction) =
        (nanos.unsigned_abs() / SECOND as u128, nanos.unsigned_abs() % SECOND as u128);
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m")];
    let mut words: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    let fraction = format!("{fraction:09}");
    match (seconds % 60, fraction.trim_end_matches('0')) {
        (0, "") => {}
        (whole, "") => words.push(format!("{whole}s")),
        (whole, fraction) => words.push(format!("{whole}.{fraction}s")),
    }
    words.join(" ")
}

/// Formats a time for people, to the second.
pub(super) fn format_moment(moment: i128) -> String {
    let second = i64::try_from(moment.div_euclid(SECOND)).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(second).map_or(String::new(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(text: &str) -> Option<i128> {
        Moment::parse(text).map(|moment| moment.nanos)
    }

    #[test]
    fn times_are_parsed_as_postgresql_writes_them() {
        let second = |text: &str| nanos(text).map(|nanos| nanos / SECOND);
        assert_eq!(second("1970-01-01"), Some(0));
        assert_eq!(second("2026-03-08 19:48:58+00"), Some(1_772_999_338));
        assert_eq!(second("2000-02-29 00:00:00+05:30"), Some(951_762_600));
        assert_eq!(second("10000-01-01T00:00:00Z"), Some(253_402_300_800));
        assert_eq!(nanos("00:00:00.5"), Some(500_000_000));
        for text in
            ["infinity", "2026-01-01 BC", "4", "2026-13-01", "1:2:3", "10:00:00:00", "-", "", "é:"]
        {
            assert_eq!(nanos(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_short() {
        let words = [7_200 * SECOND, -90_061 * SECOND, 1_500_000_000, 1_000].map(format_nanos);
        assert_eq!(words, ["2h", "1d 1h 1m 1s", "1.5s", "0.000001s"]);
    }
}
