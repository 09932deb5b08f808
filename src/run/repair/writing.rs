//! Writes a part: the script, its undo and its machine form, batch by batch, in one go. Undo batches
//! are put aside and come out in the opposite order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use super::batching::Arranged;
use super::changes::{BatchLine, Heading, spool_error};
use super::folder::{Folder, SealedFile};
use super::member::Member;
use crate::files::create_unnamed_file;
use crate::repair::{
    self, Batch, Change, Head, Manifest, PLAIN_ROWS, Part, Shape, Stage, TableIdentity,
};
use crate::run::blocked::Blocked;
use crate::spec::escape_json;

/// A part that is to be written.
pub(in crate::run) struct Unwritten<'p> {
    pub(in crate::run) number: usize,
    /// The rows of a batch.
    pub(in crate::run) batch: usize,
    /// Of each member: the mapping's name and the table.
    pub(in crate::run) tables: Vec<(&'p str, &'p TableIdentity)>,
    /// Of each member: the names of its pairs.
    pub(in crate::run) pairs: Vec<Vec<&'p str>>,
}

/// The three files on their way.
struct Files<'p> {
    /// The table of each member.
    tables: Vec<&'p TableIdentity>,
    script: SealedFile,
    changes: SealedFile,
    undo: SealedFile,
    /// Undo batches, in the order of the script, with where each begins.
    aside: File,
    starts: Vec<u64>,
}

/// Writes a part.
pub(in crate::run) fn write(
    folder: &Folder,
    part: &Unwritten<'_>,
    arranged: &mut Arranged,
    manifest: &Manifest,
) -> Result<Part, Blocked> {
    let stem = stem(part, &arranged.members);
    let names = [".sql", ".undo.sql", ".jsonl"].map(|end| format!("{stem}{end}"));
    let forward: Vec<Shape> = arranged.members.iter().map(|member| member.shape.clone()).collect();
    let back: Vec<Shape> = forward.iter().map(Shape::inverse).collect();
    let rows: Vec<u64> = arranged.members.iter().map(|member| member.spooled.rows).collect();
    let total = rows.iter().sum();
    let differ: Vec<BTreeMap<String, u64>> =
        arranged.members.iter().zip(&part.pairs).map(|(m, names)| differ(m, names)).collect();
    let stages = |shapes: &'_ [Shape]| -> Vec<(&str, Shape, u64)> {
        let names = part.tables.iter().map(|(name, _)| *name);
        let stages = names.zip(shapes).zip(&rows);
        stages.map(|((name, shape), rows)| (name, shape.clone(), *rows)).collect()
    };
    let (of_script, of_undo) = (stages(&forward), stages(&back));
    fn lent<'s>(stages: &'s [(&'s str, Shape, u64)]) -> Vec<(&'s str, &'s Shape, u64)> {
        stages.iter().map(|(name, shape, rows)| (*name, shape, *rows)).collect()
    }
    let (batches, largest) = arranged.sizes(part.batch);
    let head = |undo: bool| Head {
        file: &names[usize::from(undo)],
        counterpart: &names[usize::from(!undo)],
        undo,
        spec: &manifest.spec,
        run: &manifest.run,
        authority: &manifest.authority,
        place: &manifest.place,
        manner: manifest.manner,
        created: &manifest.created_at,
        expires: (!undo).then_some(manifest.expires_at.as_str()),
        unseen: manifest
            .unseen
            .iter()
            .filter(|unseen| part.tables.iter().any(|(name, _)| *name == unseen.mapping))
            .map(|unseen| unseen.reason.as_str())
            .collect(),
        differ: differ.iter().filter(|_| !undo).flatten().map(|(n, r)| (n.as_str(), *r)).collect(),
        stages: lent(if undo { &of_undo } else { &of_script }),
        batches,
        batch: largest,
    };
    let mut files = Files {
        tables: part.tables.iter().map(|(_, table)| *table).collect(),
        script: folder.file(&names[0])?,
        undo: folder.file(&names[1])?,
        changes: folder.file(&names[2])?,
        aside: create_unnamed_file().map_err(spool_error)?,
        starts: vec![0],
    };
    files.script.write(&repair::head(&head(false)))?;
    let heading = Heading { version: 1, rows: total, stages: forward.clone() };
    let heading = serde_json::to_string(&heading).map_err(spool_error)?;
    files.changes.write(&format!("{}\n", escape_json(&heading)))?;
    arranged.batches(part.batch, |changes, lines| {
        files.add((&forward, &back), changes, lines, manifest, total <= PLAIN_ROWS)
    })?;
    files.script.write(&repair::foot(&lent(&of_script)))?;
    files.undo.write(&repair::head(&head(true)))?;
    files.take_back()?;
    files.undo.write(&repair::foot(&lent(&of_undo)))?;
    let tables = part.tables.iter().zip(&forward).zip(&rows).zip(&differ);
    Ok(Part {
        stages: tables
            .map(|((((mapping, table), shape), rows), differ)| Stage {
                mapping: (*mapping).to_owned(),
                kind: shape.act,
                rows: *rows,
                table: (*table).clone(),
                differ: differ.clone(),
            })
            .collect(),
        rows: total,
        batch: largest,
        script: files.script.finish()?,
        undo: files.undo.finish()?,
        changes: files.changes.finish()?,
    })
}

/// How many rows will differ all the same, by pair.
fn differ(member: &Member, names: &[&str]) -> BTreeMap<String, u64> {
    let mut rows = BTreeMap::new();
    for name in member.spooled.told.differ.values().flatten().filter_map(|pair| names.get(*pair)) {
        *rows.entry((*name).to_owned()).or_default() += 1;
    }
    rows
}

/// `003-orders-update`; of several, `003-orders+lines-insert`.
fn stem(part: &Unwritten<'_>, members: &[Member]) -> String {
    let joined = |words: &mut dyn Iterator<Item = String>| {
        let mut words: Vec<String> = words.collect();
        words.dedup();
        words.join("+")
    };
    let mut mappings = part.tables.iter().map(|(name, _)| repair::file_stem(name));
    let mut kinds = members.iter().map(|member| member.shape.act.name().to_owned());
    let mut names = joined(&mut mappings);
    // Names of files end at 255 bytes; what tells long ones apart is the number before them.
    if names.len() > 160 {
        names.truncate(160);
        names.push('~');
    }
    format!("{:03}-{names}-{}", part.number, joined(&mut kinds))
}

impl Files<'_> {
    fn add(
        &mut self,
        (forward, back): (&[Shape], &[Shape]),
        changes: Vec<Vec<Change>>,
        lines: &str,
        manifest: &Manifest,
        plain: bool,
    ) -> Result<(), Blocked> {
        let tables = &self.tables;
        let text =
            text_of((forward, tables), &changes, manifest, Some(&manifest.expires_at), plain);
        self.script.write(&text)?;
        let batch = changes.iter().map(Vec::len).sum();
        let line = serde_json::to_string(&BatchLine { batch }).map_err(spool_error)?;
        self.changes.write(&format!("{line}\n{lines}"))?;
        let inverse = |changes: Vec<Change>| changes.into_iter().map(Change::inverse).collect();
        let changes: Vec<Vec<Change>> = changes.into_iter().map(inverse).collect();
        let text = text_of((back, tables), &changes, manifest, None, plain);
        self.aside.write_all(text.as_bytes()).map_err(spool_error)?;
        let start = self.starts.last().copied().unwrap_or(0);
        self.starts.push(start + text.len() as u64);
        Ok(())
    }

    /// Takes the undo batches from where they were put aside, the last one first.
    fn take_back(&mut self) -> Result<(), Blocked> {
        for ends in self.starts.windows(2).rev() {
            self.aside.seek(SeekFrom::Start(ends[0])).map_err(spool_error)?;
            let mut text = String::new();
            let mut batch = Read::by_ref(&mut self.aside).take(ends[1] - ends[0]);
            batch.read_to_string(&mut text).map_err(spool_error)?;
            self.undo.write(&text)?;
        }
        Ok(())
    }
}

fn text_of(
    (shapes, tables): (&[Shape], &[&TableIdentity]),
    changes: &[Vec<Change>],
    manifest: &Manifest,
    expires: Option<&str>,
    plain: bool,
) -> String {
    let there =
        || shapes.iter().zip(tables).zip(changes).filter(|(_, changes)| !changes.is_empty());
    let batch = Batch {
        place: &manifest.place,
        expires,
        manner: manifest.manner,
        stages: there().map(|((shape, table), changes)| (shape, *table, changes.len())).collect(),
    };
    let changes: Vec<&[Change]> = there().map(|(_, changes)| changes.as_slice()).collect();
    repair::batch(&batch, &changes, plain)
}
