//! Which rows of a range have stood: those that the second look finds as the first one saw them.
//!
//! A run names a range by its ends, and what lies between them now may have come since: a row whose
//! write to the other side is still on its way is no difference. So a range is looked at twice, as far
//! apart as every difference has to stand still. Between the looks its rows wait as fingerprints in a
//! temporary file; memory holds those of one piece.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};

use tokio::time::Instant;

use super::changes::spool_error;
use crate::files::create_unnamed_file;
use crate::repair::Wanted;
use crate::row::{Fingerprint, KeyRange};
use crate::run::blocked::Blocked;
use crate::schema::Side;

/// A piece of a range that was looked at.
pub(in crate::run) struct Piece<'w> {
    /// The finding.
    pub(in crate::run) wanted: &'w Wanted,
    /// Which side had rows.
    pub(in crate::run) side: Side,
    pub(in crate::run) range: KeyRange,
    /// How many stood alone.
    pub(in crate::run) rows: usize,
    /// When the look was over.
    pub(in crate::run) looked: Instant,
}

/// What the first look saw, piece by piece.
pub(in crate::run) struct Standing<'w> {
    out: BufWriter<File>,
    pub(in crate::run) pieces: Vec<Piece<'w>>,
}

/// The same while the second one is made.
pub(in crate::run) struct Stood(BufReader<File>);

impl<'w> Standing<'w> {
    pub(in crate::run) fn new() -> Result<Standing<'w>, Blocked> {
        let out = BufWriter::with_capacity(1 << 16, create_unnamed_file().map_err(spool_error)?);
        Ok(Standing { out, pieces: Vec::new() })
    }

    /// A row of the piece that is being looked at.
    pub(in crate::run) fn push(&mut self, row: Fingerprint) -> Result<(), Blocked> {
        self.out.write_all(&row.to_bytes()).map_err(spool_error)
    }

    /// Turns to the second look.
    pub(in crate::run) fn turn(self) -> Result<(Vec<Piece<'w>>, Stood), Blocked> {
        let mut file = self.out.into_inner().map_err(spool_error)?;
        file.rewind().map_err(spool_error)?;
        Ok((self.pieces, Stood(BufReader::with_capacity(1 << 16, file))))
    }
}

impl Stood {
    /// The rows of the next piece.
    pub(in crate::run) fn next(&mut self, rows: usize) -> Result<HashSet<Fingerprint>, Blocked> {
        let mut bytes = [0; 16];
        let mut read = |_| {
            self.0.read_exact(&mut bytes).map_err(spool_error)?;
            Ok(Fingerprint::from_bytes(bytes))
        };
        (0..rows).map(&mut read).collect()
    }
}
