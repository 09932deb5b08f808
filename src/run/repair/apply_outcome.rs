//! What `apply` reports: its progress, its outcome, and why a batch failed.

use super::verify_applied::DifferingRows;
use crate::pg::PgError;
use crate::problem::Problem;
use crate::repair::{GUARD, RepairPart};
use crate::schema::Side;

/// The progress of `apply`.
#[derive(Clone, Debug)]
pub enum ApplyProgress<'p> {
    /// So many rows of a part are done.
    Rows(&'p RepairPart, u64),
    /// The next batch is throttled, for this reason.
    Throttled(&'p str),
    /// A part is done; so many of its rows were applied before.
    Part(&'p RepairPart, u64),
    /// The journal cannot be written any more.
    JournalFailed(&'p Problem),
    /// Every key is read again.
    Verifying,
}

/// The outcome of `apply`.
#[derive(Clone, Debug)]
pub enum ApplyOutcome {
    /// Every batch was applied.
    Done {
        /// The keys that were changed, and read again.
        keys: u64,
        /// How many of them agree now.
        agree: u64,
        /// How many of the others differ in which pair.
        differing: DifferingRows,
        /// Batches that were applied before, and not again.
        skipped: u64,
    },
    /// A guard, a constraint or a trigger rejected a batch.
    Refused(Problem),
    /// Another problem ended it.
    Failed(Problem),
    /// It was stopped between two batches.
    Stopped,
}

/// Returns the outcome of a batch that failed.
pub(super) fn failed_batch(
    (file, number): (&str, usize),
    written: Side,
    error: PgError,
) -> ApplyOutcome {
    if is_refusal(&error) {
        return ApplyOutcome::Refused(refused_batch(file, number, error));
    }
    let message = format!("batch {number} of {file}: {written}: {}", error.message);
    let hint = match error.sqlstate.as_deref() {
        Some("42501") => "The role needs SELECT, INSERT, UPDATE or DELETE on the tables, UPDATE also to delete, and SELECT and UPDATE on sequences.".to_owned(),
        _ => error.hint.unwrap_or_else(|| {
            "Nothing is half done; start it again when that is solved.".to_owned()
        }),
    };
    ApplyOutcome::Failed(Problem::new(message).with_hint(hint))
}

/// Returns whether a guard, a constraint or a trigger rejected a batch.
fn is_refusal(error: &PgError) -> bool {
    let code = error.sqlstate.as_deref();
    code.is_some_and(|code| code == GUARD || code.starts_with("23") || code.starts_with("P0"))
}

/// Makes the problem of a batch that was rejected.
fn refused_batch(file: &str, number: usize, error: PgError) -> Problem {
    let code = error.sqlstate.as_deref().unwrap_or_default();
    let (by, advice) = match (code, &error.broken) {
        (GUARD, _) => (
            error.message,
            "Compare again and make a new repair; if that is refused as well, a trigger or another unique index stands in its way. Run the script with psql to see the keys.",
        ),
        (_, Some(broken)) => (
            format!("{broken} (SQLSTATE {code})"),
            "A new repair would be refused as well: look at that constraint, then repair the row that it refuses by hand, or leave it out; run the script with psql to see which one.",
        ),
        _ => (
            format!("a constraint or a trigger (SQLSTATE {code})"),
            "A new repair may be refused as well: run the script with psql to see what refuses which row, then repair that by hand, or leave it out.",
        ),
    };
    let message = format!("batch {number} of {file} was refused: {by}");
    let hint = format!("Nothing of this batch was changed, earlier ones stand. {advice}");
    Problem::new(message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::Remedy;

    fn outcome(code: &str, broken: Option<&str>) -> ApplyOutcome {
        let error = PgError {
            remedy: Remedy::GiveUp,
            message: "the message".to_owned(),
            hint: None,
            sqlstate: Some(code.to_owned()),
            broken: broken.map(Into::into),
        };
        failed_batch(("001-t-update.sql", 2), Side::Target, error)
    }

    #[test]
    fn guards_constraints_and_triggers_refuse_a_batch() {
        let refused = |code: &str, broken: Option<&str>| match outcome(code, broken) {
            ApplyOutcome::Refused(problem) => problem.message,
            other => panic!("{code}: {other:?}"),
        };
        let message = |by: &str| format!("batch 2 of 001-t-update.sql was refused: {by}");
        assert_eq!(refused(GUARD, None), message("the message"));
        assert_eq!(refused("23505", Some("t_key of t")), message("t_key of t (SQLSTATE 23505)"));
        assert_eq!(refused("P0001", None), message("a constraint or a trigger (SQLSTATE P0001)"));
    }

    #[test]
    fn other_errors_end_apply() {
        for (code, word) in [("42501", "The role needs"), ("57014", "Nothing is half done")] {
            let ApplyOutcome::Failed(problem) = outcome(code, None) else { panic!("{code}") };
            assert_eq!(problem.message, "batch 2 of 001-t-update.sql: target: the message");
            assert!(problem.hint.unwrap().starts_with(word));
        }
    }
}
