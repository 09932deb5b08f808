//! How a run was throttled.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a run was throttled to spare other sessions, `paced` in JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrottleRecord {
    /// How long nothing new was started.
    pub waited_ms: u64,
    /// How long it ran slower: smaller chunks with a pause after each.
    pub slowed_ms: u64,
    /// How long its connections paused in all, for the sake of other sessions.
    pub rested_ms: u64,
    /// The largest replica lag, if that was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_lag_ms: Option<u64>,
    /// Why it waited or ran slower, the first few times.
    pub reasons: Vec<String>,
}

impl ThrottleRecord {
    /// Records a replica lag.
    pub fn record_lag(&mut self, lag: Option<Duration>) {
        let millis = lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        self.replica_lag_ms = self.replica_lag_ms.max(millis);
    }
}
