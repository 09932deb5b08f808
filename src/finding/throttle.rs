//! What it cost a run to hold back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run was held back for the sake of others on its servers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleRecord {
    /// How long nothing new was started.
    pub waited_ms: u64,
    /// How long it went slower: smaller chunks with a rest after each.
    pub slowed_ms: u64,
    /// How long its connections rested in all, so that other sessions had their share.
    pub rested_ms: u64,
    /// The furthest that replay was seen to lag, where that was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_lag_ms: Option<u64>,
    /// Why it waited or went slower, the first few times.
    pub reasons: Vec<String>,
}

impl ThrottleRecord {
    /// Replay was seen to lag so far.
    pub fn saw_lag(&mut self, lag: Option<Duration>) {
        let millis = lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        self.replica_lag_ms = self.replica_lag_ms.max(millis);
    }
}
