//! The versions of a ledger's tables, as steps, each of which leads to the next version.
//!
//! A file and a database have the same versions, each in its own dialect. A ledger of an older version is
//! migrated in one transaction that excludes others and reads the version once more: of two processes
//! that start at once the second finds it done, and one that is killed leaves the ledger unchanged. A
//! step only adds columns and tables, so that older programs, also those that are running, can still read.

/// The step from one version to the next.
#[derive(Debug)]
pub(crate) struct VersionStep {
    /// For an SQLite file.
    pub(crate) file: &'static str,
    /// For a PostgreSQL database.
    pub(crate) shared: &'static str,
}

/// All steps. A new version adds one at the end; the others never change.
const STEPS: [VersionStep; 4] = [
    VersionStep {
        file: include_str!("../statements/schema_1.sql"),
        shared: include_str!("../statements/shared_schema_1.sql"),
    },
    VersionStep {
        file: include_str!("../statements/schema_2.sql"),
        shared: include_str!("../statements/shared_schema_2.sql"),
    },
    VersionStep {
        file: include_str!("../statements/schema_3.sql"),
        shared: include_str!("../statements/shared_schema_3.sql"),
    },
    VersionStep {
        file: include_str!("../statements/schema_4.sql"),
        shared: include_str!("../statements/shared_schema_4.sql"),
    },
];

/// The version that this program writes. A ledger without tables has version 0.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// Returns the steps that a ledger of a version lacks; none if it has this version or a newer one.
pub(crate) fn missing(version: i64) -> &'static [VersionStep] {
    usize::try_from(version).ok().and_then(|made| STEPS.get(made..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the tables that a step creates, with their columns, and the columns that it adds.
    fn tables(step: &str) -> Vec<(String, Vec<String>)> {
        let made = step.split("create table ").skip(1).map(|rest| {
            let (name, rest) = rest.split_once(" (\n").unwrap();
            let columns = rest.split("\n)").next().unwrap().lines();
            let columns = columns.map(|line| line.split_whitespace().next().unwrap().to_owned());
            (name.trim_start_matches("pgreconcile.").to_owned(), columns.collect())
        });
        let added = step.split("alter table ").skip(1).filter_map(|rest| {
            let (name, rest) = rest.split_once(" add column ")?;
            let column = rest.split_whitespace().next().unwrap().to_owned();
            Some((name.trim_start_matches("pgreconcile.").to_owned(), vec![column]))
        });
        made.chain(added).collect()
    }

    /// Returns whether only a database has a column: that of its version, which a file has in its header,
    /// of a lease, for which a file has a lock, or of the process that compares a shard.
    fn is_of_database(table: &str, column: &str) -> bool {
        ["version", "lease"].contains(&table)
            || table == "shard" && ["holder", "until", "turn", "done"].contains(&column)
    }

    #[test]
    fn a_version_is_the_same_in_a_file_and_in_a_database() {
        for VersionStep { file, shared } in &STEPS {
            let mut shared = tables(shared);
            for (table, columns) in &mut shared {
                columns.retain(|column| !is_of_database(table, column));
            }
            shared.retain(|(_, columns)| !columns.is_empty());
            assert_eq!(tables(file), shared);
        }
    }

    #[test]
    fn only_missing_steps_are_made() {
        let counts = [0, 1, 2, 3, 4, 99, -1].map(|version| missing(version).len());
        assert_eq!(counts, [4, 3, 2, 1, 0, 0, 0]);
    }
}
