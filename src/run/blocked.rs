//! Why a repair cannot be made or applied.

use super::retried::{MayPass, joined};
use super::work::hands::Failed;
use crate::pg::PgError;

/// What stands in the way: a lowercase line, and a sentence about what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Whether the same may succeed a little later.
    pub(super) may_pass: bool,
}

impl Blocked {
    pub(super) fn new(message: impl Into<String>) -> Blocked {
        Blocked { message: message.into(), hint: None, may_pass: false }
    }

    pub(super) fn hinted(self, hint: impl Into<String>) -> Blocked {
        Blocked { hint: Some(hint.into()), ..self }
    }

    pub(super) fn io(what: &std::path::Path, error: &std::io::Error) -> Blocked {
        Blocked::new(format!("{}: {error}", what.display()))
    }
}

impl From<Failed> for Blocked {
    fn from((side, error): Failed) -> Blocked {
        let may_pass = error.may_pass();
        let PgError { message, hint, .. } = error;
        let message = side.map_or(message.clone(), |side| format!("{side}: {message}"));
        Blocked { message, hint, may_pass }
    }
}

impl MayPass for Blocked {
    fn may_pass(&self) -> bool {
        self.may_pass
    }

    fn advised(self, advice: &str) -> Blocked {
        Blocked { hint: joined(self.hint, advice), ..self }
    }
}
