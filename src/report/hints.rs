//! Hints for people: what explains most findings of a mapping, how many of them, and where to look.

use crate::finding::{Hint, Kind};
use crate::text::{escape_to_one_line, format_count, format_key, format_number, format_percent};

/// Examples shown of a hint.
const SHOWN: usize = 3;

/// A hint as lines no wider than `width`. Examples are left out where the findings themselves are shown.
pub(super) fn lines_of(hint: &Hint, all_shown: bool, width: usize) -> Vec<String> {
    let columns: Vec<String> = hint.columns.iter().map(|name| escape_to_one_line(name)).collect();
    let subject =
        if columns.is_empty() { String::new() } else { format!("{}: ", columns.join(", ")) };
    let share = if hint.fit == hint.of {
        String::new()
    } else {
        format!(" ({})", format_percent(hint.share))
    };
    let what = what(hint.kind);
    let (fit, of) = (format_number(hint.fit), format_count(hint.of, what));
    let mut text = format!("{subject}{}; {fit} of {of}{share}", escape_to_one_line(&hint.says));
    let examples: Vec<String> = hint.examples.iter().take(SHOWN).map(format_key).collect();
    if !all_shown && !examples.is_empty() {
        text.push_str(&format!(", such as {}", examples.join("; ")));
    }
    wrapped("  hint  ", &text, width)
}

fn what(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::OnlyInSource) => "row only in source",
        Some(Kind::OnlyInTarget) => "row only in target",
        Some(Kind::Mismatch) => "mismatch",
        Some(Kind::DuplicateKey) => "duplicate key",
        Some(Kind::NullKey) => "null key",
        None => "difference",
    }
}

fn wrapped(first: &str, text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![first.to_owned()];
    let mut empty = true;
    for word in text.split(' ') {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if !empty && last + 1 + word.chars().count() > width {
            lines.push(" ".repeat(first.len()));
            empty = true;
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(if empty { "" } else { " " });
            line.push_str(word);
            empty = false;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Named;

    #[test]
    fn a_hint_says_what_how_many_and_where_to_look() {
        let says = "the target is 2h later".to_owned();
        let mut hint = Hint::of("time_shift", Some(Kind::Mismatch), says, 1_180, 1_200).unwrap();
        hint.columns = vec!["created_at".into(), "odd\nname".into()];
        hint.examples = vec![Named(vec![("id".into(), "7".into()), ("part".into(), "x y".into())])];
        insta::assert_snapshot!(lines_of(&hint, false, 60).join("\n"), @r"
          hint  created_at, odd\nname: the target is 2h later; 1,180
                of 1,200 mismatches (98.3%), such as id=7, part=x y
        ");
        hint.of = 1_180;
        let alone =
            "  hint  created_at, odd\\nname: the target is 2h later; 1,180 of 1,180 mismatches";
        assert_eq!(lines_of(&hint, true, 100), [alone]);
    }
}
