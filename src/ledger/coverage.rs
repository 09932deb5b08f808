//! What the ledger knows of which part of a mapping was verified when.

use super::checkpoint::{decode, encode};
use super::checksum::Table;
use super::error::LedgerError;
use super::recorder::Recorder;
use super::store::Store;
use super::value::{Change, values};
use crate::row::{Coverage, Stretch, VerifiedBy};

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
    ) -> Result<Option<Coverage>, LedgerError> {
        Ok(self.coverage_and_key(scope, mapping).await?.map(|(coverage, _)| coverage))
    }

    /// The same with the key whose ranges it speaks of.
    async fn coverage_and_key(
        &self,
        scope: &str,
        mapping: &str,
    ) -> Result<Option<(Coverage, String)>, LedgerError> {
        let statement = include_str!("statements/coverage_of_mapping.sql");
        let (mut stretches, mut of_key) = (Vec::new(), String::new());
        for record in self.rows(statement, values![scope, mapping]).await? {
            let range;
            // What is damaged, or cannot be read, has not been verified.
            if self.checksums().verify(Table::Coverage, "", &record).is_err() {
                return Ok(None);
            }
            let Ok(read) = decode(record.bytes(3)?) else { return Ok(None) };
            (range, of_key) = read;
            // Of a ledger of an older version it may be that of no run.
            let (at, run) = (record.text(5)?.to_owned(), record.maybe_int(6)?.unwrap_or(0));
            let verified = (!at.is_empty()).then_some(VerifiedBy { run, at });
            stretches.push(Stretch { range, rows: record.count(4)?, verified });
        }
        Ok(Coverage::of(stretches).map(|coverage| (coverage, of_key)))
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

impl Recorder {
    /// Which part of a mapping was verified when, in runs of a scope, by this key: ranges of another
    /// mean other rows.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn coverage(
        &self,
        scope: &str,
        mapping: &str,
        key: &str,
    ) -> Result<Option<Coverage>, LedgerError> {
        let known = self.store().coverage_and_key(scope, mapping).await?;
        Ok(known.filter(|(_, of_key)| of_key == key).map(|(coverage, _)| coverage))
    }

    /// Writes down which part of a mapping was verified when, in place of what was there.
    pub fn keep_coverage(&mut self, mapping: &str, key: &str, coverage: &Coverage) {
        let Some(scope) = self.scope().map(str::to_owned) else { return };
        let statement = include_str!("statements/forget_coverage.sql");
        self.put(Change { statement, params: values![scope.as_str(), mapping] });
        for (place, stretch) in coverage.stretches().iter().enumerate() {
            let statement = include_str!("statements/add_coverage.sql");
            let Stretch { range, rows, verified } = stretch;
            let (run, at) = verified.as_ref().map_or((0, ""), |by| (by.run, by.at.as_str()));
            let params = values![
                scope.as_str(),
                mapping,
                place as u64,
                encode(&(range, key)),
                *rows,
                at,
                run
            ];
            let params = self.store().checksums().sealed(Table::Coverage, "", params);
            self.put(Change { statement, params });
        }
    }
}
