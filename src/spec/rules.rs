//! `rule`: how the two values of a pair may differ and still be the same.

/// The rules there are, by their first word.
const RULES: [&str; 6] =
    ["exact", "json", "trimmed", "case_insensitive", "precision", "null_as_empty"];

/// Checks a rule's spelling; nothing but `exact` is acted on yet.
///
/// # Errors
/// What the rule should have been, as a sentence.
pub(super) fn check_rule(text: &str) -> Result<(), String> {
    let (word, argument) = match text.split_once('(') {
        Some((word, rest)) => (word, rest.strip_suffix(')')),
        None => (text, None),
    };
    let precision = |argument: &str| {
        matches!(argument, "ms" | "s") || argument.parse::<u16>().is_ok_and(|places| places <= 1000)
    };
    let fits = match word {
        "precision" => argument.is_some_and(precision),
        _ => RULES.contains(&word) && !text.contains('('),
    };
    if fits {
        return Ok(());
    }
    match super::did_you_mean(word, RULES) {
        Some("precision") => Err("Write precision(ms), precision(s) or precision(2).".into()),
        Some(near) => Err(format!("Did you mean \"{near}\"?")),
        None => Err(format!("Rules are {}.", RULES.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::check_rule;

    #[test]
    fn rules_are_checked_to_the_letter() {
        for rule in ["exact", "json", "precision(ms)", "precision(s)", "precision(2)"] {
            assert_eq!(check_rule(rule), Ok(()), "{rule}");
        }
        for rule in ["jsn", "precision", "precision(h)", "precision(2", "json()", ""] {
            assert!(check_rule(rule).is_err(), "{rule}");
        }
    }
}
