//! A folder of scripts on its way into its place: written beside it, sealed as it is written, renamed
//! when it is whole. Only its owner may read it; it holds row data.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::files::{Directory, Draft, Purpose};
use crate::prepare::Blocked;
use crate::repair::FileSeal;
use crate::row::Sealer;

/// A folder that is not in its place yet.
pub(in crate::run) struct Folder {
    draft: Draft,
    inside: Directory,
    place: OsString,
}

impl Folder {
    /// Begins a folder; its place must be free, or an empty folder.
    pub(in crate::run) fn create(place: &Path) -> Result<Folder, Blocked> {
        let hint = "Name a folder that is not there yet, within one that only you may write to.";
        let blocked = |why: io::Error| {
            Blocked::new(format!("folder {} cannot be written: {why}", place.display()))
                .with_hint(hint)
        };
        let (parent, name) = Directory::of(place, Purpose::Output).map_err(blocked)?;
        if !parent.is_free(&name).map_err(blocked)? {
            return Err(blocked(io::Error::other("there is something already")));
        }
        let draft = Draft::folder(&parent, ".pgreconcile-repair-").map_err(blocked)?;
        let inside = draft.directory().map_err(blocked)?;
        Ok(Folder { draft, inside, place: name })
    }

    /// Begins a file.
    pub(in crate::run) fn file(&self, name: &str) -> Result<SealedFile, Blocked> {
        let file = self.inside.create(name).map_err(named)?;
        let (path, out) = (self.inside.path_of(name), BufWriter::new(file));
        Ok(SealedFile { name: name.to_owned(), path, out, sealer: Sealer::default() })
    }

    /// Puts the folder into its place.
    pub(in crate::run) fn finish(self) -> Result<(), Blocked> {
        self.draft.place(self.place).map_err(named)
    }
}

/// A file that is sealed as it is written.
pub(in crate::run) struct SealedFile {
    name: String,
    path: PathBuf,
    out: BufWriter<File>,
    sealer: Sealer,
}

impl SealedFile {
    pub(in crate::run) fn write(&mut self, text: &str) -> Result<(), Blocked> {
        self.sealer.update(text.as_bytes());
        self.out.write_all(text.as_bytes()).map_err(|error| Blocked::io(&self.path, &error))
    }

    pub(in crate::run) fn finish(mut self) -> Result<FileSeal, Blocked> {
        let written = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        written.map_err(|error| Blocked::io(&self.path, &error))?;
        Ok(FileSeal { file: self.name, blake3: self.sealer.finish() })
    }
}

/// Opens a folder that was written before. It is not used if another user could have changed it: the
/// checksums in it hold no secret.
pub(in crate::run) fn open_folder(folder: &Path) -> Result<Directory, Blocked> {
    Directory::open(folder, Purpose::State).map_err(unreadable)
}

/// Opens a file of such a folder to read it.
pub(in crate::run) fn open(folder: &Directory, name: &str) -> Result<File, Blocked> {
    folder.read(name).map_err(unreadable)
}

fn unreadable(error: io::Error) -> Blocked {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "Copy what was reviewed with cp -r into a folder that only you can write to, and apply that."
        }
        _ => "Name the folder that repair wrote.",
    };
    named(error).with_hint(hint)
}

/// Says what an error of `files` says; it names the file.
pub(in crate::run) fn named(error: io::Error) -> Blocked {
    Blocked::new(error.to_string())
}
