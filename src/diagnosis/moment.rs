//! Moments and lengths of time, read as PostgreSQL writes them and told to people.

/// Nanoseconds since 1970, or since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) nanos: i128,
    /// Dates and times of day are no moments of each other.
    dated: bool,
    /// A clock time and a moment meet in no zone that could be known here.
    zoned: bool,
}

/// What a moment is cut off behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Day,
}

impl Unit {
    /// The finest first: what is cut off behind the second is cut off behind the millisecond by chance.
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
    /// Reads a date, a time of day or both, in ISO's form; nothing for anything else, infinity and years
    /// before Christ among it.
    pub(super) fn parse(text: &str) -> Option<Moment> {
        if text.len() > 40 || !text.is_ascii() {
            return None;
        }
        let (date, time) = match text.split_once([' ', 'T']) {
            Some((date, time)) => (Some(date), Some(time)),
            None if text.contains(':') => (None, Some(text)),
            None => (Some(text), None),
        };
        let days = date.map_or(Some(0), days)?;
        let (of_day, zone) = time.map_or(Some((0, None)), time_of_day)?;
        let seconds = days * 86_400 - zone.unwrap_or(0);
        let nanos = i128::from(seconds) * SECOND + of_day;
        Some(Moment { nanos, dated: date.is_some(), zoned: zone.is_some() })
    }

    /// Whether one can be held against the other.
    pub(super) fn meets(self, other: Moment) -> bool {
        self.dated == other.dated && self.zoned == other.zoned
    }
}

/// Days since 1970 of `2026-11-24`.
fn days(text: &str) -> Option<i64> {
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
    // Years begin in March, so that a leap day is the last of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(
        365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
            - 719_468,
    )
}

/// Nanoseconds since midnight, and seconds east of Greenwich, if it says so, of `10:00:00.5+05:30`.
fn time_of_day(text: &str) -> Option<(i128, Option<i64>)> {
    let zone_at = text.find(['+', '-', 'Z']);
    let (time, zone) = match zone_at.and_then(|at| text.split_at_checked(at)) {
        Some((time, rest)) => (time, Some(zone(rest)?)),
        None => (text, None),
    };
    let (whole, part) = time.split_once('.').unwrap_or((time, ""));
    if part.len() > 9 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: i128 = format!("{part:0<9}").parse().ok()?;
    Some((i128::from(clock(whole)?) * SECOND + fraction, zone))
}

fn zone(text: &str) -> Option<i64> {
    match text.split_at_checked(1)? {
        ("Z", "") => Some(0),
        ("-", clock_time) => Some(-clock(clock_time)?),
        ("+", clock_time) => clock(clock_time),
        _ => None,
    }
}

/// Seconds of `05`, `05:30` or `05:30:00`.
fn clock(text: &str) -> Option<i64> {
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

/// A length of time for people: `2h`, `1d 30m`, `0.5s`.
pub(super) fn length(nanos: i128) -> String {
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

/// A moment for people, to the second.
pub(super) fn written(moment: i128) -> String {
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
    fn moments_are_read_as_they_are_written() {
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
    fn lengths_of_time_are_short() {
        let words = [7_200 * SECOND, -90_061 * SECOND, 1_500_000_000, 1_000].map(length);
        assert_eq!(words, ["2h", "1d 1h 1m 1s", "1.5s", "0.000001s"]);
    }
}
