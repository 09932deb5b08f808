//! "Did you mean": the known word nearest to one that is not known.

/// The candidate nearest to the word, if one is near enough to be a slip.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // Half the letters may be wrong at the most, and never more than three.
    let length = word.chars().count();
    let limit = (length / 2).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit)
        .map(|candidate| {
            let folded =
                strsim::damerau_levenshtein(&word.to_lowercase(), &candidate.to_lowercase());
            (folded, candidate)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["table", "query", "where"];
        assert_eq!(did_you_mean("tabel", known), Some("table"));
        assert_eq!(did_you_mean("WHERE", known), Some("where"));
        assert_eq!(did_you_mean("colour", known), None);
        assert_eq!(did_you_mean("", known), None);
    }
}
