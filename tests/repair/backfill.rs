//! A backfill: very many missing rows, in batches. Memory stays constant, and a killed repair can
//! be resumed.

use pgreconcile::schema::Side;

use crate::support::psql_session::PsqlSession;
use crate::support::round_trip::{RoundTrip, same};
use crate::support::wait;

const TABLE: &str = "create table t (id bigint primary key, v text, n numeric(9,2));";

fn round(rows: u32) -> RoundTrip {
    let source = format!(
        "{TABLE} insert into t select n, repeat('v', n % 90) || n, n / 100.0 from generate_series(1, {rows}) n; analyze t;"
    );
    let round = RoundTrip::new(&source, TABLE, &same("public.t"));
    let _ = round.compare().exits(1);
    round
}

fn rows(round: &RoundTrip) -> u64 {
    round.pair.sql(Side::Target, "select count(*) from t").parse().unwrap()
}

/// Half a batch would remain. psql is killed in the middle of a batch, in its rows or in its
/// statements: complete batches are stored, and the script runs again to the same result. So does
/// its undo.
#[test]
fn a_long_script_that_is_killed_anywhere_leaves_whole_batches() {
    let round = round(12_000);
    let _ = round.repair("r", &["--batch", "1000"]).exits(0);
    let whole = |end: &str| {
        let script = round.scripts("r", end).remove(0);
        (std::fs::read_to_string(&script).unwrap(), script)
    };
    for (end, left) in [(".sql", 12_000), (".undo.sql", 0)] {
        let (text, script) = whole(end);
        for part in 1..12 {
            // Each cut lies behind the work that was done by then.
            let at = text.len() / 12 * part + part * 97;
            let at = (at..).find(|at| text.is_char_boundary(*at)).unwrap();
            let done = text[..at].matches("\nCOMMIT;\n").count() as u64 * 1000;
            let expected = if end == ".sql" { done } else { 12_000 - done };
            let mut session = PsqlSession::open(&round);
            session.send(&text[..at]);
            wait::until(&format!("{expected} rows"), || rows(&round) == expected);
            session.kill();
            assert_eq!(rows(&round), expected);
        }
        let said = round.psql(&script);
        assert_eq!((said.code, rows(&round)), (0, left), "{}", said.stderr);
    }
    // `apply` writes the same rows and is killed meanwhile.
    let spec = round.spec.to_str().unwrap();
    for killed in 1..=4 {
        let running = round.program().args(&["apply", spec, "r", "--execute"]).start();
        wait::until("2000 rows more", || rows(&round) >= killed * 2000);
        running.signal("KILL");
        let _ = running.finish();
        assert_eq!(rows(&round) % 1000, 0);
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
}

#[test]
fn memory_does_not_grow_with_the_rows() {
    let peaks = [5_000, 80_000].map(|rows| {
        let round = round(rows);
        let flags =
            ["--authority", "source", "--out", "r", "--from", "findings.jsonl", "--batch", "2000"];
        let (made, repair) =
            round.program().args(&["repair", "spec.toml"]).args(&flags).run_measured();
        let _ = made.exits(0);
        let (done, apply) =
            round.program().args(&["apply", "spec.toml", "r", "--execute"]).run_measured();
        let told = format!("applied: {rows} rows, of which {rows} agree now");
        assert!(done.exits(0).stdout.contains(&told), "{}", done.stdout);
        [repair, apply]
    });
    for (few, many) in peaks[0].iter().zip(peaks[1]) {
        assert!(many <= few + 8, "{peaks:?} MiB");
    }
}
