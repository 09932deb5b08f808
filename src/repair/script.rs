//! The script for psql: a head that tells a reader everything, then batch by batch the rows and the
//! statements, and a last line that says what was applied.
//!
//! Few rows stand in INSERT statements of one line each, key and columns in plain sight; more come by
//! COPY. `ON_ERROR_STOP` comes first and the temporary table before its rows: a COPY that could not
//! start would make psql read the rows as commands.

use super::change::{Act, Change, Manner, Shape};
use super::manifest::Place;
use super::quote::one_line;
use super::reaches::reaches;
use super::rows::fields;
use super::statements::Batch;

/// Rows of a batch, unless somebody says otherwise.
pub const BATCH_ROWS: usize = 10_000;
/// Up to so many rows of a file are written as plain statements.
pub const PLAIN_ROWS: u64 = 20;

/// What the head of a script tells.
#[derive(Clone, Debug)]
pub struct Head<'h> {
    /// The script's own file name.
    pub file: &'h str,
    /// The file name of what takes it back.
    pub counterpart: &'h str,
    /// Whether this is the undo.
    pub undo: bool,
    /// The spec.
    pub spec: &'h str,
    /// The run whose findings it repairs.
    pub run: &'h str,
    /// The side declared right.
    pub authority: &'h str,
    /// What is written.
    pub place: &'h Place,
    /// How.
    pub manner: Manner,
    /// When it was made.
    pub created: &'h str,
    /// Until when it is valid; an undo has no end.
    pub expires: Option<&'h str>,
    /// What the run did not see of the mappings.
    pub unseen: Vec<&'h str>,
    /// Pairs in which rows will differ all the same, and how many.
    pub differ: Vec<(&'h str, u64)>,
    /// Each stage: its mapping, its shape, how many rows.
    pub stages: Vec<(&'h str, &'h Shape, u64)>,
    /// How many batches.
    pub batches: usize,
    /// Rows of the largest.
    pub batch: usize,
}

/// Writes the head.
pub fn head(head: &Head<'_>) -> String {
    let Head { file, counterpart, undo, spec, run, authority, place, .. } = head;
    let what = head.stages.iter().map(|(_, shape, rows)| {
        let verb = match shape.act {
            Act::Insert => "INSERT into",
            Act::Update => "UPDATE of",
            Act::Delete => "DELETE from",
        };
        format!("{verb} {}, {}", shape.table_name(), counted(*rows))
    });
    let what = what.collect::<Vec<_>>().join("; ");
    let mut lines = vec![
        format!("pgreconcile {}: {what}", env!("CARGO_PKG_VERSION")),
        String::new(),
        format!("database   {} (the {} of spec {spec})", one_line(&place.database), place.side),
    ];
    if let Some(cluster) = &place.system_identifier {
        lines.push(format!("cluster    {} (a file copy of it has the same)", one_line(cluster)));
    }
    let mut mappings: Vec<String> = head.stages.iter().map(|(name, ..)| one_line(name)).collect();
    mappings.dedup();
    lines.push(format!("mapping    {}", mappings.join(", ")));
    // The id may come from a file that anybody wrote.
    lines.push(format!("made of    run {}, the {authority} being right", one_line(run)));
    lines.extend(head.unseen.iter().map(|why| format!("not whole  {}", in_comment(why))));
    lines.extend(head.differ.iter().map(|(pair, rows)| {
        let pair = one_line(pair);
        format!("differs    {} still in {pair}, which the {} computes", counted(*rows), place.side)
    }));
    lines.push(match head.expires {
        Some(expires) => format!("valid      from {} until {expires}", head.created),
        None => format!("made       {}", head.created),
    });
    if !head.manner.triggers {
        lines.push(
            "triggers   off, audit triggers too, but for those enabled ALWAYS or REPLICA;".into(),
        );
        lines.push("           foreign keys are checked by this script".into());
    }
    for (at, (_, shape, _)) in head.stages.iter().enumerate() {
        if head.stages.len() > 1 {
            lines.push(format!("stage {}    {} {}", at + 1, shape.act.name(), shape.table_name()));
        }
        lines.extend(of_shape(shape, head.manner));
    }
    lines.push(format!(
        "batches    {}, each one transaction of at most {}: all of them, or none",
        head.batches,
        counted(head.batch as u64)
    ));
    lines.push(match undo {
        true => format!("takes back {counterpart}"),
        false => format!("undo       psql -X -f {counterpart}"),
    });
    lines.push(format!("run        psql -X -f {file}"));
    lines.push(String::new());
    lines.push(
        "Without the last line \"pgreconcile: applied\" it was not applied to its end.".into(),
    );
    lines.push("Names are %-escaped here. It may be run again: what is as intended stays.".into());
    let lines: Vec<String> =
        lines.iter().map(|line| format!("-- {line}").trim_end().to_owned()).collect();
    format!("{}\n\\set ON_ERROR_STOP on\n", lines.join("\n"))
}

fn of_shape(shape: &Shape, manner: Manner) -> Vec<String> {
    let name = |index: &usize| one_line(&shape.columns[*index].name.0);
    let names = |indexes: &mut dyn Iterator<Item = usize>| {
        indexes.map(|index| name(&index)).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("key        {}", names(&mut shape.key.iter().copied()))];
    match shape.act {
        Act::Update => lines.push(format!("sets       {}", names(&mut shape.set.iter().copied()))),
        _ => lines.push(format!("columns    {}", names(&mut (0..shape.columns.len())))),
    }
    lines.push(format!("columns of the rows below: {}", legend(shape)));
    let mut redacted = (0..shape.columns.len()).filter(|index| shape.columns[*index].redacted);
    let redacted = names(&mut redacted);
    if !redacted.is_empty() {
        lines.push(format!("redacted   {redacted}: reports hide the values, they stand below"));
    }
    for exchange in &shape.exchanges {
        let name = name(&exchange.column);
        lines.push(format!("exchanges  values of {name}, which give way to a stand-in meanwhile"));
    }
    for (_, sequence) in &shape.sequences {
        let sequence = one_line(sequence);
        lines
            .push(format!("sequence   {sequence} moves behind the rows, which no undo takes back"));
    }
    if shape.cascade && manner.triggers {
        let reached = reaches(shape).into_iter();
        lines.extend(
            reached.map(|reached| format!("reaches    {reached}, which no undo takes back")),
        );
    }
    lines
}

/// A sentence as a comment may hold it: what ends a line, and what is not ASCII, becomes a blank.
fn in_comment(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}

/// What the fields of the rows are called.
fn legend(shape: &Shape) -> String {
    let field = |(prefix, index): (char, usize)| {
        let name = one_line(&shape.columns[index].name.0);
        let when = if prefix == 'o' { "is" } else { "becomes" };
        format!("{prefix}{} {name} {when}", index + 1)
    };
    fields(shape).map(field).collect::<Vec<_>>().join(", ")
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

/// Writes one batch; the changes stand in the order of its stages.
pub fn batch(batch: &Batch<'_>, changes: &[&[Change]], plain: bool) -> String {
    let mut text = format!("\n{}", batch.opening());
    for (rows, changes) in batch.rows().iter().zip(changes) {
        text.push_str(&rows.written(changes, plain));
    }
    text.extend(batch.closing());
    text.push_str("COMMIT;\n");
    text
}

/// Writes the last line.
pub fn foot(stages: &[(&str, &Shape, u64)]) -> String {
    let rows: u64 = stages.iter().map(|(_, _, rows)| rows).sum();
    let what =
        stages.iter().map(|(_, shape, _)| format!("{} {}", shape.act.name(), shape.table_name()));
    let what = what.collect::<Vec<_>>().join(", ");
    format!("\n\\echo pgreconcile: applied {rows}/{rows} {what}\n")
}
