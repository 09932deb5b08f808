//! The one shape of an error that a person reads.
//!
//! The grammar is PostgreSQL's: a lowercase line without a full stop says what happened, `detail:`
//! and `hint:` are sentences. There are two other errors, because the program decides on what they
//! hold: `PgError` (which remedy helps) and `Diagnostic` (which place in a spec).

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What went wrong, and what to do about it. It holds no row value.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What went wrong: lowercase, without a full stop.
    pub message: String,
    /// More about it, as a sentence.
    pub detail: Option<String>,
    /// What to do, as a sentence.
    pub hint: Option<String>,
    /// The error that caused it.
    pub source: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// Makes a problem with a message only.
    pub fn new(message: impl Into<String>) -> Problem {
        Problem { message: message.into(), detail: None, hint: None, source: None }
    }

    /// Makes a problem of an error of a file.
    pub(crate) fn io(path: &Path, error: &io::Error) -> Problem {
        Problem::new(format!("{}: {error}", path.display()))
    }

    /// Adds a detail.
    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Problem {
        Problem { detail: Some(detail.into()), ..self }
    }

    /// Adds a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Problem {
        Problem { hint: Some(hint.into()), ..self }
    }

    /// Adds the error that caused it. The causes are shown behind the message.
    #[must_use]
    pub fn with_source(self, source: impl Error + Send + Sync + 'static) -> Problem {
        Problem { source: Some(Arc::new(source)), ..self }
    }

    /// Makes a problem of what was being done, with this one as its cause. The detail and the hint
    /// stay.
    #[must_use]
    pub fn context(self, message: impl Into<String>) -> Problem {
        let (detail, hint) = (self.detail.clone(), self.hint.clone());
        Problem { detail, hint, ..Problem::new(message).with_source(self) }
    }

    /// Returns the message with those of all causes: `report a.csv cannot be written: disk full`.
    pub fn full_message(&self) -> String {
        let mut text = self.message.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(&format!(": {error}"));
            cause = error.source();
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Problem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_message_names_every_cause() {
        let cause = Problem::new("b").with_source(Problem::new("c")).with_hint("Do d.");
        let problem = cause.context("a");
        assert_eq!(problem.full_message(), "a: b: c");
        assert_eq!((problem.to_string(), problem.hint), ("a".to_owned(), Some("Do d.".to_owned())));
    }
}
