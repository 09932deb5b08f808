//! Changes on their way: spooled as they are made, then written as a script, its undo and its machine
//! form; and read back batch by batch. Memory holds one batch, however many there are.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Lines, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::blocked::Blocked;
use super::folder::{Folder, open};
use crate::repair::{self, Change, Head, Manifest, PLAIN_ROWS, Part, Shape, TableIdentity};

/// Changes of one mapping and one kind.
pub(super) struct Spool {
    out: BufWriter<File>,
    pub(super) rows: u64,
    pub(super) set: BTreeSet<usize>,
}

/// The first line of a machine form.
#[derive(Serialize, Deserialize)]
pub(super) struct Heading {
    pub(super) version: u32,
    pub(super) rows: u64,
    pub(super) shape: Shape,
}

fn spool_error(error: impl std::fmt::Display) -> Blocked {
    Blocked::new(format!("the temporary file of changes cannot be used: {error}"))
}

impl Spool {
    pub(super) fn new() -> Result<Spool, Blocked> {
        let out = BufWriter::new(tempfile::tempfile().map_err(spool_error)?);
        Ok(Spool { out, rows: 0, set: BTreeSet::new() })
    }

    pub(super) fn push(&mut self, change: &Change) -> Result<(), Blocked> {
        serde_json::to_writer(&mut self.out, change).map_err(spool_error)?;
        self.rows += 1;
        self.out.write_all(b"\n").map_err(spool_error)
    }

    /// Writes the three files.
    pub(super) fn write(
        self,
        folder: &Folder,
        part: Unwritten<'_>,
        manifest: &Manifest,
    ) -> Result<Part, Blocked> {
        let Unwritten { number, mapping, shape, batch, table } = part;
        let rows = self.rows;
        let stem = format!("{number:03}-{}-{}", repair::file_stem(mapping), shape.act.name());
        let names = [".sql", ".undo.sql", ".jsonl"].map(|end| format!("{stem}{end}"));
        let mut reader = BufReader::new(self.out.into_inner().map_err(spool_error)?);
        reader.rewind().map_err(spool_error)?;
        let mut script = folder.file(&names[0])?;
        let mut changes = folder.file(&names[2])?;
        let heading = Heading { version: 1, rows, shape: shape.clone() };
        changes.write(&format!("{}\n", serde_json::to_string(&heading).map_err(spool_error)?))?;
        let unseen = manifest.unseen.iter().filter(|unseen| unseen.mapping == mapping);
        let unseen: Vec<&str> = unseen.map(|unseen| unseen.reason.as_str()).collect();
        let head = |undo: bool| Head {
            file: &names[usize::from(undo)],
            counterpart: &names[usize::from(!undo)],
            undo,
            spec: &manifest.spec,
            mapping,
            run: &manifest.run,
            authority: &manifest.authority,
            place: &manifest.place,
            created: &manifest.created_at,
            expires: (!undo).then_some(manifest.expires_at.as_str()),
            unseen: unseen.clone(),
            rows,
            batch,
        };
        let plain = rows <= PLAIN_ROWS;
        script.write(&repair::head(&shape, &head(false)))?;
        let mut starts = vec![reader.stream_position().map_err(spool_error)?];
        loop {
            let (taken, texts) = take(&mut reader, batch)?;
            if taken.is_empty() {
                starts.pop();
                break;
            }
            let expires = Some(manifest.expires_at.as_str());
            script.write(&repair::batch(&shape, &manifest.place, expires, &taken, plain))?;
            changes.write(&texts)?;
            starts.push(reader.stream_position().map_err(spool_error)?);
        }
        script.write(&repair::foot(&shape, rows))?;
        let back = shape.inverse();
        let mut undo = folder.file(&names[1])?;
        undo.write(&repair::head(&back, &head(true)))?;
        for start in starts.into_iter().rev() {
            reader.seek(SeekFrom::Start(start)).map_err(spool_error)?;
            let taken = take(&mut reader, batch)?.0.into_iter().map(Change::inverse);
            let taken: Vec<Change> = taken.collect();
            undo.write(&repair::batch(&back, &manifest.place, None, &taken, plain))?;
        }
        undo.write(&repair::foot(&back, rows))?;
        Ok(Part {
            mapping: mapping.to_owned(),
            kind: shape.act,
            rows,
            batch,
            table,
            script: script.finish()?,
            undo: undo.finish()?,
            changes: changes.finish()?,
        })
    }
}

/// What is known of a part before it is written.
pub(super) struct Unwritten<'p> {
    pub(super) number: usize,
    pub(super) mapping: &'p str,
    pub(super) shape: Shape,
    pub(super) batch: usize,
    pub(super) table: TableIdentity,
}

/// At most so many changes, and their lines.
fn take(reader: &mut impl BufRead, most: usize) -> Result<(Vec<Change>, String), Blocked> {
    let (mut changes, mut texts) = (Vec::new(), String::new());
    while changes.len() < most {
        let before = texts.len();
        if reader.read_line(&mut texts).map_err(spool_error)? == 0 {
            break;
        }
        changes.push(serde_json::from_str(&texts[before..]).map_err(spool_error)?);
    }
    Ok((changes, texts))
}

/// A machine form, read batch by batch.
pub(super) struct Changes {
    pub(super) heading: Heading,
    lines: Lines<BufReader<File>>,
    name: String,
}

impl Changes {
    pub(super) fn open(folder: &Path, name: &str) -> Result<Changes, Blocked> {
        let mut lines = BufReader::new(open(folder, name)?).lines();
        let first = lines.next().and_then(Result::ok).unwrap_or_default();
        let heading: Heading = serde_json::from_str(&first)
            .map_err(|_| Blocked::new(format!("{name} is not readable")))?;
        Ok(Changes { heading, lines, name: name.to_owned() })
    }

    /// The next changes, at most so many; none at the end.
    pub(super) fn next(&mut self, most: usize) -> Result<Vec<Change>, Blocked> {
        let mut changes = Vec::new();
        for line in self.lines.by_ref().take(most) {
            let change = line.ok().and_then(|line| serde_json::from_str::<Change>(&line).ok());
            match change.filter(|change| self.heading.shape.fits(change)) {
                Some(change) => changes.push(change),
                None => return Err(Blocked::new(format!("{} is not readable", self.name))),
            }
        }
        Ok(changes)
    }
}
