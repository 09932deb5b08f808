//! A file whose seal is whole, and stays so: the bytes that are used are the bytes that were verified.
//!
//! A file is verified before anything is applied, and read again, batch by batch, while it is. To whoever
//! writes to it in between the seal says nothing. So the one reading that verifies it keeps a digest of
//! each block, and a later reading hands out a block only once it has the same. Memory holds one block
//! and 64 bytes for each MiB, however large the file is.

use std::io::{self, BufRead, ErrorKind, Read};

use super::folder::open;
use crate::files::Directory;
use crate::prepare::Blocked;
use crate::repair::FileSeal;
use crate::row::Sealer;

const BLOCK: u64 = 1 << 20;

/// A file that was verified.
#[derive(Debug)]
pub(in crate::run) struct Verified {
    folder: Directory,
    name: String,
    blocks: Vec<String>,
}

/// Reads a verified file.
pub(in crate::run) struct Blocks<'v> {
    file: std::fs::File,
    verified: &'v Verified,
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl Verified {
    /// Reads a file whole and looks whether its seal is.
    pub(in crate::run) fn of(folder: &Directory, sealed: &FileSeal) -> Result<Verified, Blocked> {
        let mut file = open(folder, &sealed.file)?;
        let (mut whole, mut blocks) = (Sealer::default(), Vec::new());
        let mut block = Vec::new();
        loop {
            read_block(&mut file, &mut block)
                .map_err(|error| Blocked::io(&folder.path_of(&sealed.file), &error))?;
            if block.is_empty() {
                break;
            }
            whole.update(&block);
            blocks.push(seal(&block));
        }
        if whole.finish() != sealed.blake3 {
            return Err(broken(&sealed.file));
        }
        Ok(Verified { folder: folder.clone(), name: sealed.file.clone(), blocks })
    }

    /// Reads it again, from the beginning.
    pub(in crate::run) fn read(&self) -> Result<Blocks<'_>, Blocked> {
        let file = open(&self.folder, &self.name)?;
        Ok(Blocks { file, verified: self, next: 0, block: Vec::new(), at: 0 })
    }

    /// Why it cannot be used: it was written to, or its content is nothing that we know.
    pub(in crate::run) fn unreadable(&self, error: Option<&io::Error>) -> Blocked {
        match error {
            Some(error) if error.kind() == ErrorKind::InvalidData => Blocked::new(format!(
                "{} was changed while it was applied",
                self.name
            ))
            .with_hint("Nothing of the change was applied; batches before it stand. Put back what was reviewed and start it again."),
            Some(error) => Blocked::io(&self.folder.path_of(&self.name), error),
            None => Blocked::new(format!("{} is not readable", self.name)),
        }
    }
}

/// What to say of a file that is not what was sealed.
pub(in crate::run) fn broken(name: &str) -> Blocked {
    Blocked::new(format!("the seal of {name} is broken: it was edited or damaged"))
        .with_hint("Apply what was reviewed, or run your own script with psql.")
}

impl Blocks<'_> {
    fn load(&mut self) -> io::Result<()> {
        read_block(&mut self.file, &mut self.block)?;
        self.at = 0;
        let known = self.verified.blocks.get(self.next);
        let same = match known {
            Some(known) => *known == seal(&self.block),
            None => self.block.is_empty(),
        };
        if !same {
            self.block.clear();
            return Err(ErrorKind::InvalidData.into());
        }
        self.next += usize::from(known.is_some());
        Ok(())
    }
}

impl Read for Blocks<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Blocks<'_> {
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

fn seal(block: &[u8]) -> String {
    let mut sealer = Sealer::default();
    sealer.update(block);
    sealer.finish()
}
