//! The groups of a mapping in the summary: how many are clean, and a short table of the others.

use std::io::{self, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::finding::{GroupRecord, MappingRecord, Verdict};
use crate::spec::printable;
use crate::text::{format_count, format_group, format_number};

/// The most groups shown of a mapping.
const MAX_GROUPS_SHOWN: usize = 10;

/// Writes the verdicts of a mapping's groups; nothing for a mapping without groups.
pub(super) fn write_groups(
    out: &mut impl Write,
    mapping: &MappingRecord,
    width: u16,
) -> io::Result<()> {
    let (Some(name), Some(groups)) = (&mapping.group_by, &mapping.groups) else { return Ok(()) };
    let of = |verdict: Verdict| groups.iter().filter(|g| g.verdict == verdict).count() as u64;
    let counts = [Verdict::Clean, Verdict::Diverged, Verdict::Incomplete].map(|verdict| {
        let count = of(verdict);
        (count > 0).then(|| format!("{} {}", format_number(count), verdict.name()))
    });
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    let verdicts = match counts.as_slice() {
        [] => "no group has a row".to_owned(),
        _ => format!("{}: {}", format_count(groups.len() as u64, "group"), counts.join(", ")),
    };
    writeln!(out, "\n{} by {}: {verdicts}", printable(&mapping.mapping), printable(name))?;
    // In an incomplete mapping every group is incomplete: only those with differences are shown.
    let differs = |group: &&GroupRecord| {
        group.verdict != Verdict::Clean && group.divergent() + group.unsettled > 0
    };
    let mut worst: Vec<&GroupRecord> = groups.iter().filter(differs).collect();
    if worst.is_empty() {
        return Ok(());
    }
    worst.sort_by_key(|group| std::cmp::Reverse((group.divergent(), group.unsettled)));
    for line in table(&worst[..worst.len().min(MAX_GROUPS_SHOWN)], width).lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if worst.len() > MAX_GROUPS_SHOWN {
        writeln!(out, "  … and {} more", format_number((worst.len() - MAX_GROUPS_SHOWN) as u64))?;
    }
    Ok(())
}

fn table(groups: &[&GroupRecord], width: u16) -> Table {
    const HEAD: [&str; 8] = [
        "group",
        "rows",
        "matched",
        "only in\nsource",
        "only in\ntarget",
        "mis-\nmatch",
        "unsettled",
        "verdict",
    ];
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(HEAD.map(Cell::new));
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    for column in table.column_iter_mut().skip(1).take(HEAD.len() - 2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for group in groups {
        table.add_row([
            format_group(group.group.as_deref()),
            format_number(group.rows.source.max(group.rows.target)),
            format_number(group.matched),
            format_number(group.only_in_source),
            format_number(group.only_in_target),
            format_number(group.mismatch),
            format_number(group.unsettled),
            group.verdict.name().to_owned(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::BySide;

    fn group(name: Option<&str>, mismatch: u64) -> GroupRecord {
        GroupRecord {
            group: name.map(str::to_owned),
            verdict: if mismatch > 0 { Verdict::Diverged } else { Verdict::Clean },
            rows: BySide { source: 1_200, target: 1_100 },
            matched: 1_100 - mismatch,
            healed: 0,
            accepted: 0,
            only_in_source: 0,
            only_in_target: 0,
            mismatch,
            duplicate_key: 0,
            null_key: 0,
            unsettled: 0,
        }
    }

    #[test]
    fn the_worst_groups_are_shown_first() {
        let mut mapping = MappingRecord::new("shipments", "digest");
        mapping.group_by = Some("tenant_id".into());
        let mut groups = vec![group(Some("1"), 0), group(Some("2\u{1b}"), 1), group(None, 30)];
        mapping.groups = Some(groups.clone());
        let mut out = Vec::new();
        write_groups(&mut out, &mapping, 100).unwrap();
        insta::assert_snapshot!(String::from_utf8(out).unwrap(), @r"
        shipments by tenant_id: 3 groups: 1 clean, 2 diverged
        group    rows matched only in only in  mis- unsettled verdict
                               source  target match
        NULL    1,200   1,070       0       0    30         0 diverged
        2\u{1b} 1,200   1,099       0       0     1         0 diverged
        ");
        groups.truncate(1);
        mapping.groups = Some(groups);
        let mut out = Vec::new();
        write_groups(&mut out, &mapping, 100).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "\nshipments by tenant_id: 1 group: 1 clean\n");
    }
}
