//! The script for psql: a head that tells a reader everything, then batch by batch the rows and the
//! statements, and a last line that says what was applied.
//!
//! Few rows stand in INSERT statements of one line each, key and columns in plain sight; more come by
//! COPY. `ON_ERROR_STOP` comes first and the temporary table before its rows: a COPY that could not
//! start would make psql read the rows as commands.

use super::change::{Act, Change, Shape};
use super::manifest::Place;
use super::quote::{copy_field, nullable, one_line};
use super::statements::{closing, columns, fields, opening};

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
    /// The mapping.
    pub mapping: &'h str,
    /// The run whose findings it repairs.
    pub run: &'h str,
    /// The side declared right.
    pub authority: &'h str,
    /// What is written.
    pub place: &'h Place,
    /// When it was made.
    pub created: &'h str,
    /// Until when it is valid; an undo has no end.
    pub expires: Option<&'h str>,
    /// What the run did not see of the mapping.
    pub unseen: Vec<&'h str>,
    /// How many rows.
    pub rows: u64,
    /// Rows of a batch.
    pub batch: usize,
}

/// Writes the head.
pub fn head(shape: &Shape, head: &Head<'_>) -> String {
    let table = format!("{}.{}", one_line(&shape.table.schema.0), one_line(&shape.table.name));
    let names = |indexes: &[usize]| {
        let names = indexes.iter().map(|index| one_line(&shape.columns[*index].name.0));
        names.collect::<Vec<_>>().join(", ")
    };
    let all: Vec<usize> = (0..shape.columns.len()).collect();
    let verb = match shape.act {
        Act::Insert => "INSERT into",
        Act::Update => "UPDATE of",
        Act::Delete => "DELETE from",
    };
    let Head { file, counterpart, undo, spec, mapping, run, authority, place, .. } = head;
    let mut lines = vec![
        format!(
            "pgreconcile {}: {verb} {table}, {}",
            env!("CARGO_PKG_VERSION"),
            counted(head.rows)
        ),
        String::new(),
        format!("database   {} (the {} of spec {spec})", one_line(&place.database), place.side),
    ];
    if let Some(cluster) = &place.system_identifier {
        lines.push(format!("cluster    {}", one_line(cluster)));
    }
    lines.push(format!("mapping    {}", one_line(mapping)));
    lines.push(format!("made of    run {run}, the {authority} being right"));
    lines.extend(head.unseen.iter().map(|why| format!("not whole  {}", in_comment(why))));
    lines.push(match head.expires {
        Some(expires) => format!("valid      from {} until {expires}", head.created),
        None => format!("made       {}", head.created),
    });
    lines.push(format!("key        {}", names(&shape.key)));
    match shape.act {
        Act::Update => lines.push(format!("sets       {}", names(&shape.set))),
        _ => lines.push(format!("columns    {}", names(&all))),
    }
    lines.push(format!("columns of the rows below: {}", legend(shape)));
    lines.push(format!(
        "batches    of at most {} rows, each one transaction: all of its rows, or none",
        head.batch
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

/// Writes one batch.
pub fn batch(
    shape: &Shape,
    place: &Place,
    expires: Option<&str>,
    changes: &[Change],
    plain: bool,
) -> String {
    let mut text = format!("\n{}", opening(shape, place, expires));
    let names = columns(shape, |prefix, index, _| format!("{prefix}{index}")).join(", ");
    let row = |change: &Change, write: fn(Option<&str>) -> String| {
        let field = |(prefix, index): (char, usize)| {
            let image = if prefix == 'o' { &change.old } else { &change.new };
            write(image.as_ref().and_then(|image| image.get(index)?.as_deref()))
        };
        fields(shape).map(field).collect::<Vec<_>>()
    };
    if plain {
        for change in changes {
            let values = row(change, nullable).join(", ");
            text.push_str(&format!("INSERT INTO pg_temp.pgr_rows ({names})\nVALUES ({values});\n"));
        }
    } else {
        text.push_str(&format!("COPY pg_temp.pgr_rows ({names}) FROM STDIN;\n"));
        for change in changes {
            text.push_str(&row(change, copy_field).join("\t"));
            text.push('\n');
        }
        text.push_str("\\.\n");
    }
    for statement in closing(shape, changes.len()) {
        text.push_str(&statement);
    }
    text.push_str("COMMIT;\n");
    text
}

/// Writes the last line.
pub fn foot(shape: &Shape, rows: u64) -> String {
    let table = format!("{}.{}", one_line(&shape.table.schema.0), one_line(&shape.table.name));
    format!("\n\\echo pgreconcile: applied {rows}/{rows} {} {table}\n", shape.act.name())
}
