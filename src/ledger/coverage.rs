//! What the ledger knows of which part of a mapping was verified when.
//!
//! How many rows a range has and when it was verified is stored as it is, so that anybody may ask for
//! shares. The bounds of a redacted key are encrypted, or not stored. A gate rests on the bounds too,
//! since only they say that ranges leave nothing out.

use super::checksum::Table;
use super::cipher::Cipher;
use super::error::LedgerError;
use super::recorder::Recorder;
use super::redaction::Storage;
use super::store::Store;
use super::value::{Change, values};
use crate::row::{Coverage, CoveredRange, KeyRange, Shares, VerifiedBy};

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

/// A range as it is stored.
struct StoredStretch {
    place: u64,
    /// Its bounds with their key.
    bounds: Vec<u8>,
    rows: u64,
    verified: Option<VerifiedBy>,
}

/// The coverage of a mapping as it is stored, in the order of its ranges.
struct StoredCoverage<'c> {
    scope: &'c str,
    mapping: &'c str,
    stretches: Vec<StoredStretch>,
}

impl Store {
    /// Returns which part of a mapping was verified when, in runs of one scope, by whatever key; nothing
    /// if none has said.
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
        Ok(match cipher {
            None if stored.is_encrypted() => Some(Covered::NoSecret),
            Some(cipher) if stored.has_other_secret(cipher) => Some(Covered::OtherSecret),
            _ => stored.tiled(cipher).map(|(coverage, _)| Covered::Known(coverage.shares())),
        })
    }

    /// Returns the shares of a mapping that were verified in runs of one scope, without a secret.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn shares(&self, scope: &str, mapping: &str) -> Result<Option<Shares>, LedgerError> {
        let stored = self.stored_coverage(scope, mapping).await?;
        if stored.is_encrypted() {
            let stretches = stored.stretches.into_iter();
            return Ok(Some(Shares::new(stretches.map(|stored| (stored.rows, stored.verified)))));
        }
        Ok(stored.tiled(None).map(|(coverage, _)| coverage.shares()))
    }

    /// Returns what is stored of a mapping's ranges. Where one is damaged, none has been verified.
    async fn stored_coverage<'c>(
        &self,
        scope: &'c str,
        mapping: &'c str,
    ) -> Result<StoredCoverage<'c>, LedgerError> {
        let statement = include_str!("statements/coverage_of_mapping.sql");
        let mut stored = StoredCoverage { scope, mapping, stretches: Vec::new() };
        for record in self.rows(statement, values![scope, mapping]).await? {
            if self.checksums().verify(Table::Coverage, "", &record).is_err() {
                stored.stretches.clear();
                break;
            }
            // Of a ledger of an older version it may be that of no run.
            let (at, run) = (record.text(5)?.to_owned(), record.maybe_int(6)?.unwrap_or(0));
            stored.stretches.push(StoredStretch {
                place: record.count(2)?,
                bounds: record.bytes(3)?.to_vec(),
                rows: record.count(4)?,
                verified: (!at.is_empty()).then_some(VerifiedBy { run, at }),
            });
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

impl StoredCoverage<'_> {
    fn is_encrypted(&self) -> bool {
        self.stretches.iter().any(|stored| Cipher::is_encrypted(&stored.bounds))
    }

    /// Returns whether another secret encrypts it: not one of its ranges decrypts.
    fn has_other_secret(&self, cipher: &Cipher) -> bool {
        let decrypts = |stored: &StoredStretch| self.range(stored, Some(cipher)).is_some();
        self.is_encrypted() && !self.stretches.iter().any(decrypts)
    }

    /// Returns the range of a stretch with its key, if it can be read.
    fn range(&self, stored: &StoredStretch, cipher: Option<&Cipher>) -> Option<(KeyRange, String)> {
        let storage = match Cipher::is_encrypted(&stored.bounds) {
            true => Storage::Encrypted(cipher?),
            false => Storage::Plain,
        };
        storage.decode(&place_of(self.scope, self.mapping, stored.place), &stored.bounds).ok()
    }

    /// Returns the coverage with the key whose ranges it speaks of. What cannot be read has not been
    /// verified: `None` then, and where the ranges leave something out.
    fn tiled(&self, cipher: Option<&Cipher>) -> Option<(Coverage, String)> {
        let (mut stretches, mut of_key) = (Vec::new(), String::new());
        for stored in &self.stretches {
            let range;
            (range, of_key) = self.range(stored, cipher)?;
            let (rows, verified) = (stored.rows, stored.verified.clone());
            stretches.push(CoveredRange { range, rows, verified });
        }
        Coverage::of(stretches).map(|coverage| (coverage, of_key))
    }
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
        let known = stored.tiled(self.redaction().cipher.as_ref());
        Ok(known.filter(|(_, of_key)| of_key == key).map(|(coverage, _)| coverage))
    }

    /// Writes down which part of a mapping was verified when, in place of what was there; nothing if
    /// its bounds must not be stored.
    pub fn keep_coverage(&mut self, mapping: &str, key: &str, coverage: &Coverage) {
        let Some(scope) = self.scope().map(str::to_owned) else { return };
        let whole = |stretch: &CoveredRange| stretch.range == KeyRange::everything();
        let storage = match self.redaction().of(mapping) {
            // Without bounds there is nothing to hide.
            Storage::Nothing if coverage.ranges().iter().all(whole) => Storage::Plain,
            storage => storage,
        };
        let stored = |(place, stretch): (usize, &CoveredRange)| {
            let (place, CoveredRange { range, rows, verified }) = (place as u64, stretch);
            let bounds = storage.encode(&place_of(&scope, mapping, place), &(range, key))?;
            let (run, at) = verified.as_ref().map_or((0, ""), |by| (by.run, by.at.as_str()));
            let row = values![scope.as_str(), mapping, place, bounds, *rows, at, run];
            Some(self.store().checksums().sealed(Table::Coverage, "", row))
        };
        let stored: Option<Vec<_>> = coverage.ranges().iter().enumerate().map(stored).collect();
        let statement = include_str!("statements/forget_coverage.sql");
        self.put(Change { statement, params: values![scope.as_str(), mapping] });
        for params in stored.unwrap_or_default() {
            let statement = include_str!("statements/add_coverage.sql");
            self.put(Change { statement, params });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Location;
    use super::super::redaction::Redaction;
    use super::*;
    use crate::event::Event;
    use crate::finding::{MappingRecord, NamedValues, RunRecord};
    use crate::row::{Bound, Key, KeyField, KeyOrder};

    /// Coverage of two ranges with a bound between them.
    fn halves() -> Coverage {
        let bound = Bound { key: Key::new([&b"CANARY"[..]]), text: ["redacted".to_owned()].into() };
        let (first, _) = KeyRange::everything().cut(bound);
        let mut coverage = Coverage::nothing(10);
        let run = VerifiedBy { run: 2, at: "2".to_owned() };
        coverage.mark(&first, 4, Some(&run), &KeyOrder(vec![KeyField::Bytes]));
        coverage
    }

    /// Stores the coverage of a mapping with a redacted key. Returns the ledger that has it.
    async fn stored(file: &std::path::Path, cipher: Option<&Cipher>, coverage: &Coverage) -> Store {
        let at = Location::File(file.to_owned());
        let mut recorder = Recorder::new(Store::create(&at).await.unwrap(), "compare");
        recorder.set_terms("{}".to_owned());
        recorder.set_redaction(Redaction::new(["t".to_owned()].into(), [].into(), cipher.cloned()));
        let id = format!("{cipher:?} {}", coverage.ranges().len());
        let run = RunRecord::new(id, "test", "h".into(), "s".into(), NamedValues(Vec::new()));
        recorder.take(&mut [Event::RunStarted(run)]).await;
        recorder.keep_coverage("t", "id", coverage);
        let record = Box::new(MappingRecord::new("t", "digest"));
        recorder.take(&mut [Event::MappingFinished { mapping: 0, record }]).await;
        assert_eq!(recorder.trouble(), None);
        Store::read(&at).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn bounds_of_a_redacted_key_need_their_secret_and_shares_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let (cipher, other) = (Cipher::of_secret(b"one"), Cipher::of_secret(b"other"));
        let store = stored(&file, Some(&cipher), &halves()).await;
        let coverage = async |cipher| store.coverage("s", "t", cipher).await.unwrap();
        assert_eq!(coverage(Some(&cipher)).await, Some(Covered::Known(halves().shares())));
        assert_eq!(coverage(Some(&other)).await, Some(Covered::OtherSecret));
        assert_eq!(coverage(None).await, Some(Covered::NoSecret));
        assert_eq!(store.shares("s", "t").await, Ok(Some(halves().shares())));
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"CANARY"));
        // What leaves something out has verified nothing.
        rusqlite::Connection::open(&file)
            .unwrap()
            .execute("delete from coverage where place = 1", ())
            .unwrap();
        assert_eq!(coverage(Some(&cipher)).await, None);
    }

    #[tokio::test]
    async fn without_a_secret_only_coverage_without_bounds_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let store = stored(&file, None, &Coverage::nothing(7)).await;
        let whole = Covered::Known(Coverage::nothing(7).shares());
        assert_eq!(store.coverage("s", "t", None).await, Ok(Some(whole)));
        let store = stored(&file, None, &halves()).await;
        assert_eq!(store.coverage("s", "t", None).await, Ok(None));
    }
}
