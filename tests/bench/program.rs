//! The programs that are timed: the one of this build, and with `--against` an older one.
//!
//! Each has a folder for its specs, ledgers, reports and repairs, so that neither reads files of
//! the other: their formats may differ.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Cluster;

/// Which of the two programs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Build {
    /// The program of this build.
    New,
    /// The program that it is compared with.
    Old,
}

/// A program that is timed.
pub(crate) struct Program {
    pub(crate) build: Build,
    path: PathBuf,
    folder: PathBuf,
}

impl Program {
    /// Returns the program of this build and the one at `against`, each with an empty folder.
    pub(crate) fn all(cluster: &Cluster, against: Option<&Path>) -> Vec<Program> {
        let program = |build, name, path: &Path| {
            let folder = cluster.socket().join(name);
            std::fs::create_dir_all(&folder).expect("a folder");
            Program { build, path: path.to_owned(), folder }
        };
        let new = program(Build::New, "new", Path::new(env!("CARGO_BIN_EXE_pgreconcile")));
        let old = against.map(|path| program(Build::Old, "old", path));
        std::iter::once(new).chain(old).collect()
    }

    /// Returns the path of a file of this program.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns a command that runs a verb with a spec.
    pub(crate) fn command(&self, verb: &str, spec: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg(verb).arg(self.file(spec));
        command
    }
}

/// Returns the programs in the order in which they run in a round. It alternates: the second one
/// may find pages in the cache that the first one read.
pub(crate) fn alternated(programs: &[Program], round: usize) -> impl Iterator<Item = &Program> {
    let count = programs.len();
    (0..count).map(move |at| &programs[(at + round) % count])
}
