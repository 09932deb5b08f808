//! Statements of a program that has ended: a server cancels them, directly and behind PgBouncer,
//! long before their own timeout.

use pgreconcile::schema::Side;

use crate::support::round_trip::{RoundTrip, same};
use crate::support::{Bouncer, Pair, fault};

/// A statement that sleeps far longer than a test waits, and that cannot be split.
const ENDLESS: &str = "[compare]\nstatement_timeout = \"1h\"\n[[mapping]]\nname = \"t\"\nkey = [\"id\"]\n\
     [mapping.source]\nquery = \"select id from public.t where pg_sleep(1000) is not null\"\n\
     [mapping.target]\ntable = \"public.t\"\n";

const TABLE: &str = "create table t (id int primary key, v text); insert into t values (1, 'a');";

/// Statements of other sessions that sleep in this database.
const ASLEEP: &str = "select count(*) from pg_stat_activity where datname = current_database() \
     and state = 'active' and wait_event = 'PgSleep'";

/// Kills comparisons while they wait for a statement. Returns how many.
fn killed_comparisons() -> usize {
    let pair = Pair::new("create table t (id int primary key); insert into t values (1)", TABLE);
    pair.sql(Side::Target, "alter table t drop v");
    let spec = pair.spec(ENDLESS);
    let bouncer = Bouncer::start(pair.clusters, &pair.database, 4);
    let source = &pair.clusters.source;
    let urls = [pair.url(Side::Source), bouncer.url(Side::Source)];
    for url in &urls {
        let run = pair.comparing(&spec, &[]).env("SOURCE_URL", url).start();
        source.await_answer(&pair.database, ASLEEP, "1");
        run.signal("KILL");
        let _ = run.finish();
        source.await_answer(&pair.database, ASLEEP, "0");
    }
    urls.len()
}

/// Kills `apply` in the middle of a batch.
fn killed_apply() -> usize {
    let target = format!(
        "{TABLE} update t set v = 'x';
         create function slow() returns trigger language plpgsql as $$ begin
             perform pg_sleep(1000); return new;
         end $$;
         create trigger slow before update on t for each row execute function slow();"
    );
    let round = RoundTrip::new(TABLE, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    let run = round.program().args(&["apply", "spec.toml", "r", "--execute"]).start();
    let target = &round.pair.clusters.target;
    target.await_answer(&round.pair.database, ASLEEP, "1");
    run.signal("KILL");
    let _ = run.finish();
    target.await_answer(&round.pair.database, ASLEEP, "0");
    assert_eq!(round.pair.sql(Side::Target, "select v from t"), "x");
    1
}

#[test]
fn a_server_ends_the_statements_of_a_program_that_was_killed() {
    fault::CLIENT_GONE.tried(killed_comparisons() + killed_apply());
}
