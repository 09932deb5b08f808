//! Durations in specs and flags: "15s", "500ms", "5h30m".

use std::time::Duration;

use jiff::SignedDuration;

use crate::problem::Problem;

/// Reads a duration.
///
/// # Errors
/// If it is not one, or negative. The message is a clause that says which forms there are.
pub fn parse_duration(text: &str) -> Result<Duration, Problem> {
    const FORMS: &str = "write a number with a unit, for example \"15s\", \"500ms\" or \"5h30m\"";
    let duration: SignedDuration = text.trim().parse().map_err(|_| Problem::new(FORMS))?;
    Duration::try_from(duration).map_err(|_| Problem::new("a duration cannot be negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units_and_are_never_negative() {
        assert_eq!(parse_duration("15s").unwrap(), Duration::from_secs(15));
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("5h30m").unwrap(), Duration::from_secs(19_800));
        assert_eq!(parse_duration("0s").unwrap(), Duration::ZERO);
        for text in ["15", "", "-1s", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
