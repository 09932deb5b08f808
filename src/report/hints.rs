//! A hint as lines: what explains most findings of a mapping, how many of them, and where to look.

use crate::finding::{DivergenceKind, Hint};
use crate::text::{
    escape_to_one_line, format_count, format_key, format_number, format_percent, wrap,
};

/// The most examples shown of a hint.
const MAX_EXAMPLES: usize = 3;

/// Returns a hint as lines of at most `width` columns. Examples are left out where all findings are
/// shown.
pub(super) fn hint_lines(hint: &Hint, all_shown: bool, width: usize) -> Vec<String> {
    let columns: Vec<String> = hint.columns.iter().map(|name| escape_to_one_line(name)).collect();
    let subject =
        if columns.is_empty() { String::new() } else { format!("{}: ", columns.join(", ")) };
    let share = if hint.fit == hint.of {
        String::new()
    } else {
        format!(" ({})", format_percent(hint.share))
    };
    let (fit, of) = (format_number(hint.fit), format_count(hint.of, noun(hint.kind)));
    let mut text = format!("{subject}{}; {fit} of {of}{share}", escape_to_one_line(&hint.says));
    let examples: Vec<String> = hint.examples.iter().take(MAX_EXAMPLES).map(format_key).collect();
    if !all_shown && !examples.is_empty() {
        text.push_str(&format!(", such as {}", examples.join("; ")));
    }
    wrap("  hint  ", &text, width)
}

/// Returns the noun for findings of a kind.
fn noun(kind: Option<DivergenceKind>) -> &'static str {
    match kind {
        Some(DivergenceKind::OnlyInSource) => "row only in source",
        Some(DivergenceKind::OnlyInTarget) => "row only in target",
        Some(DivergenceKind::Mismatch) => "mismatch",
        Some(DivergenceKind::DuplicateKey) => "duplicate key",
        Some(DivergenceKind::NullKey) => "null key",
        None => "difference",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::NamedValues;

    #[test]
    fn a_hint_says_what_how_many_and_where_to_look() {
        let says = "the target is 2h later".to_owned();
        let mut hint =
            Hint::new("time_shift", Some(DivergenceKind::Mismatch), says, 1_180, 1_200).unwrap();
        hint.columns = vec!["created_at".into(), "odd\nname".into()];
        hint.examples =
            vec![NamedValues(vec![("id".into(), "7".into()), ("part".into(), "x y".into())])];
        insta::assert_snapshot!(hint_lines(&hint, false, 60).join("\n"), @r"
          hint  created_at, odd\nname: the target is 2h later; 1,180
                of 1,200 mismatches (98.3%), such as id=7, part=x y
        ");
        hint.of = 1_180;
        let alone =
            "  hint  created_at, odd\\nname: the target is 2h later; 1,180 of 1,180 mismatches";
        assert_eq!(hint_lines(&hint, true, 100), [alone]);
    }
}
