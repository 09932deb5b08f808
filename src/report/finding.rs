//! A finding as people read it: on one line where there is room, else a line a column, else a line a
//! value.
//!
//! Where a value is too long even so, both are shown from shortly before the first place where they
//! differ: two long documents that begin alike would else look the same.

use crate::finding::{Disposition, Finding, Kind, Named, Place, Recurrence};
use crate::schema::BySide;
use crate::text::{escape_to_one_line, format_count, format_group, format_key, format_number};

/// Columns shown of one finding.
const SHOWN: usize = 5;
/// What is left of the two values before they differ.
const BEFORE: usize = 8;

/// The lines of a finding, none wider than `width` unless its key is.
pub(super) fn lines_of(finding: &Finding, width: usize) -> Vec<String> {
    let head = head(finding);
    let columns = &finding.columns.0;
    let names: Vec<String> = columns.iter().map(|(name, _)| escape_to_one_line(name)).collect();
    if let [] | [_] = columns.as_slice() {
        let values = columns.iter().filter(|_| !finding.keys_only);
        let values = values.map(|(_, both)| texts(both).join(" | "));
        let words = names.iter().cloned().chain(values).collect::<Vec<_>>().join(" ");
        let line = format!("  {head}  {words}").trim_end().to_owned();
        if columns.is_empty() || line.chars().count() <= width {
            return vec![line];
        }
    }
    let widest = names.iter().take(SHOWN).map(|name| name.chars().count()).max().unwrap_or(0);
    let room = width.saturating_sub(4 + widest + 2).max(30);
    let mut lines = vec![format!("  {head}")];
    for (name, (_, both)) in names.iter().zip(columns).take(SHOWN) {
        let values = if finding.keys_only { vec![String::new()] } else { sides(both, room) };
        for (place, value) in values.iter().enumerate() {
            let name = if place == 0 { name } else { "" };
            lines.push(format!("    {name:<widest$}  {value}").trim_end().to_owned());
        }
    }
    if columns.len() > SHOWN {
        lines.push(format!(
            "    … and {} more",
            format_count((columns.len() - SHOWN) as u64, "column")
        ));
    }
    lines
}

/// What kind of finding, and where.
fn head(finding: &Finding) -> String {
    let kind = match finding.kind {
        Kind::OnlyInSource => "only in source",
        Kind::OnlyInTarget => "only in target",
        Kind::Mismatch => "mismatch",
        Kind::DuplicateKey => "duplicate key",
        Kind::NullKey => "null key",
    };
    let place = match &finding.place {
        Place::Key(key) => format_key(key),
        Place::Range(range, rows) => {
            let end = |key: &Option<Named<String>>, open: &str| {
                key.as_ref().map_or(open.to_owned(), format_key)
            };
            let (after, through) = (end(&range.after, "the start"), end(&range.through, "the end"));
            let of = finding
                .range_rows
                .map_or(String::new(), |all| format!(" of {}", format_number(all)));
            format!("{}{of} after {after} through {through}", format_count(*rows, "row"))
        }
        Place::Duplicate(side, rows, key) => {
            format!("{} ({} in {side})", format_key(key), format_count(*rows, "row"))
        }
        Place::NullKey(side, rows) => format!("{} in {side}", format_count(*rows, "row")),
    };
    let aside = match (finding.disposition(), &finding.accept_reason) {
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
    let seen = match finding.recurrence {
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
    format!("{kind:<15} {place}{group}{aside}{seen}")
}

/// Both values as they are written.
fn texts(both: &BySide<Option<String>>) -> [String; 2] {
    [&both.source, &both.target].map(|value| match value {
        Some(text) => escape_to_one_line(&format!("{text:?}")),
        None => "NULL".to_owned(),
    })
}

/// Both values within so much room: `source | target`, or a line each.
fn sides(both: &BySide<Option<String>>, room: usize) -> Vec<String> {
    let texts = texts(both);
    let line = texts.join(" | ");
    if line.chars().count() <= room {
        return vec![line];
    }
    let [source, target] = texts.map(|text| text.chars().collect::<Vec<_>>());
    let alike = source.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let from = alike.saturating_sub(BEFORE);
    vec![format!("{} |", excerpt(&source, from, room - 2)), excerpt(&target, from, room - 2)]
}

/// At most `room` characters of a text, from a place on if it does not fit whole.
fn excerpt(text: &[char], from: usize, room: usize) -> String {
    if text.len() <= room {
        return text.iter().collect();
    }
    let (before, room) = if from == 0 { ("", room) } else { ("…", room - 1) };
    let rest = &text[from.min(text.len())..];
    if rest.len() <= room {
        return format!("{before}{}", String::from_iter(rest));
    }
    format!("{before}{}…", String::from_iter(&rest[..room - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str, target: &str, room: usize) -> Vec<String> {
        let text = |text: &str| Some(text.to_owned());
        sides(&BySide { source: text(source), target: text(target) }, room)
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let x = |count| "x".repeat(count);
        assert_eq!(shown("a", "b", 30), [r#""a" | "b""#]);
        let (one, other) = (x(20) + "1", x(20) + "2");
        assert_eq!(shown(&one, &other, 30), [format!("\"{one}\" |"), format!("\"{other}\"")]);
        let (one, other) = (x(50) + "1", x(50) + "2");
        assert_eq!(shown(&one, &other, 30), [r#"…xxxxxxxx1" |"#, r#"…xxxxxxxx2""#]);
        let (one, other) = (one + &"y".repeat(50), other + "z");
        assert_eq!(shown(&one, &other, 20), ["…xxxxxxxx1yyyyyyy… |", r#"…xxxxxxxx2z""#]);
        assert_eq!(shown(&one, "b", 20), [r#""xxxxxxxxxxxxxxxx… |"#, r#""b""#]);
    }

    #[test]
    fn nothing_is_wider_than_its_room() {
        for (a, b) in [(0, 90), (20, 20), (90, 0), (90, 90), (29, 3), (14, 40)] {
            for room in 20..120 {
                for line in shown(&"x".repeat(a), &format!("{}y", "x".repeat(b)), room) {
                    assert!(line.chars().count() <= room, "{a} {b} {room} {line}");
                }
            }
        }
    }
}
