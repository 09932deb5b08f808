//! What the ledger knows of which part of a mapping was verified when.

use super::checkpoint::{decode, encode};
use super::error::LedgerError;
use super::recorder::Recorder;
use super::store::Store;
use super::value::{Change, values};
use crate::row::{Coverage, Stretch};

impl Store {
    /// Which part of a mapping was verified when, in runs of one scope; nothing if none has said.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn coverage(
        &self,
        scope: &str,
        mapping: &str,
    ) -> Result<Option<Coverage>, LedgerError> {
        let statement = include_str!("statements/coverage_of_mapping.sql");
        let mut stretches = Vec::new();
        for record in self.rows(statement, values![scope, mapping]).await? {
            stretches.push(Stretch {
                range: decode(record.bytes(0)?)?,
                rows: record.count(1)?,
                verified: Some(record.text(2)?).filter(|at| !at.is_empty()).map(str::to_owned),
            });
        }
        Ok(Coverage::of(stretches))
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
    /// Which part of a mapping was verified when, in runs of a scope.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn coverage(
        &self,
        scope: &str,
        mapping: &str,
    ) -> Result<Option<Coverage>, LedgerError> {
        self.store().coverage(scope, mapping).await
    }

    /// Writes down which part of a mapping was verified when, in place of what was there.
    pub fn keep_coverage(&mut self, mapping: &str, coverage: &Coverage) {
        let Some(scope) = self.scope().map(str::to_owned) else { return };
        let statement = include_str!("statements/forget_coverage.sql");
        self.put(Change { statement, params: values![scope.as_str(), mapping] });
        for (place, stretch) in coverage.stretches().iter().enumerate() {
            let statement = include_str!("statements/add_coverage.sql");
            let Stretch { range, rows, verified } = stretch;
            let verified = verified.as_deref().unwrap_or_default();
            let params =
                values![scope.as_str(), mapping, place as u64, encode(range), *rows, verified];
            self.put(Change { statement, params });
        }
    }
}
