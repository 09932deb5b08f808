//! What the ledger knows of which part of a mapping was verified when.
//!
//! How many rows a range has and when it was verified is stored as it is, so that anybody may ask for
//! shares. The bounds of a redacted key are encrypted, or not stored. A gate rests on the bounds too,
//! since only they say that ranges leave nothing out.

use super::checksum::Table;
use super::cipher::Cipher;
use super::error::LedgerError;
use super::recorder::Recorder;
use super::redaction::{Storage, decode};
use super::store::Store;
use super::value::{Change, values};
use crate::row::{Coverage, KeyRange, Shares, Stretch};

/// The part of a mapping that was verified, as far as a secret shows its bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Covered {
    /// The bounds are known, and leave nothing out.
    Known(Shares),
    /// The bounds are encrypted, and there is no secret.
    NoSecret,
    /// The bounds are encrypted under another secret.
    OtherSecret,
}

/// A range as it is stored: its bounds with their key, its rows, and when it was verified.
type StoredStretch = (Vec<u8>, u64, Option<String>);

fn is_encrypted(stored: &[StoredStretch]) -> bool {
    stored.iter().any(|(bounds, ..)| Cipher::is_encrypted(bounds))
}

impl Store {
    /// Which part of a mapping was verified when, in runs of one scope, by whatever key; nothing if none
    /// has said.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn coverage(
        &self,
        scope: &str,
        mapping: &str,
        cipher: Option<&Cipher>,
    ) -> Result<Option<Covered>, LedgerError> {
        let stored = self.stored_coverage(scope, mapping).await?;
        Ok(match (tiled(&stored, scope, mapping, cipher), is_encrypted(&stored), cipher) {
            (Some((coverage, _)), ..) => Some(Covered::Known(coverage.shares())),
            (None, true, None) => Some(Covered::NoSecret),
            (None, true, Some(_)) => Some(Covered::OtherSecret),
            (None, false, _) => None,
        })
    }

    /// Returns the shares of a mapping that were verified in runs of one scope, without a secret.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn shares(&self, scope: &str, mapping: &str) -> Result<Option<Shares>, LedgerError> {
        let stored = self.stored_coverage(scope, mapping).await?;
        if is_encrypted(&stored) {
            let shares = stored.into_iter().map(|(_, rows, verified)| (rows, verified));
            return Ok(Some(Shares::new(shares)));
        }
        Ok(tiled(&stored, scope, mapping, None).map(|(coverage, _)| coverage.shares()))
    }

    /// Returns what is stored of a mapping's ranges, in their order. Where one is damaged, none has been
    /// verified.
    async fn stored_coverage(
        &self,
        scope: &str,
        mapping: &str,
    ) -> Result<Vec<StoredStretch>, LedgerError> {
        let statement = include_str!("statements/coverage_of_mapping.sql");
        let mut stored = Vec::new();
        for record in self.rows(statement, values![scope, mapping]).await? {
            if self.checksums().verify(Table::Coverage, "", &record).is_err() {
                return Ok(Vec::new());
            }
            let verified = Some(record.text(5)?).filter(|at| !at.is_empty()).map(str::to_owned);
            stored.push((record.bytes(3)?.to_vec(), record.count(4)?, verified));
        }
        Ok(stored)
    }

    /// The mappings of a scope of which something was verified.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn covered(&self, scope: &str) -> Result<Vec<String>, LedgerError> {
        let statement = include_str!("statements/covered_mappings.sql");
        let found = self.rows(statement, values![scope]).await?;
        found.iter().map(|record| record.text(0).map(str::to_owned)).collect()
    }
}

/// Returns the coverage with the key whose ranges it speaks of. What cannot be read has not been
/// verified: `None` then, and where the ranges leave something out.
fn tiled(
    stored: &[StoredStretch],
    scope: &str,
    mapping: &str,
    cipher: Option<&Cipher>,
) -> Option<(Coverage, String)> {
    let (mut stretches, mut of_key) = (Vec::new(), String::new());
    for (place, (bounds, rows, verified)) in stored.iter().enumerate() {
        let range: KeyRange;
        (range, of_key) = match (Cipher::is_encrypted(bounds), cipher) {
            (true, None) => return None,
            (true, Some(cipher)) => Storage::Encrypted(cipher)
                .decode(&place_of(scope, mapping, place as u64), bounds)
                .ok()?,
            (false, _) => decode(bounds).ok()?,
        };
        stretches.push(Stretch { range, rows: *rows, verified: verified.clone() });
    }
    Coverage::of(stretches).map(|coverage| (coverage, of_key))
}

fn place_of<'p>(scope: &'p str, mapping: &'p str, place: u64) -> (&'p str, &'p str, &'p str, u64) {
    ("coverage", scope, mapping, place)
}

impl Recorder {
    /// Which part of a mapping was verified when, in runs of a scope, by this key: ranges of another
    /// mean other rows. What is encrypted under another secret counts as not verified.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn coverage(
        &self,
        scope: &str,
        mapping: &str,
        key: &str,
    ) -> Result<Option<Coverage>, LedgerError> {
        let stored = self.store().stored_coverage(scope, mapping).await?;
        let known = tiled(&stored, scope, mapping, self.redaction().cipher.as_ref());
        Ok(known.filter(|(_, of_key)| of_key == key).map(|(coverage, _)| coverage))
    }

    /// Writes down which part of a mapping was verified when, in place of what was there; nothing if
    /// its bounds must not be stored.
    pub fn keep_coverage(&mut self, mapping: &str, key: &str, coverage: &Coverage) {
        let Some(scope) = self.scope().map(str::to_owned) else { return };
        let whole = |stretch: &Stretch| stretch.range == KeyRange::everything();
        let storage = match self.redaction().of(mapping) {
            // Without bounds there is nothing to hide.
            Storage::Nothing if coverage.stretches().iter().all(whole) => Storage::Plain,
            storage => storage,
        };
        let stored = |(place, stretch): (usize, &Stretch)| {
            let (place, Stretch { range, rows, verified }) = (place as u64, stretch);
            let bounds = storage.encode(&place_of(&scope, mapping, place), &(range, key))?;
            let verified = verified.as_deref().unwrap_or_default();
            let row = values![scope.as_str(), mapping, place, bounds, *rows, verified];
            Some(self.store().checksums().sealed(Table::Coverage, "", row))
        };
        let stored: Option<Vec<_>> = coverage.stretches().iter().enumerate().map(stored).collect();
        let statement = include_str!("statements/forget_coverage.sql");
        self.put(Change { statement, params: values![scope.as_str(), mapping] });
        for params in stored.unwrap_or_default() {
            let statement = include_str!("statements/add_coverage.sql");
            self.put(Change { statement, params });
        }
    }
}
