//! Checks a folder before it is applied: its checksums, its time, and whether it was made for this spec and
//! this server.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::change_file::ChangeFileReader;
use super::folder_draft::{open_file, open_folder};
use super::sealed_file::{SealedFile, broken_seal};
use crate::files::Directory;
use crate::problem::Problem;
use crate::repair::{Manifest, ManifestError, RepairPart};
use crate::schema::{Server, Side};
use crate::spec::Spec;

/// What to do about a folder that cannot be used.
const MAKE_AGAIN: &str = "Make a new one: compare, then repair.";

/// A folder whose files are as they were written.
pub(crate) struct CheckedFolder {
    /// The folder.
    pub(crate) directory: Directory,
    /// Its manifest.
    pub(crate) manifest: Manifest,
    /// The changes of each part.
    pub(crate) changes: Vec<SealedFile>,
    /// The side that is written.
    pub(crate) written: Side,
}

/// Checks the files of a folder, and whether it was made for this spec and is valid at this time.
pub(crate) fn check_folder(
    folder: &Path,
    spec: &Spec,
    now: Timestamp,
) -> Result<CheckedFolder, Problem> {
    let directory = open_folder(folder)?;
    let manifest = read_manifest(&directory)?;
    if let Some(reason) = manifest.find_mismatch(&spec.name, &spec.hash, &spec.scope()) {
        let message = format!("the repair is not one of this spec: {reason}");
        return Err(Problem::new(message).with_hint(MAKE_AGAIN));
    }
    let mut changes = Vec::new();
    for RepairPart { script, undo, changes: sealed, .. } in &manifest.parts {
        SealedFile::verify(&directory, script)?;
        SealedFile::verify(&directory, undo)?;
        changes.push(SealedFile::verify(&directory, sealed)?);
    }
    check_time(&manifest.expires_at, now)?;
    let mut sides = Side::BOTH.into_iter();
    let written = sides.find(|side| side.name() == manifest.written.side);
    let written = written.ok_or_else(|| Problem::new("the manifest names no side"))?;
    Ok(CheckedFolder { directory, manifest, changes, written })
}

/// Checks that a repair may still be applied.
fn check_time(expires_at: &str, now: Timestamp) -> Result<(), Problem> {
    let expires: Option<Timestamp> = expires_at.parse().ok();
    match expires.is_some_and(|expires| now <= expires) {
        true => Ok(()),
        false => {
            let message = format!("the repair was valid until {expires_at}");
            Err(Problem::new(message).with_hint(MAKE_AGAIN))
        }
    }
}

/// Checks that a server is the one for which a repair was made. Returns whether it was started since.
pub(crate) fn check_server(
    manifest: &Manifest,
    written: Side,
    server: &Server,
) -> Result<bool, Problem> {
    let expected = &manifest.written;
    let found = (&server.database, &server.system_identifier);
    let check_url =
        |message: String| Err(Problem::new(message).with_hint("Check url in the spec."));
    if (&expected.database, &expected.system_identifier) != found {
        return check_url(format!(
            "the repair was made for database \"{}\" of another server, or of another name; the {written} is database \"{}\"",
            expected.database, server.database
        ));
    }
    if let Some(reason) = expected.instance.copied(&server.instance) {
        return check_url(format!(
            "the {written} is not the server that the repair was made for: {reason}"
        ));
    }
    Ok(expected.instance.was_restarted(&server.instance))
}

fn read_manifest(folder: &Directory) -> Result<Manifest, Problem> {
    let name = Manifest::FILE;
    let mut file = open_file(folder, name)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(|error| Problem::io(&folder.path_of(name), &error))?;
    Manifest::read(&text).map_err(|error| match error {
        ManifestError::Broken => broken_seal(name),
        ManifestError::Unsealed => {
            let message =
                format!("{name} has no seal: it was edited, or made by an earlier version");
            Problem::new(message).with_hint(MAKE_AGAIN)
        }
        ManifestError::Unreadable => {
            Problem::new(format!("{name} is not readable")).with_hint(MAKE_AGAIN)
        }
    })
}

impl CheckedFolder {
    /// Returns the sequences that the repair moves.
    pub(crate) fn sequences(&self) -> Result<BTreeSet<String>, Problem> {
        let mut names = BTreeSet::new();
        for sealed in &self.changes {
            let stages = ChangeFileReader::open(sealed)?.header.stages.into_iter();
            names.extend(stages.flat_map(|shape| shape.sequences).map(|(_, name)| name));
        }
        Ok(names)
    }

    /// Opens the changes of a part. The file has to match the manifest.
    pub(crate) fn open_changes<'v>(
        &self,
        part: &RepairPart,
        sealed: &'v SealedFile,
    ) -> Result<ChangeFileReader<'v>, Problem> {
        let changes = ChangeFileReader::open(sealed)?;
        let header = &changes.header;
        let mut stages = header.stages.iter().zip(&part.stages);
        let is_as_listed = header.rows == part.rows
            && header.stages.len() == part.stages.len()
            && stages.all(|(shape, stage)| {
                shape.operation == stage.kind && shape.table == stage.table.table
            });
        if is_as_listed { Ok(changes) } else { Err(sealed.unreadable(None)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_may_be_applied_through_its_last_moment() {
        let at = |text: &str| check_time("2026-01-08T00:00:00Z", text.parse().unwrap());
        assert!(at("2026-01-07T00:00:00Z").is_ok() && at("2026-01-08T00:00:00Z").is_ok());
        let problem = at("2026-01-08T00:00:01Z").unwrap_err();
        assert_eq!(problem.message, "the repair was valid until 2026-01-08T00:00:00Z");
        assert!(check_time("soon", Timestamp::UNIX_EPOCH).is_err());
    }
}
