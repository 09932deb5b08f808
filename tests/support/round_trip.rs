//! One round trip of a repair, step by step.

use std::path::{Path, PathBuf};
use std::process::Command;

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair, Program, cluster};

/// Two databases, a spec, and the side that is written.
pub struct RoundTrip {
    pub pair: Pair,
    pub spec: PathBuf,
    pub written: Side,
}

/// The exit code and the output of psql.
pub struct PsqlOutput {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl PsqlOutput {
    pub fn of(output: &std::process::Output) -> PsqlOutput {
        PsqlOutput {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
}

impl RoundTrip {
    pub fn new(source: &str, target: &str, spec: &str) -> RoundTrip {
        let pair = Pair::new(source, target);
        let spec = pair.spec(spec);
        RoundTrip { pair, spec, written: Side::Target }
    }

    /// Returns a call of the program as a role that may write.
    pub fn program(&self) -> Program {
        let url = |side: Side| self.pair.clusters[side].url("postgres", &self.pair.database);
        Program::new()
            .env("SOURCE_URL", &url(Side::Source))
            .env("TARGET_URL", &url(Side::Target))
            .env("PGRECONCILE_SETTLE", "0s")
            .current_dir(self.pair.scratch.path())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.pair.scratch.path().join(name)
    }

    /// Compares, and writes the findings to a file too.
    pub fn compare(&self) -> Outcome {
        let report = self.path("findings.jsonl");
        self.pair.compare(&self.spec, &["--report", report.to_str().unwrap()])
    }

    /// Builds a repair of the last findings.
    pub fn repair(&self, out: &str, flags: &[&str]) -> Outcome {
        let authority = self.written.other().name();
        let spec = self.spec.to_str().unwrap();
        self.program()
            .args(&["repair", spec, "--authority", authority, "--out", out])
            .args(&["--from", "findings.jsonl"])
            .args(flags)
            .run()
    }

    pub fn apply(&self, folder: &str, flags: &[&str]) -> Outcome {
        self.program().args(&["apply", self.spec.to_str().unwrap(), folder]).args(flags).run()
    }

    /// Returns the scripts of a folder, in order; `end` is ".undo.sql" or ".sql".
    pub fn scripts(&self, folder: &str, end: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let undo = end == ".undo.sql";
        let mut found: Vec<PathBuf> = paths
            .filter(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.ends_with(end) && name.ends_with(".undo.sql") == undo
            })
            .collect();
        found.sort();
        if undo {
            found.reverse();
        }
        found
    }

    /// Runs a script with psql.
    pub fn psql(&self, script: &Path) -> PsqlOutput {
        self.psql_as("postgres", script)
    }

    /// Runs a script with psql as another role.
    pub fn psql_as(&self, role: &str, script: &Path) -> PsqlOutput {
        let cluster = &self.pair.clusters[self.written];
        let output = Command::new(cluster::binaries().join("psql"))
            .args(["-X", "-q", "-h"])
            .arg(cluster.socket())
            .args(["-p", &cluster.port.to_string(), "-U", role, "-d", &self.pair.database])
            .arg("-f")
            .arg(script)
            .output()
            .unwrap();
        PsqlOutput::of(&output)
    }

    /// Runs every script of a folder, each to its last line.
    pub fn run_all(&self, folder: &str, end: &str) {
        for script in self.scripts(folder, end) {
            let said = self.psql(&script);
            let text = || std::fs::read_to_string(&script).unwrap();
            assert_eq!(said.code, 0, "{}\n{}", said.stderr, text());
            assert!(said.stdout.contains("pgreconcile: applied "), "{}", said.stdout);
        }
    }

    /// Returns every row of every table of the written side as text, with `xmin` if asked.
    pub fn state(&self, with_xmin: bool) -> String {
        let what = if with_xmin { "t.xmin::text || t::text" } else { "t::text" };
        let tables = self.pair.sql(
            self.written,
            "select string_agg(format('%I.%I', schemaname, tablename), ' ' order by 1) from pg_tables
             where schemaname !~ '^(pg_|information_schema)'",
        );
        let dump = format!(
            "do $$ declare r record; begin create temp table dumped (line text);
             for r in select format('%I.%I', schemaname, tablename) as name from pg_tables
                 where schemaname !~ '^(pg_|information_schema)' loop
                 execute format('insert into dumped select %L || ' || $q${what}$q$ || ' from only %s as t', r.name, r.name);
             end loop; end $$; select line from dumped order by line collate \"C\";"
        );
        format!("{tables}\n{}", self.pair.sql(self.written, &dump))
    }

    /// Runs the whole round trip with both forms of the repair.
    pub fn trip(&self, flags: &[&str]) {
        let first = self.compare();
        let findings = first.exits(1).findings();
        assert!(!findings.is_empty());
        let _ = self.repair("repair", flags).exits(0);
        let told = self.apply("repair", &[]);
        assert!(told.exits(0).stdout.contains("nothing was changed"), "{}", told.stdout);
        assert_eq!(self.compare().findings(), findings);

        self.run_all("repair", ".sql");
        let by_psql = self.state(false);
        self.is_clean();
        let before = self.state(true);
        self.run_all("repair", ".sql");
        assert_eq!(self.state(true), before);
        self.run_all("repair", ".undo.sql");
        assert_eq!(self.compare().exits(1).findings(), findings);

        let applied = self.apply("repair", &["--execute"]);
        let _ = applied.exits(0);
        assert_eq!(self.state(false), by_psql);
        self.is_clean();
        let before = self.state(true);
        let _ = self.apply("repair", &["--execute"]).exits(0);
        assert_eq!(self.state(true), before);
        self.run_all("repair", ".undo.sql");
        assert_eq!(self.compare().exits(1).findings(), findings);
    }

    fn is_clean(&self) {
        let now = self.compare();
        assert_eq!(now.findings(), Vec::<String>::new(), "{}", now.stderr);
        let _ = now.exits(0);
    }
}

pub const ALL: [&str; 2] = ["--kinds", "insert,update,delete"];

/// Returns a mapping of one table to the table of the same name.
pub fn same(name: &str) -> String {
    format!("[[mapping]]\nsource.table = '{name}'\ntarget.table = '{name}'\n")
}
