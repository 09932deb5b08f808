//! What a ledger's tables are: steps, each of which adds a version to the one before it.
//!
//! A file and a database have the same versions, each in its own dialect. A ledger that lacks some is
//! brought forward in one transaction in which nobody else can do so, which asks for its version once
//! more: of two processes that begin at once the second finds it done, and one that is killed leaves
//! it as it was. A step only adds, so that older programs, also those that run at that moment, can
//! still read.

/// What makes one version of the one before it.
#[derive(Debug)]
pub(super) struct VersionStep {
    /// For an SQLite file.
    pub(super) file: &'static str,
    /// For a PostgreSQL database.
    pub(super) shared: &'static str,
}

/// Every step there is: a new version is a new one at the end, and none is ever changed.
const STEPS: [VersionStep; 4] = [
    VersionStep {
        file: include_str!("statements/schema_1.sql"),
        shared: include_str!("statements/shared_schema_1.sql"),
    },
    VersionStep {
        file: include_str!("statements/schema_2.sql"),
        shared: include_str!("statements/shared_schema_2.sql"),
    },
    VersionStep {
        file: include_str!("statements/schema_3.sql"),
        shared: include_str!("statements/shared_schema_3.sql"),
    },
    VersionStep {
        file: include_str!("statements/schema_4.sql"),
        shared: include_str!("statements/shared_schema_4.sql"),
    },
];

/// The version that this program writes; 0 is one without tables.
pub(super) const VERSION: i64 = STEPS.len() as i64;

/// The steps that a ledger of a version lacks; none if it is of this program or a newer one.
pub(super) fn missing(version: i64) -> &'static [VersionStep] {
    usize::try_from(version).ok().and_then(|made| STEPS.get(made..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tables that a step makes, each with its columns, and those to which it adds a column.
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

    /// What only a database has: its version, which a file has in its head; leases, for which a file
    /// has locks; and who compares a part.
    fn is_of_many(table: &str, column: &str) -> bool {
        ["version", "lease"].contains(&table)
            || table == "shard" && ["holder", "until", "turn", "done"].contains(&column)
    }

    #[test]
    fn a_version_is_the_same_in_a_file_and_in_a_database() {
        for VersionStep { file, shared } in &STEPS {
            let mut shared = tables(shared);
            for (table, columns) in &mut shared {
                columns.retain(|column| !is_of_many(table, column));
            }
            shared.retain(|(_, columns)| !columns.is_empty());
            assert_eq!(tables(file), shared);
        }
    }

    #[test]
    fn only_what_is_missing_is_made() {
        let counts = [0, 1, 2, 3, 4, 99, -1].map(|version| missing(version).len());
        assert_eq!(counts, [4, 3, 2, 1, 0, 0, 0]);
    }
}
