//! What an error of a server means for the range that was to be read.

use crate::chunks::ReadFailure;
use crate::pg::Remedy;

impl From<Remedy> for ReadFailure {
    fn from(remedy: Remedy) -> ReadFailure {
        match remedy {
            Remedy::Shrink | Remedy::Conflict => ReadFailure::TooLarge,
            Remedy::Isolate => ReadFailure::BadRow,
            Remedy::Retry | Remedy::Reconnect => ReadFailure::NoServer,
            Remedy::Replan | Remedy::GiveUp => ReadFailure::Other,
        }
    }
}
