//! The problems of a file while it is read: the first of them in full, of the rest how many there are.
//!
//! A file may be no spec at all and wrong in every line: each problem takes some hundred bytes, the line a
//! few. So only those are kept that are shown.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::diagnostic::{Diagnostic, Severity, Span};

/// Problems of a file that are shown; nobody mends more of them before looking again.
pub const MOST_SHOWN: usize = 100;

/// Problems of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileProblems {
    /// The first errors and the first warnings, in the order of their places.
    pub first: Vec<Diagnostic>,
    /// How many errors there are beside them.
    pub more_errors: usize,
    /// How many warnings there are beside them.
    pub more_warnings: usize,
}

/// Where problems go while a file is read.
#[derive(Debug, Default)]
pub(super) struct Problems {
    errors: RefCell<FirstProblems>,
    warnings: RefCell<FirstProblems>,
    broken: Vec<Span>,
}

/// The first problems of one severity, by place and order of arrival.
#[derive(Debug, Default)]
struct FirstProblems {
    first: BTreeMap<(usize, usize), Diagnostic>,
    found: usize,
}

impl FirstProblems {
    /// Counts a problem at this place, and keeps it if it is among the first.
    fn push(&mut self, start: usize, problem: impl FnOnce() -> Diagnostic) {
        let place = (start, self.found);
        self.found += 1;
        let full = self.first.len() >= MOST_SHOWN;
        if full && self.first.last_key_value().is_some_and(|(last, _)| *last < place) {
            return;
        }
        self.first.insert(place, problem());
        if full {
            self.first.pop_last();
        }
    }

    fn more(&self) -> usize {
        self.found - self.first.len()
    }
}

impl Problems {
    /// Problems of a file with these syntax errors, and the parts that could not be read. What is
    /// missing may stand in one of them, and what stands there was misread: neither is reported.
    pub(super) fn of_file(syntax: impl Iterator<Item = Diagnostic>, broken: Vec<Span>) -> Problems {
        let problems = Problems::default();
        let mut last = None;
        for problem in syntax {
            // The parser says the same of every bracket that one end of file leaves open.
            if last.as_ref() != Some(&problem) {
                problems.push(problem.clone());
            }
            last = Some(problem);
        }
        Problems { broken, ..problems }
    }

    /// Whether the file has parts that could not be read.
    pub(super) fn has_broken_parts(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Adds a problem.
    pub(super) fn push(&self, problem: Diagnostic) {
        let found = match problem.severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        if !problem.span.as_ref().is_some_and(|span| self.is_misread(span)) {
            let start = problem.span.as_ref().map_or(0, |span| span.start);
            found.borrow_mut().push(start, || problem);
        }
    }

    /// Adds an error at a place, which is put into words only if it is among those that are shown.
    pub(super) fn push_error(&self, span: &Span, error: impl FnOnce() -> Diagnostic) {
        if !self.is_misread(span) {
            self.errors.borrow_mut().push(span.start, error);
        }
    }

    fn is_misread(&self, span: &Span) -> bool {
        self.broken.iter().any(|broken| broken.start <= span.end && span.start <= broken.end)
    }

    /// All that was found.
    pub(super) fn into_found(self) -> FileProblems {
        let (errors, warnings) = (self.errors.into_inner(), self.warnings.into_inner());
        let (more_errors, more_warnings) = (errors.more(), warnings.more());
        let mut first: Vec<_> = errors.first.into_iter().chain(warnings.first).collect();
        first.sort_by_key(|((start, _), _)| *start);
        let first = first.into_iter().map(|(_, problem)| problem).collect();
        FileProblems { first, more_errors, more_warnings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(at: usize) -> Diagnostic {
        Diagnostic::error(&(at..at + 1), format!("{at}"))
    }

    #[test]
    fn the_first_problems_by_place_are_kept_and_the_others_counted() {
        let problems = Problems::default();
        for at in (0..1_000).rev() {
            problems.push(error(at));
            problems.push(Diagnostic::warning(&(at..at), "w"));
        }
        let found = problems.into_found();
        assert_eq!((found.more_errors, found.more_warnings), (900, 900));
        let errors = found.first.iter().filter(|problem| problem.is_error());
        assert_eq!(errors.cloned().collect::<Vec<_>>(), (0..100).map(error).collect::<Vec<_>>());
        assert_eq!(found.first.len(), 200);
    }

    #[test]
    fn what_is_not_shown_is_not_put_into_words() {
        let (problems, mut made) = (Problems::default(), 0);
        for at in 0..300 {
            problems.push_error(&(at..at), || {
                made += 1;
                error(at)
            });
        }
        assert_eq!((made, problems.into_found().more_errors), (100, 200));
    }

    #[test]
    fn nothing_is_said_of_what_was_misread() {
        let problems = Problems::of_file(
            [error(10), error(10), error(30)].into_iter(),
            std::iter::once(8..12).collect(),
        );
        for at in [7, 9, 12] {
            problems.push(error(at));
        }
        problems.push(error(20));
        assert_eq!(problems.into_found().first, [error(10), error(20), error(30)]);
    }
}
