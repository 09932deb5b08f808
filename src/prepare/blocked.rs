//! Why something cannot be prepared, or a repair not made or applied.

use super::retry::{SideError, Transient, join_hints};
use crate::pg::{PgError, Remedy};

/// An error of a repair or of its preparation: a lowercase line, and a sentence about what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What went wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// What helps against it.
    pub(crate) remedy: Remedy,
}

impl Blocked {
    pub(crate) fn new(message: impl Into<String>) -> Blocked {
        Blocked { message: message.into(), hint: None, remedy: Remedy::GiveUp }
    }

    pub(crate) fn with_hint(self, hint: impl Into<String>) -> Blocked {
        Blocked { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn io(what: &std::path::Path, error: &std::io::Error) -> Blocked {
        Blocked::new(format!("{}: {error}", what.display()))
    }
}

impl From<SideError> for Blocked {
    fn from((side, error): SideError) -> Blocked {
        let PgError { message, hint, remedy, .. } = error;
        let message = side.map_or(message.clone(), |side| format!("{side}: {message}"));
        Blocked { message, hint, remedy }
    }
}

impl Transient for Blocked {
    fn remedy(&self) -> Remedy {
        self.remedy
    }

    fn with_advice(self, advice: &str) -> Blocked {
        Blocked { hint: join_hints(self.hint, advice), ..self }
    }
}
