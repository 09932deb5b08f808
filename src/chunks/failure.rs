//! Why a range could not be read, as far as it decides whether smaller ranges are read instead.

/// The minimum of rows that a range is cut down to because its statement takes too long.
pub(crate) const LEAST_ROWS: u64 = 250;

/// Why a range could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadFailure {
    /// The range is too much for one statement.
    TooLarge,
    /// One of its rows cannot be read.
    BadRow,
    /// The server does not answer any more.
    NoServer,
    /// Reading less does not help.
    Other,
}

impl ReadFailure {
    /// Returns the minimum of rows that a range is cut down to.
    pub(crate) fn least_rows(self) -> u64 {
        match self {
            ReadFailure::TooLarge => LEAST_ROWS,
            ReadFailure::BadRow => 1,
            ReadFailure::NoServer | ReadFailure::Other => u64::MAX,
        }
    }
}
