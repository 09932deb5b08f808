//! A folder of scripts on its way into its place: written beside it, sealed as it is written, renamed
//! when it is whole. Only its owner may read it; it holds row data.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::repair::FileSeal;
use crate::report::check_folder;
use crate::row::Sealer;
use crate::run::blocked::Blocked;

/// A folder that is not in its place yet.
pub(in crate::run) struct Folder {
    beside: TempDir,
    place: PathBuf,
}

impl Folder {
    /// Begins a folder; its place must be free, or an empty folder.
    pub(in crate::run) fn create(place: &Path) -> Result<Folder, Blocked> {
        let hint = "Name a folder that is not there yet, within one that only you may write to.";
        let blocked = |why: String| {
            Blocked::new(format!("folder {} cannot be written: {why}", place.display()))
                .hinted(hint)
        };
        let parent = match place.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if let Ok(found) = std::fs::symlink_metadata(place) {
            let empty = found.is_dir()
                && std::fs::read_dir(place).is_ok_and(|mut entries| entries.next().is_none());
            if !empty {
                return Err(blocked("there is something already".to_owned()));
            }
        }
        check_folder(parent).map_err(|error| blocked(error.to_string()))?;
        let beside = tempfile::Builder::new()
            .prefix(".pgreconcile-repair-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .map_err(|error| blocked(error.to_string()))?;
        Ok(Folder { beside, place: place.to_owned() })
    }

    /// Begins a file.
    pub(in crate::run) fn file(&self, name: &str) -> Result<SealedFile, Blocked> {
        let path = self.beside.path().join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|error| Blocked::io(&path, &error))?;
        let out = BufWriter::new(file);
        Ok(SealedFile { name: name.to_owned(), path, out, sealer: Sealer::default() })
    }

    /// Puts the folder into its place.
    pub(in crate::run) fn finish(self) -> Result<(), Blocked> {
        let beside = self.beside.keep();
        std::fs::rename(&beside, &self.place).map_err(|error| {
            // Nothing half done is left behind; what made the rename fail is what counts.
            let _ = std::fs::remove_dir_all(&beside);
            Blocked::io(&self.place, &error)
        })
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

/// Opens a file of a folder to read it; what is no plain file is not followed.
pub(in crate::run) fn open(folder: &Path, name: &str) -> Result<File, Blocked> {
    open_with(folder, name, OpenOptions::new().read(true))
}

/// The same for whatever it is to be used.
pub(in crate::run) fn open_with(
    folder: &Path,
    name: &str,
    options: &OpenOptions,
) -> Result<File, Blocked> {
    let path = folder.join(name);
    let at_path = |error: io::Error| Blocked::io(&path, &error);
    let plain = Path::new(name).components().count() == 1 && !name.contains(['/', '\\']);
    let found = std::fs::symlink_metadata(&path).map_err(at_path)?;
    let file = match plain && found.is_file() {
        true => Some(options.open(&path).map_err(at_path)?),
        false => None,
    };
    // What was looked at may have been exchanged for a link before it was opened.
    let which = |found: &Metadata| (found.dev(), found.ino());
    match file {
        Some(file) if which(&file.metadata().map_err(at_path)?) == which(&found) => Ok(file),
        _ => Err(Blocked::new(format!("{} is not a plain file", path.display()))),
    }
}
