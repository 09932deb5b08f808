//! A repair that waits between its batches while the server is busy.

use pgreconcile::schema::Side;

use crate::support::psql_session::PsqlSession;
use crate::support::round_trip::{RoundTrip, same};

fn round(pace: &str) -> RoundTrip {
    let table = "create table t (id int primary key, name text);";
    let source = format!("{table} insert into t select n, 'v' || n from generate_series(1, 9) n;");
    let spec = format!("[pace]\n{pace}\n{}", same("public.t"));
    let round = RoundTrip::new(&source, table, &spec);
    let _ = round
        .program()
        .args(&["compare", "spec.toml", "--settle", "0s", "--report", "findings.jsonl"])
        .run();
    let _ = round.repair("r", &["--batch", "3"]).exits(0);
    round
}

fn rows(round: &RoundTrip) -> String {
    round.pair.sql(Side::Target, "select count(*) from t")
}

fn start(round: &RoundTrip) -> crate::support::Running {
    round.program().args(&["apply", "spec.toml", "r", "--execute"]).start()
}

#[test]
fn a_pause_file_holds_it_back_until_it_is_gone() {
    let round = round("pause_file = 'pause'");
    std::fs::write(round.path("pause"), "").unwrap();
    let mut running = start(&round);
    running.await_line("waiting: pause file ");
    assert_eq!(rows(&round), "0");
    std::fs::remove_file(round.path("pause")).unwrap();
    let _ = running.finish().exits(0);
    assert_eq!(rows(&round), "9");
    // A waiting `apply` can be interrupted; without a record every batch is due again.
    std::fs::remove_file(round.path("r/applied.jsonl")).unwrap();
    std::fs::write(round.path("pause"), "").unwrap();
    let mut running = start(&round);
    running.await_line("waiting: pause file ");
    running.signal("INT");
    let _ = running.finish().exits(3);
}

#[test]
fn sessions_of_others_hold_it_back() {
    let round = round("max_active_sessions = 1");
    let mut others: Vec<PsqlSession> = (0..3).map(|_| PsqlSession::open(&round)).collect();
    others.iter_mut().for_each(|other| other.send("select pg_sleep(1000);\n"));
    let mut running = start(&round);
    running.await_line("waiting: ");
    assert_eq!(rows(&round), "0");
    round.pair.sql(
        Side::Target,
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(1000)%' and pid <> pg_backend_pid()",
    );
    let _ = running.finish().exits(0);
    assert_eq!(rows(&round), "9");
}
