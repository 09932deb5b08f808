//! A folder of scripts while it is written: beside its place, with checksums computed as its files are
//! written, and renamed when it is complete. Only its owner may read it, because it contains row data.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::files::{Directory, Draft, Purpose};
use crate::problem::Problem;
use crate::repair::{FileChecksum, Manifest};
use crate::row::Sealer;

/// A folder that is not in its place yet.
pub(crate) struct FolderDraft {
    draft: Draft,
    directory: Directory,
    name: OsString,
}

impl FolderDraft {
    /// Creates a folder. Its place must be free, or an empty folder.
    pub(crate) fn create(place: &Path) -> Result<FolderDraft, Problem> {
        let hint = "Name a folder that is not there yet, within one that only you may write to.";
        let problem = |error: io::Error| {
            Problem::new(format!("folder {} cannot be written: {error}", place.display()))
                .with_hint(hint)
        };
        let (parent, name) = Directory::of(place, Purpose::Output).map_err(problem)?;
        if !parent.is_free(&name).map_err(problem)? {
            return Err(problem(io::Error::other("there is something already")));
        }
        let draft = Draft::folder(&parent, ".pgreconcile-repair-").map_err(problem)?;
        let directory = draft.directory().map_err(problem)?;
        Ok(FolderDraft { draft, directory, name })
    }

    /// Creates a file in it.
    pub(crate) fn create_file(&self, name: &str) -> Result<FileWriter, Problem> {
        let file = self.directory.create(name).map_err(file_problem)?;
        let (path, out) = (self.directory.path_of(name), BufWriter::new(file));
        Ok(FileWriter { name: name.to_owned(), path, out, sealer: Sealer::default() })
    }

    /// Writes the manifest and moves the folder into its place.
    pub(crate) fn finish(self, manifest: &Manifest) -> Result<(), Problem> {
        let text =
            manifest.write().map_err(|error| Problem::new(format!("the manifest: {error}")))?;
        let mut file = self.create_file(Manifest::FILE)?;
        file.write(&text)?;
        file.write("\n")?;
        file.finish()?;
        self.draft.place(self.name).map_err(file_problem)
    }
}

/// Writes a file and computes its checksum.
pub(crate) struct FileWriter {
    name: String,
    path: PathBuf,
    out: BufWriter<File>,
    sealer: Sealer,
}

impl FileWriter {
    /// Writes a text.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Problem> {
        self.sealer.update(text.as_bytes());
        self.out.write_all(text.as_bytes()).map_err(|error| Problem::io(&self.path, &error))
    }

    /// Ends the file and returns its name and checksum.
    pub(crate) fn finish(mut self) -> Result<FileChecksum, Problem> {
        let written = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        written.map_err(|error| Problem::io(&self.path, &error))?;
        Ok(FileChecksum { file: self.name, blake3: self.sealer.finish() })
    }
}

/// Opens a folder that was written before. One that another user could have changed is rejected: the
/// checksums in it are no protection, because anyone can compute them.
pub(crate) fn open_folder(folder: &Path) -> Result<Directory, Problem> {
    Directory::open(folder, Purpose::State).map_err(unreadable)
}

/// Opens a file of such a folder to read it.
pub(crate) fn open_file(folder: &Directory, name: &str) -> Result<File, Problem> {
    folder.read(name).map_err(unreadable)
}

fn unreadable(error: io::Error) -> Problem {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Copy what was reviewed with cp -r into a folder that only you can write to, and apply that."
        }
        _ => "Name the folder that repair wrote.",
    };
    file_problem(error).with_hint(hint)
}

/// Makes a problem of an error of `files`, whose message names the file.
pub(crate) fn file_problem(error: io::Error) -> Problem {
    Problem::new(error.to_string())
}
