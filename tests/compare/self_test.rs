//! Servers whose hash functions fail the self-test: without it a blind run would end clean.

use pgreconcile::schema::Side;

use crate::support::{Outcome, Pair};

const TABLE: &str = "create table t (id int primary key, v text);
                     insert into t select n, 'v' || n from generate_series(1, 100) n;";

/// Compares two tables that differ in one row; the target has another text hash.
fn with_hash(body: &str, flags: &[&str]) -> Outcome {
    let pair = Pair::new(TABLE, TABLE);
    pair.sql(
        Side::Target,
        &format!(
            "update t set v = 'x' where id = 50;
             -- A built-in function is found by its OID, whatever pg_proc says of it.
             delete from pg_proc where oid = 'hashtextextended(text,bigint)'::regprocedure;
             create function pg_catalog.hashtextextended(text, bigint) returns bigint
             language sql immutable strict as $$ {body} $$;"
        ),
    );
    let spec = pair.spec("[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n");
    pair.compare(&spec, flags)
}

const FOUND: [&str; 1] = ["t mismatch {\"id\":\"50\"} v: \"v50\" | \"x\""];

/// Every range checksum would be equal, and a run would end clean without having compared anything.
#[test]
fn a_server_whose_hash_ignores_its_input_is_refused() {
    let outcome = with_hash("select 1::bigint", &[]);
    outcome.exits(2);
    assert!(outcome.stderr.contains("does not see the sign of a numeric"), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("strategy \"stream\""), "{}", outcome.stderr);
    let streamed = with_hash("select 1::bigint", &["--strategy", "stream"]);
    assert_eq!(streamed.exits(1).findings(), FOUND);
}

#[test]
fn a_server_that_hashes_in_a_way_of_its_own_is_streamed() {
    let outcome = with_hash("select pg_catalog.hashtext($1)::bigint", &[]);
    assert_eq!(outcome.exits(1).findings(), FOUND);
    assert_eq!(outcome.mapping()["strategy"], "stream");
}

/// A rule's expression could hide differences from a digest, as the hash function could.
#[test]
fn a_server_whose_functions_equate_values_is_refused() {
    let pair = Pair::new(TABLE, TABLE);
    pair.sql(
        Side::Target,
        "delete from pg_proc where oid = 'btrim(text,text)'::regprocedure;
         create function pg_catalog.btrim(text, text) returns text
         language sql immutable strict as $$ select ''::text $$;",
    );
    let spec = pair.spec(
        "[[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n\
         columns.v = { from = \"v\", rule = \"trimmed\" }\n",
    );
    let outcome = pair.compare(&spec, &[]);
    let said = "does not see a blank within a text";
    assert!(outcome.exits(2).stderr.contains(said), "{}", outcome.stderr);
}
