//! Exit codes.

use crate::finding::Verdict;

/// The context of an error that occurs while stdout is written.
pub(super) const STDOUT: &str = "stdout cannot be written";

/// How the program ends, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Exit {
    /// Everything agrees, or the work is done.
    Clean,
    /// There are confirmed differences.
    Diverged,
    /// Not everything requested was compared.
    Incomplete,
    /// Another run holds the lock.
    Locked,
    /// Trouble before the first row was read.
    Trouble,
}

impl Exit {
    /// Returns the exit code.
    pub(super) fn code(self) -> u8 {
        match self {
            Exit::Clean => 0,
            Exit::Diverged => 1,
            Exit::Incomplete => 3,
            Exit::Locked => 4,
            Exit::Trouble => 2,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Clean => Exit::Clean,
            Verdict::Diverged => Exit::Diverged,
            Verdict::Incomplete => Exit::Incomplete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::exit_code;

    #[test]
    fn codes_are_those_of_the_contract() {
        for verdict in [Verdict::Clean, Verdict::Diverged, Verdict::Incomplete] {
            assert_eq!(Exit::from(verdict).code(), exit_code(verdict));
        }
        assert_eq!((Exit::Trouble.code(), Exit::Locked.code()), (2, 4));
        // The worst of several specs counts: 2, 4, 3, 1, 0.
        let mut exits =
            [Exit::Diverged, Exit::Trouble, Exit::Clean, Exit::Locked, Exit::Incomplete];
        exits.sort();
        assert_eq!(exits.map(Exit::code), [0, 1, 3, 4, 2]);
    }
}
