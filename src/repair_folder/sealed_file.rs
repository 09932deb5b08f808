//! A file whose checksum was verified: the bytes that are used are the bytes that were verified.
//!
//! All files are verified before anything is applied, and read again, batch by batch, while the repair is
//! applied. They could be changed in between. So the verification stores a hash of each block, and a later
//! read returns a block only if its hash is the same. Memory holds one block and 64 bytes for each MiB,
//! however large the file is.

use std::io::{self, BufRead, ErrorKind, Read};

use super::folder_draft::open_file;
use crate::files::Directory;
use crate::problem::Problem;
use crate::repair::FileChecksum;
use crate::row::Sealer;

const BLOCK: u64 = 1 << 20;

/// A file that was verified.
#[derive(Debug)]
pub(crate) struct SealedFile {
    folder: Directory,
    name: String,
    blocks: Vec<String>,
}

/// Reads a verified file.
pub(crate) struct SealedFileReader<'v> {
    file: std::fs::File,
    sealed: &'v SealedFile,
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl SealedFile {
    /// Reads a whole file and verifies its checksum.
    pub(crate) fn verify(folder: &Directory, seal: &FileChecksum) -> Result<SealedFile, Problem> {
        let mut file = open_file(folder, &seal.file)?;
        let (mut whole, mut blocks) = (Sealer::default(), Vec::new());
        let mut block = Vec::new();
        loop {
            read_block(&mut file, &mut block)
                .map_err(|error| Problem::io(&folder.path_of(&seal.file), &error))?;
            if block.is_empty() {
                break;
            }
            whole.update(&block);
            blocks.push(hash(&block));
        }
        if whole.finish() != seal.blake3 {
            return Err(broken_seal(&seal.file));
        }
        Ok(SealedFile { folder: folder.clone(), name: seal.file.clone(), blocks })
    }

    /// Opens it again.
    pub(crate) fn read(&self) -> Result<SealedFileReader<'_>, Problem> {
        let file = open_file(&self.folder, &self.name)?;
        Ok(SealedFileReader { file, sealed: self, next: 0, block: Vec::new(), at: 0 })
    }

    /// Makes the problem of an error while it was read, or of content that has not the expected form.
    pub(crate) fn unreadable(&self, error: Option<&io::Error>) -> Problem {
        match error {
            Some(error) if error.kind() == ErrorKind::InvalidData => Problem::new(format!(
                "{} was changed while it was applied",
                self.name
            ))
            .with_hint("Nothing of the change was applied; batches before it stand. Put back what was reviewed and start it again."),
            Some(error) => Problem::io(&self.folder.path_of(&self.name), error),
            None => Problem::new(format!("{} is not readable", self.name)),
        }
    }
}

/// Makes the problem of a file that differs from its checksum.
pub(crate) fn broken_seal(name: &str) -> Problem {
    Problem::new(format!("the seal of {name} is broken: it was edited or damaged"))
        .with_hint("Apply what was reviewed, or run your own script with psql.")
}

impl SealedFileReader<'_> {
    fn load(&mut self) -> io::Result<()> {
        read_block(&mut self.file, &mut self.block)?;
        self.at = 0;
        let known = self.sealed.blocks.get(self.next);
        let is_same = match known {
            Some(known) => *known == hash(&self.block),
            None => self.block.is_empty(),
        };
        if !is_same {
            self.block.clear();
            return Err(ErrorKind::InvalidData.into());
        }
        self.next += usize::from(known.is_some());
        Ok(())
    }
}

impl Read for SealedFileReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for SealedFileReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.block.len() {
            self.load()?;
        }
        Ok(&self.block[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

fn read_block(file: &mut std::fs::File, block: &mut Vec<u8>) -> io::Result<()> {
    block.clear();
    Read::by_ref(file).take(BLOCK).read_to_end(block).map(drop)
}

fn hash(block: &[u8]) -> String {
    let mut sealer = Sealer::default();
    sealer.update(block);
    sealer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Purpose;

    /// A folder with one file of this length, and its checksum.
    fn written(length: usize) -> (tempfile::TempDir, Directory, FileChecksum) {
        let temporary = tempfile::tempdir().unwrap();
        let bytes = vec![b'x'; length];
        std::fs::write(temporary.path().join("f"), &bytes).unwrap();
        let folder = Directory::open(temporary.path(), Purpose::State).unwrap();
        (temporary, folder, FileChecksum { file: "f".to_owned(), blake3: hash(&bytes) })
    }

    #[test]
    fn a_verified_file_is_read_whole() {
        for length in [0, 1, BLOCK as usize, BLOCK as usize + 7] {
            let (_temporary, folder, seal) = written(length);
            let mut bytes = Vec::new();
            let sealed = SealedFile::verify(&folder, &seal).unwrap();
            sealed.read().unwrap().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len(), length);
        }
    }

    #[test]
    fn a_file_that_is_changed_after_it_was_verified_is_rejected() {
        let length = BLOCK as usize + 7;
        for changed in [length - 1, length + 1] {
            let (temporary, folder, seal) = written(length);
            let sealed = SealedFile::verify(&folder, &seal).unwrap();
            std::fs::write(temporary.path().join("f"), vec![b'x'; changed]).unwrap();
            let error = sealed.read().unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(SealedFile::verify(&folder, &seal).is_err());
        }
    }
}
