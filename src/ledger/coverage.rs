//! Coverage: which part of a mapping was verified when.
//!
//! How many rows a range has and when it was verified is stored in plain, so that shares can be read
//! without a secret. The bounds of a redacted key are encrypted, or not stored. A gate needs the bounds
//! too, since only they prove that the ranges leave nothing out.

use super::checksum::ChecksummedTable;
use super::cipher::Cipher;
use super::recorder::Recorder;
use super::redaction::Storage;
use super::storage::store::Store;
use super::storage::stored_row::{LedgerWrite, values};
use crate::problem::Problem;
use crate::row::{Coverage, CoveredRange, KeyRange, Shares, VerifiedBy};

/// The part of a mapping that was verified, if its bounds can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoverageReading {
    /// The bounds can be read, and the ranges leave nothing out.
    Known(Shares),
    /// The bounds are encrypted, and there is no secret.
    NoSecret,
    /// The bounds are encrypted under another secret.
    OtherSecret,
}

/// A range as it is stored.
struct StoredRange {
    place: u64,
    /// Its bounds and the key, encoded.
    bounds: Vec<u8>,
    rows: u64,
    verified: Option<VerifiedBy>,
}

/// The coverage of a mapping as it is stored, in the order of its ranges.
struct StoredCoverage<'c> {
    scope: &'c str,
    mapping: &'c str,
    stretches: Vec<StoredRange>,
}

impl Store {
    /// Returns which part of a mapping was verified when, in runs of one scope, by any key. Returns
    /// `None` if nothing is stored.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_coverage(
        &self,
        scope: &str,
        mapping: &str,
        cipher: Option<&Cipher>,
    ) -> Result<Option<CoverageReading>, Problem> {
        let stored = self.read_stored_coverage(scope, mapping).await?;
        Ok(match cipher {
            None if stored.is_encrypted() => Some(CoverageReading::NoSecret),
            Some(cipher) if stored.has_other_secret(cipher) => Some(CoverageReading::OtherSecret),
            _ => {
                stored.tiled(cipher).map(|(coverage, _)| CoverageReading::Known(coverage.shares()))
            }
        })
    }

    /// Returns the shares of a mapping that were verified in runs of one scope, without a secret.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_shares(&self, scope: &str, mapping: &str) -> Result<Option<Shares>, Problem> {
        let stored = self.read_stored_coverage(scope, mapping).await?;
        if stored.is_encrypted() {
            let stretches = stored.stretches.into_iter();
            return Ok(Some(Shares::new(stretches.map(|stored| (stored.rows, stored.verified)))));
        }
        Ok(stored.tiled(None).map(|(coverage, _)| coverage.shares()))
    }

    /// Reads the stored ranges of a mapping. If one is damaged, none counts as verified.
    async fn read_stored_coverage<'c>(
        &self,
        scope: &'c str,
        mapping: &'c str,
    ) -> Result<StoredCoverage<'c>, Problem> {
        let statement = include_str!("statements/coverage_of_mapping.sql");
        let mut stored = StoredCoverage { scope, mapping, stretches: Vec::new() };
        for record in self.rows(statement, values![scope, mapping]).await? {
            if self.checksums().verify(ChecksummedTable::Coverage, "", &record).is_err() {
                stored.stretches.clear();
                break;
            }
            // In a ledger that was migrated the run may not be known.
            let (at, run) = (
                record.text("verified_at")?.to_owned(),
                record.maybe_int("verified_by")?.unwrap_or(0),
            );
            stored.stretches.push(StoredRange {
                place: record.count("place")?,
                bounds: record.bytes("range")?.to_vec(),
                rows: record.count("rows")?,
                verified: (!at.is_empty()).then_some(VerifiedBy { run, at }),
            });
        }
        Ok(stored)
    }

    /// Returns the mappings of a scope of which a part was verified.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_covered_mappings(&self, scope: &str) -> Result<Vec<String>, Problem> {
        let statement = include_str!("statements/covered_mappings.sql");
        let found = self.rows(statement, values![scope]).await?;
        found.iter().map(|record| record.text("mapping").map(str::to_owned)).collect()
    }
}

impl StoredCoverage<'_> {
    fn is_encrypted(&self) -> bool {
        self.stretches.iter().any(|stored| Cipher::is_encrypted(&stored.bounds))
    }

    /// Returns whether it is encrypted under another secret: none of its ranges decrypts.
    fn has_other_secret(&self, cipher: &Cipher) -> bool {
        let decrypts = |stored: &StoredRange| self.range(stored, Some(cipher)).is_some();
        self.is_encrypted() && !self.stretches.iter().any(decrypts)
    }

    /// Returns a range with its key, if it can be read.
    fn range(&self, stored: &StoredRange, cipher: Option<&Cipher>) -> Option<(KeyRange, String)> {
        let storage = match Cipher::is_encrypted(&stored.bounds) {
            true => Storage::Encrypted(cipher?),
            false => Storage::Plain,
        };
        storage.decode(&place_of(self.scope, self.mapping, stored.place), &stored.bounds).ok()
    }

    /// Returns the coverage with the key of its ranges. Returns `None` if a range cannot be read, or
    /// the ranges leave something out: neither counts as verified.
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
    /// Returns which part of a mapping was verified when, in runs of a scope, by this key: ranges of
    /// another key mean other rows. A range that is encrypted under another secret counts as not
    /// verified.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn read_coverage(
        &self,
        scope: &str,
        mapping: &str,
        key: &str,
    ) -> Result<Option<Coverage>, Problem> {
        let stored = self.store().read_stored_coverage(scope, mapping).await?;
        let known = stored.tiled(self.redaction().cipher.as_ref());
        Ok(known.filter(|(_, of_key)| of_key == key).map(|(coverage, _)| coverage))
    }

    /// Records which part of a mapping was verified when. Replaces the coverage that was stored
    /// before; if the bounds must not be stored, none is stored.
    pub fn record_coverage(&mut self, mapping: &str, key: &str, coverage: &Coverage) {
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
            Some(self.store().checksums().sealed(ChecksummedTable::Coverage, "", row))
        };
        let stored: Option<Vec<_>> = coverage.ranges().iter().enumerate().map(stored).collect();
        let statement = include_str!("statements/delete_coverage.sql");
        self.queue(LedgerWrite { statement, params: values![scope.as_str(), mapping] });
        for params in stored.unwrap_or_default() {
            let statement = include_str!("statements/add_coverage.sql");
            self.queue(LedgerWrite { statement, params });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::location::Location;
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
        recorder.set_run_fingerprint("{}".to_owned());
        recorder.set_redaction(Redaction::new(["t".to_owned()].into(), [].into(), cipher.cloned()));
        let id = format!("{cipher:?} {}", coverage.ranges().len());
        let run = RunRecord::new(id, "test", "h".into(), "s".into(), NamedValues(Vec::new()));
        recorder.record_events(&mut [Event::RunStarted(run)]).await;
        recorder.record_coverage("t", "id", coverage);
        let record = Box::new(MappingRecord::new("t", "digest"));
        recorder.record_events(&mut [Event::MappingFinished { mapping: 0, record }]).await;
        assert!(recorder.problem().is_none());
        Store::read(&at).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn bounds_of_a_redacted_key_need_the_secret() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let (cipher, other) = (Cipher::of_secret(b"one"), Cipher::of_secret(b"other"));
        let store = stored(&file, Some(&cipher), &halves()).await;
        let coverage = async |cipher| store.read_coverage("s", "t", cipher).await.unwrap();
        assert_eq!(coverage(Some(&cipher)).await, Some(CoverageReading::Known(halves().shares())));
        assert_eq!(coverage(Some(&other)).await, Some(CoverageReading::OtherSecret));
        assert_eq!(coverage(None).await, Some(CoverageReading::NoSecret));
        assert_eq!(store.read_shares("s", "t").await.unwrap(), Some(halves().shares()));
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"CANARY"));
        // Ranges that leave something out have verified nothing.
        rusqlite::Connection::open(&file)
            .unwrap()
            .execute("delete from coverage where place = 1", ())
            .unwrap();
        assert_eq!(coverage(Some(&cipher)).await, None);
    }

    #[tokio::test]
    async fn without_a_secret_only_whole_coverage_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.db");
        let store = stored(&file, None, &Coverage::nothing(7)).await;
        let whole = CoverageReading::Known(Coverage::nothing(7).shares());
        assert_eq!(store.read_coverage("s", "t", None).await.unwrap(), Some(whole));
        let store = stored(&file, None, &halves()).await;
        assert_eq!(store.read_coverage("s", "t", None).await.unwrap(), None);
    }
}
