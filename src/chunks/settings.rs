//! The settings of a run that decide how its tables are cut.

use std::time::Duration;

/// How chunks are cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkSettings {
    /// The time that the statement of one chunk should take.
    pub(crate) chunk_time: Duration,
    /// The share of the keys to read, above 0 and below 1; `None` for all of them.
    pub(crate) sample: Option<f64>,
}

#[cfg(test)]
impl ChunkSettings {
    /// Returns the settings of a spec.
    pub(crate) fn of(settings: &crate::spec::CompareSettings) -> ChunkSettings {
        ChunkSettings { chunk_time: settings.chunk_time, sample: None }
    }
}
