//! Durations as people write them: "15s", "500ms", "5h30m".

use std::time::Duration;

use jiff::SignedDuration;

/// Reads a duration.
///
/// # Errors
/// When it is not one, or negative; the text says which forms are understood.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORMS: &str = "write a number with a unit, for example \"15s\", \"500ms\" or \"5h30m\"";
    let duration: SignedDuration = text.trim().parse().map_err(|_| FORMS.to_owned())?;
    Duration::try_from(duration).map_err(|_| "a duration cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units_and_are_never_negative() {
        assert_eq!(parse_duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5h30m"), Ok(Duration::from_secs(19_800)));
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        for text in ["15", "", "-1s", "soon"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
