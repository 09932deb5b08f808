//! Suggestions ("Did you mean …?"): the known word that is most similar to an unknown one.

/// Returns the known word that is most similar, if one is similar enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // At most half the letters may be wrong, and never more than three.
    let length = word.chars().count();
    let limit = (length / 2).clamp(1, 3);
    known
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
    fn typing_errors_are_recognised_and_other_words_are_not() {
        let known = ["table", "query", "where"];
        assert_eq!(did_you_mean("tabel", known), Some("table"));
        assert_eq!(did_you_mean("WHERE", known), Some("where"));
        assert_eq!(did_you_mean("colour", known), None);
        assert_eq!(did_you_mean("", known), None);
    }
}
