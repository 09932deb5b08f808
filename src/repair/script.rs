//! The script for psql: a header for the reader, then for each batch its rows and statements, and a last
//! line that says what was applied.
//!
//! Few rows are written as one INSERT each, which is easy to read; more rows are written as COPY.
//! `ON_ERROR_STOP` comes first and a temporary table comes before its rows: if a COPY could not start,
//! psql would read the rows as commands.

use super::batch::Batch;
use super::cascade::find_cascades;
use super::change::{ApplyMode, ChangeShape, Operation, RowChange};
use super::manifest::WrittenDatabase;
use super::quote::escape_name;
use super::staged_rows::fields;

/// The default number of rows of a batch.
pub const BATCH_ROWS: usize = 10_000;
/// The highest number of rows of a file that are written as INSERT statements.
pub const PLAIN_ROWS: u64 = 20;

/// The content of a script's header.
#[derive(Clone, Debug)]
pub struct ScriptHeader<'h> {
    /// The script's own file name.
    pub file: &'h str,
    /// The file name of the script that undoes it.
    pub counterpart: &'h str,
    /// Whether this is the undo script.
    pub undo: bool,
    /// The spec's name.
    pub spec: &'h str,
    /// The run whose findings it repairs.
    pub run: &'h str,
    /// The side that is the source of truth.
    pub authority: &'h str,
    /// The database that is written.
    pub written: &'h WrittenDatabase,
    /// How it is applied.
    pub mode: ApplyMode,
    /// When it was made.
    pub created: &'h str,
    /// Until when it is valid; `None` for an undo script.
    pub expires: Option<&'h str>,
    /// Why the run did not compare the mappings completely.
    pub unseen: Vec<&'h str>,
    /// Pairs in which rows still differ afterwards, with the number of rows.
    pub differ: Vec<(&'h str, u64)>,
    /// The stages: mapping, shape, number of rows.
    pub stages: Vec<(&'h str, &'h ChangeShape, u64)>,
    /// The number of batches.
    pub batches: usize,
    /// The number of rows of the largest batch.
    pub batch: usize,
}

/// Writes the header.
pub fn write_header(header: &ScriptHeader<'_>) -> String {
    let ScriptHeader { file, counterpart, undo, spec, run, authority, written, .. } = header;
    let what = header.stages.iter().map(|(_, shape, rows)| {
        let verb = match shape.operation {
            Operation::Insert => "INSERT into",
            Operation::Update => "UPDATE of",
            Operation::Delete => "DELETE from",
        };
        format!("{verb} {}, {}", shape.table_name(), counted(*rows))
    });
    let what = what.collect::<Vec<_>>().join("; ");
    let mut lines = vec![
        format!("pgreconcile {}: {what}", env!("CARGO_PKG_VERSION")),
        String::new(),
        format!(
            "database   {} (the {} of spec {spec})",
            escape_name(&written.database),
            written.side
        ),
    ];
    if let Some(cluster) = &written.system_identifier {
        lines.push(format!("cluster    {} (a file copy of it has the same)", escape_name(cluster)));
    }
    let mut mappings: Vec<String> =
        header.stages.iter().map(|(name, ..)| escape_name(name)).collect();
    mappings.dedup();
    lines.push(format!("mapping    {}", mappings.join(", ")));
    // The id may come from a file of unknown origin.
    lines.push(format!("made of    run {}, the {authority} being right", escape_name(run)));
    lines.extend(header.unseen.iter().map(|why| format!("not whole  {}", in_comment(why))));
    lines.extend(header.differ.iter().map(|(pair, rows)| {
        let pair = escape_name(pair);
        format!(
            "differs    {} still in {pair}, which the {} computes",
            counted(*rows),
            written.side
        )
    }));
    lines.push(match header.expires {
        Some(expires) => format!("valid      from {} until {expires}", header.created),
        None => format!("made       {}", header.created),
    });
    if !header.mode.triggers {
        lines.push(
            "triggers   off, audit triggers too, but for those enabled ALWAYS or REPLICA;".into(),
        );
        lines.push("           foreign keys are checked by this script".into());
    }
    for (at, (_, shape, _)) in header.stages.iter().enumerate() {
        if header.stages.len() > 1 {
            lines.push(format!(
                "stage {}    {} {}",
                at + 1,
                shape.operation.name(),
                shape.table_name()
            ));
        }
        lines.extend(stage_lines(shape, header.mode));
    }
    lines.push(format!(
        "batches    {}, each one transaction of at most {}: all of them, or none",
        header.batches,
        counted(header.batch as u64)
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

/// Returns the header's lines about a stage.
fn stage_lines(shape: &ChangeShape, mode: ApplyMode) -> Vec<String> {
    let name = |index: &usize| escape_name(&shape.columns[*index].name.0);
    let names = |indexes: &mut dyn Iterator<Item = usize>| {
        indexes.map(|index| name(&index)).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![format!("key        {}", names(&mut shape.key.iter().copied()))];
    match shape.operation {
        Operation::Update => {
            lines.push(format!("sets       {}", names(&mut shape.set.iter().copied())))
        }
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
        let sequence = escape_name(sequence);
        lines
            .push(format!("sequence   {sequence} moves behind the rows, which no undo takes back"));
    }
    if shape.cascade && mode.triggers {
        let cascades = find_cascades(shape).into_iter();
        lines.extend(
            cascades.map(|cascade| format!("reaches    {cascade}, which no undo takes back")),
        );
    }
    lines
}

/// Makes a text fit for a comment: line ends and characters that are not ASCII become blanks.
fn in_comment(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() { c } else { ' ' }).collect()
}

/// Describes the fields of the rows.
fn legend(shape: &ChangeShape) -> String {
    let field = |(prefix, index): (char, usize)| {
        let name = escape_name(&shape.columns[index].name.0);
        let when = if prefix == 'o' { "is" } else { "becomes" };
        format!("{prefix}{} {name} {when}", index + 1)
    };
    fields(shape).map(field).collect::<Vec<_>>().join(", ")
}

fn counted(rows: u64) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") }
}

/// Writes one batch. `changes` has the changes of each of its stages.
pub fn write_batch(batch: &Batch<'_>, changes: &[&[RowChange]], plain: bool) -> String {
    let mut text = format!("\n{}", batch.opening());
    for (rows, changes) in batch.staged_rows().iter().zip(changes) {
        text.push_str(&rows.write(changes, plain));
    }
    text.extend(batch.closing());
    text.push_str("COMMIT;\n");
    text
}

/// Writes the last line.
pub fn write_footer(stages: &[(&str, &ChangeShape, u64)]) -> String {
    let rows: u64 = stages.iter().map(|(_, _, rows)| rows).sum();
    let what = stages
        .iter()
        .map(|(_, shape, _)| format!("{} {}", shape.operation.name(), shape.table_name()));
    let what = what.collect::<Vec<_>>().join(", ");
    format!("\n\\echo pgreconcile: applied {rows}/{rows} {what}\n")
}
