//! A database on each side, made for one test, and a folder for its files.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use pgreconcile::schema::{BySide, Side};

use super::program::Program;
use super::servers::cluster::{Cluster, shared};

/// Two databases, one on each side, and a folder.
pub struct Pair {
    pub clusters: &'static BySide<Cluster>,
    pub database: String,
    pub scratch: Scratch,
}

/// A folder for one test's files.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    pub fn new() -> Scratch {
        Scratch(tempfile::tempdir().expect("a folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

/// A role with the privileges that the program needs, and no others.
pub const READER: &str = "reader";

/// Grants the reader USAGE and SELECT on everything that exists now.
const GRANTS: &str = "do $$ declare s text; begin
    for s in select nspname from pg_namespace where nspname !~ '^(pg_|information_schema)' loop
        execute format('grant usage on schema %I to reader', s);
        execute format('grant select on all tables in schema %I to reader', s);
    end loop; end $$;";

impl Pair {
    /// Creates the databases and fills them.
    pub fn new(source: &str, target: &str) -> Pair {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let database = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let pair = Pair { clusters: shared(), database, scratch: Scratch::new() };
        let fill = |side: Side, sql: &str| {
            let cluster = &pair.clusters[side];
            cluster.sql("postgres", &format!("create database {}", pair.database));
            cluster.sql_then(&pair.database, sql, GRANTS);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| fill(Side::Source, source));
            fill(Side::Target, target);
        });
        pair
    }

    /// Grants the reader USAGE and SELECT on everything that exists now.
    pub fn grant(&self, side: Side) {
        self.sql(side, GRANTS);
    }

    /// Runs SQL on a side.
    pub fn sql(&self, side: Side, sql: &str) -> String {
        self.clusters[side].sql(&self.database, sql)
    }

    /// Returns the side's connection string for the reader.
    pub fn url(&self, side: Side) -> String {
        self.clusters[side].url(READER, &self.database)
    }

    /// Writes a spec with the sides' connections in front; `rest` is what follows.
    pub fn spec(&self, rest: &str) -> PathBuf {
        let head = "version = 1\nname = \"test\"\n\n[source]\nurl = \"${SOURCE_URL}\"\n\n\
                    [target]\nurl = \"${TARGET_URL}\"\n\n";
        self.scratch.file("spec.toml", &format!("{head}{rest}"))
    }

    /// Returns a call of the program with the sides' connection strings in its environment.
    pub fn program(&self) -> Program {
        Program::new()
            .env("SOURCE_URL", &self.url(Side::Source))
            .env("TARGET_URL", &self.url(Side::Target))
            .current_dir(self.scratch.path())
    }

    /// Compares a spec with `settle = 0`.
    pub fn compare(&self, spec: &Path, flags: &[&str]) -> super::Outcome {
        self.comparing(spec, flags).run()
    }

    /// Returns a call that compares a spec with `settle = 0`.
    pub fn comparing(&self, spec: &Path, flags: &[&str]) -> Program {
        self.program()
            .arg("compare")
            .arg(spec.to_str().unwrap())
            .args(&["--settle", "0s", "--format", "jsonl", "--progress", "never"])
            .args(flags)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let drops = Side::BOTH.map(|side| {
            let cluster = &self.clusters[side];
            std::process::Command::new(super::servers::cluster::binaries().join("dropdb"))
                .args(["--force", "--if-exists", "-h"])
                .arg(cluster.socket())
                .args(["-p", &cluster.port.to_string(), "-U", "postgres", &self.database])
                .spawn()
        });
        for drop in drops {
            let _ = drop.and_then(|mut drop| drop.wait());
        }
    }
}
