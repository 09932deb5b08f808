//! A finding as lines: one if it fits, otherwise one per column, otherwise one per value.
//!
//! If a value is still too long, both are shown from shortly before the first character in which they
//! differ: two long documents with the same start would look the same.

use crate::finding::{Disposition, DivergenceKind, Finding, FindingPlace, NamedValues, Recurrence};
use crate::schema::BySide;
use crate::text::{
    display_width, escape_to_one_line, format_count, format_group, format_key, format_number, pad,
    truncate,
};

/// The most columns shown of a finding.
const MAX_COLUMNS: usize = 5;
/// The room for a value on a narrow terminal.
const MIN_ROOM: usize = 30;
/// Characters shown of two long values before they differ.
const COMMON_CHARS: usize = 8;

/// Returns the lines of a finding, none wider than `width` unless its key is.
pub(super) fn finding_lines(finding: &Finding, width: usize) -> Vec<String> {
    let head = head(finding);
    let pairs = &finding.columns.0;
    let names: Vec<String> = pairs.iter().map(|(name, _)| escape_to_one_line(name)).collect();
    if let [] | [_] = pairs.as_slice() {
        let values = pairs.iter().filter(|_| !finding.keys_only);
        let values = values.map(|(_, both)| value_texts(both).join(" | "));
        let words = names.iter().cloned().chain(values).collect::<Vec<_>>().join(" ");
        let line = format!("  {head}  {words}").trim_end().to_owned();
        if pairs.is_empty() || display_width(&line) <= width {
            return vec![line];
        }
    }
    let widest = names.iter().take(MAX_COLUMNS).map(|name| display_width(name)).max().unwrap_or(0);
    let room = width.saturating_sub(4 + widest + 2).max(MIN_ROOM);
    let mut lines = vec![format!("  {head}")];
    for (name, (_, both)) in names.iter().zip(pairs).take(MAX_COLUMNS) {
        let values = if finding.keys_only { vec![String::new()] } else { value_lines(both, room) };
        for (place, value) in values.iter().enumerate() {
            let name = if place == 0 { name } else { "" };
            lines.push(format!("    {}  {value}", pad(name, widest)).trim_end().to_owned());
        }
    }
    if pairs.len() > MAX_COLUMNS {
        let more = format_count((pairs.len() - MAX_COLUMNS) as u64, "column");
        lines.push(format!("    … and {more} more"));
    }
    lines
}

/// Returns the kind of a finding and which rows it is about.
fn head(finding: &Finding) -> String {
    let kind = match finding.kind {
        DivergenceKind::OnlyInSource => "only in source",
        DivergenceKind::OnlyInTarget => "only in target",
        DivergenceKind::Mismatch => "mismatch",
        DivergenceKind::DuplicateKey => "duplicate key",
        DivergenceKind::NullKey => "null key",
    };
    let place = match &finding.place {
        FindingPlace::Key(key) => format_key(key),
        FindingPlace::Range(range, rows) => {
            let end = |key: &Option<NamedValues<String>>, open: &str| {
                key.as_ref().map_or(open.to_owned(), format_key)
            };
            let (after, through) = (end(&range.after, "the start"), end(&range.through, "the end"));
            let of = finding
                .range_rows
                .map_or(String::new(), |all| format!(" of {}", format_number(all)));
            format!("{}{of} after {after} through {through}", format_count(*rows, "row"))
        }
        FindingPlace::Duplicate(side, rows, key) => {
            format!("{} ({} in {side})", format_key(key), format_count(*rows, "row"))
        }
        FindingPlace::NullKey(side, rows) => format!("{} in {side}", format_count(*rows, "row")),
    };
    let disposition = match (finding.disposition(), &finding.accept_reason) {
        (Disposition::Confirmed, _) => String::new(),
        (Disposition::Unsettled, _) => " (kept changing)".to_owned(),
        (Disposition::Accepted, reason) => {
            format!(" (accepted: {})", escape_to_one_line(reason.as_deref().unwrap_or_default()))
        }
    };
    let group = match &finding.group {
        None => String::new(),
        Some(group) => format!(" in group {}", format_group(group.as_deref())),
    };
    let recurrence = match finding.recurrence {
        None => String::new(),
        Some(recurrence) => {
            let runs = format_count(finding.runs, "run");
            match recurrence {
                Recurrence::Same => format!(" (the same in {runs})"),
                Recurrence::Changed => format!(" (in {runs}, with other values)"),
                Recurrence::Returned => format!(" (in {runs}, gone in between)"),
            }
        }
    };
    format!("{kind:<15} {place}{group}{disposition}{recurrence}")
}

/// Returns both values, quoted.
fn value_texts(both: &BySide<Option<String>>) -> [String; 2] {
    [&both.source, &both.target].map(|value| match value {
        Some(text) => escape_to_one_line(&format!("{text:?}")),
        None => "NULL".to_owned(),
    })
}

/// Returns both values in at most `room` columns: `source | target`, or a line each.
fn value_lines(both: &BySide<Option<String>>, room: usize) -> Vec<String> {
    let [source, target] = value_texts(both);
    let line = format!("{source} | {target}");
    if display_width(&line) <= room {
        return vec![line];
    }
    let common = source.chars().zip(target.chars()).take_while(|(a, b)| a == b).count();
    let skipped = common.saturating_sub(COMMON_CHARS);
    vec![format!("{} |", excerpt(&source, skipped, room - 2)), excerpt(&target, skipped, room - 2)]
}

/// Returns at most `room` columns of a text, without its first characters if it does not fit whole.
fn excerpt(text: &str, skipped: usize, room: usize) -> String {
    if display_width(text) <= room {
        return text.to_owned();
    }
    let (before, room) = if skipped == 0 { ("", room) } else { ("…", room - 1) };
    let rest = text.char_indices().nth(skipped).map_or("", |(at, _)| &text[at..]);
    if display_width(rest) <= room {
        return format!("{before}{rest}");
    }
    format!("{before}{}…", truncate(rest, room - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(source: &str, target: &str, room: usize) -> Vec<String> {
        let text = |text: &str| Some(text.to_owned());
        value_lines(&BySide { source: text(source), target: text(target) }, room)
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let x = |count| "x".repeat(count);
        assert_eq!(lines("a", "b", 30), [r#""a" | "b""#]);
        let (one, other) = (x(20) + "1", x(20) + "2");
        assert_eq!(lines(&one, &other, 30), [format!("\"{one}\" |"), format!("\"{other}\"")]);
        let (one, other) = (x(50) + "1", x(50) + "2");
        assert_eq!(lines(&one, &other, 30), [r#"…xxxxxxxx1" |"#, r#"…xxxxxxxx2""#]);
        let (one, other) = (one + &"y".repeat(50), other + "z");
        assert_eq!(lines(&one, &other, 20), ["…xxxxxxxx1yyyyyyy… |", r#"…xxxxxxxx2z""#]);
        assert_eq!(lines(&one, "b", 20), [r#""xxxxxxxxxxxxxxxx… |"#, r#""b""#]);
    }

    #[test]
    fn no_line_is_wider_than_its_room() {
        for (a, b) in [(0, 90), (20, 20), (90, 0), (90, 90), (29, 3), (14, 40)] {
            for room in 20..120 {
                for line in lines(&"x".repeat(a), &format!("{}y", "x".repeat(b)), room) {
                    assert!(display_width(&line) <= room, "{a} {b} {room} {line}");
                }
            }
        }
    }
}
