//! File copies of a server have its identifier, timeline, databases and tables. A copy that lacks
//! the rows that were read is refused; a copy that was written to afterwards causes a warning; a
//! restart, another address and a failover are not refused.

use std::process::Command;

use pgreconcile::schema::BySide;

use crate::support::round_trip::PsqlOutput;
use crate::support::{Cluster, Outcome, Program, Scratch, Settings, cluster, fault};

const TABLE: &str = "create table t (id int primary key, v text);
    insert into t select n, 'v' || n from generate_series(1, 4000) n; analyze t;";
const SPEC: &str = "version = 1\nname = \"test\"\n[source]\nurl = \"${SOURCE_URL}\"\n[target]\n\
     url = \"${TARGET_URL}\"\n[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
     where = \"id % 100 <> 0 or pg_sleep(0.02) is not null\"\n[mapping.target]\ntable = \"public.t\"\n";
const COPY: &str =
    "it is a file copy of the server, or was put back to an earlier time: its WAL ends at ";

struct Ground {
    scratch: Scratch,
    urls: BySide<String>,
}

impl Ground {
    fn call(&self, target: &str, args: &[&str]) -> Program {
        Program::new()
            .env("SOURCE_URL", &self.urls.source)
            .env("TARGET_URL", target)
            .env("PGRECONCILE_LEDGER", "runs.db")
            .env("PGRECONCILE_SETTLE", "0s")
            .current_dir(self.scratch.path())
            .args(args)
    }

    /// Compares a part of the table.
    fn interrupted(&self) {
        let args = ["compare", "spec.toml", "--chunk-rows", "500", "--jobs", "1", "-vv"];
        let mut run = self.call(&self.urls.target, &args).start();
        run.await_line("chunk finished");
        run.signal("INT");
        let _ = run.finish().exits(3);
    }

    fn resumed(&self, target: &str) -> Outcome {
        self.call(target, &["compare", "spec.toml", "--resume"]).run()
    }
}

fn psql(server: &Cluster, script: &str) -> PsqlOutput {
    let mut psql = Command::new(cluster::binaries().join("psql"));
    psql.args(["-X", "-q", "-f", script, "-d", &server.url("postgres", "postgres")]);
    PsqlOutput::of(&psql.output().unwrap())
}

/// A repair or a gate would rely on what was read from another server.
#[test]
fn a_stale_file_copy_is_refused_and_a_restart_is_not() {
    let servers = BySide::new(|_| Cluster::start(Settings("")));
    for (_, server) in servers.iter() {
        server.sql("postgres", TABLE);
    }
    servers.target.sql("postgres", "update t set v = 'x' where id = 7; checkpoint");
    let copy = servers.target.copy();
    let urls = BySide::new(|side| servers[side].url("postgres", "postgres"));
    let ground = Ground { scratch: Scratch::new(), urls };
    let script = ground.scratch.path().join("r/001-t-update.sql");
    let script = script.to_str().unwrap();
    ground.scratch.file("spec.toml", SPEC);
    let (here, there) = (&ground.urls.target, copy.url("postgres", "postgres"));
    // The original server continues to write.
    servers.target.sql("postgres", "create table other as select generate_series(1, 1000)");

    let mut tries = 0;
    ground.interrupted();
    let refused = ground.resumed(&there);
    let why = "the target is not the server that run ";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    assert!(refused.stderr.contains(COPY), "{}", refused.stderr);
    tries += 1;
    // The same server, after a crash, under another address.
    servers.target.kill();
    servers.target.restart();
    let address = format!("postgresql://postgres@127.0.0.1:{}/postgres", servers.target.port);
    let resumed = ground.resumed(&address);
    assert!(resumed.exits(1).stderr.contains("resuming run"), "{}", resumed.stderr);
    let warned = "the server of the target was started after run ";
    assert!(resumed.stderr.contains(warned), "{}", resumed.stderr);
    assert!(!resumed.stderr.contains("the server of the source"), "{}", resumed.stderr);

    let closed = ground.call(&there, &["gate", "spec.toml"]).run();
    assert!(closed.exits(1).stdout.contains(COPY), "{}", closed.stdout);
    tries += 1;

    // The same holds for a repair: while it is built, applied, and run by psql.
    let repair = ["repair", "spec.toml", "--authority", "source", "--out", "r"];
    let refused = ground.call(&there, &repair).run();
    assert!(refused.exits(2).stderr.contains(COPY), "{}", refused.stderr);
    tries += 1;
    let _ = ground.call(here, &repair).run().exits(0);
    let apply = ["apply", "spec.toml", "r"];
    let quiet = ground.call(here, &apply).run();
    assert!(!quiet.exits(0).stderr.contains("was started after"), "{}", quiet.stderr);
    let refused = ground.call(&there, &apply).run();
    let why = "the target is not the server that the repair was made for: ";
    assert!(refused.exits(2).stderr.contains(why), "{}", refused.stderr);
    tries += 1;
    let said = psql(&copy, script);
    assert!(said.code != 0 && said.stderr.contains("this is a file copy of it"), "{}", said.stderr);
    tries += 1;
    servers.target.kill();
    servers.target.restart();
    let warned = ground.call(here, &apply).run();
    assert!(warned.exits(0).stderr.contains("was started after the repair"), "{}", warned.stderr);

    // A copy that was written to cannot be distinguished from a server that was restarted.
    let fill = "create table more as select repeat('x', 100) from generate_series(1, 100000)";
    copy.sql("postgres", fill);
    let warned = ground.call(&there, &apply).run();
    assert!(warned.exits(0).stderr.contains("file copy"), "{}", warned.stderr);
    assert_eq!(psql(&servers.target, script).code, 0);
    fault::SERVER_COPIED.tried(tries);
}
