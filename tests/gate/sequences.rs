//! Sequences whose first number after the flip would be refused: the gate reports it as long as the
//! INSERT fails, and not when it succeeds.

use pgreconcile::schema::Side;

use crate::support::Pair;
use crate::support::gate::{closed_by, compare, gate};

/// A function that returns the error of an INSERT without a number, and rolls back everything but
/// the number.
const TRIAL: &str = "
    create function trial() returns text language plpgsql as $$ begin
        insert into w (v) values (0);
        raise 'taken back';
    exception when raise_exception then return ''; when others then return sqlerrm; end $$;";

/// One table, and the sequence `s` that fills its column `id`.
struct Filled {
    pair: Pair,
}

impl Filled {
    /// Creates both sides alike, compared and clean.
    fn new(tables: &str) -> Filled {
        let pair = Pair::new(tables, tables);
        pair.sql(Side::Target, TRIAL);
        pair.sql(Side::Target, "grant select on all sequences in schema public to reader");
        let mapping = "[gate]\nclean_runs = 1\n[[mapping]]\nkey = [\"k\"]\n\
                       source.table = \"public.w\"\ntarget.table = \"public.w\"\n";
        let spec = pair.spec(mapping);
        compare(&pair, &spec, &[]).exits(0);
        Filled { pair }
    }

    /// Asserts that the gate is closed for this reason, and that an INSERT fails for this one.
    #[track_caller]
    fn closes(&self, state: &str, said: &str, fails: &str) {
        self.pair.sql(Side::Target, state);
        closed_by(&self.pair, &[], "sequence", &[said]);
        let failed = self.trial();
        assert!(failed.contains(fails) && !failed.is_empty(), "{fails}: {failed:?}");
    }

    /// Asserts that the gate is open, and that an INSERT succeeds.
    #[track_caller]
    fn opens(&self, state: &str) {
        self.pair.sql(Side::Target, state);
        gate(&self.pair, &[]).exits(0);
        assert_eq!(self.trial(), "", "{state}");
    }

    fn trial(&self) -> String {
        self.pair.sql(Side::Target, "select trial()").trim().to_owned()
    }
}

/// The gate would open although the next number is past the limit: with steps of ten the last
/// number that fits comes long before the limit.
#[test]
fn a_sequence_whose_next_step_is_past_its_last_number() {
    let table = "create sequence s increment 10 maxvalue 100;
        create table w (k int primary key, id bigint unique default nextval('s'), v int);
        insert into w values (1, 5, 0);
        alter table w alter k set default 99";
    let filled = Filled::new(table);
    let end = "sequence public.s of the target has given its last number, 95";
    filled.closes("select setval('s', 95)", end, "reached maximum value");
    filled.opens("select setval('s', 95, false)");
    filled.opens("select setval('s', 90)");
    let down = "alter sequence s increment -10 minvalue -100 maxvalue 100";
    filled.closes(
        &format!("{down}; select setval('s', -91)"),
        "has given its last number, -91",
        "reached minimum value",
    );
    filled.opens("select setval('s', -90)");
}

#[test]
fn a_sequence_that_has_outgrown_its_column() {
    let too_much =
        |next: &str| format!("gives {next} next, which column \"id\" of public.w cannot hold");
    for (column, fits, over, fails) in [
        ("int", "2147483647", "2147483648", "integer out of range"),
        ("smallint", "32767", "32768", "smallint out of range"),
        ("numeric(5,2)", "999", "1000", "numeric field overflow"),
        ("varchar(3)", "999", "1000", "value too long"),
        ("char(3)", "999", "1000", "value too long"),
        ("narrow", "9999", "10000", "numeric field overflow"),
    ] {
        let filled = Filled::new(&format!(
            "create sequence s minvalue -5000000000; create domain narrow as numeric(4);
             create table w (k int primary key default 99, id {column} unique default nextval('s'), v int);
             insert into w values (1, 5, 0)"
        ));
        filled.opens(&format!("select setval('s', {fits}, false)"));
        filled.closes(&format!("select setval('s', {over}, false)"), &too_much(over), fails);
        filled.closes(&format!("select setval('s', {fits})"), &too_much(over), fails);
    }
    // The same for numbers below the column's range.
    let filled = Filled::new(
        "create sequence s minvalue -5000000000;
         create table w (k int primary key default 99, id int unique default nextval('s'), v int);
         insert into w values (1, -2147483648, 0)",
    );
    let below = "select setval('s', -3000000000)";
    filled.closes(below, &too_much("-2999999999"), "integer out of range");
}

/// The gate would open to a number in use: sorted as texts, 9 is the last of 1 to 20.
#[test]
fn a_sequence_that_is_behind_the_texts_that_it_makes() {
    let collation =
        "create collation loose (provider = icu, locale = 'und', deterministic = false)";
    for (more, column) in [
        ("", "text default nextval('s')"),
        ("", "text default nextval('s')::text"),
        ("", "varchar(30) default nextval('s')::varchar(30)"),
        ("", "varchar(30) default nextval('s')"),
        ("", "char(12) default nextval('s')"),
        ("create domain word as varchar(30)", "word default nextval('s')"),
        (collation, "text collate loose default nextval('s')"),
    ] {
        // A text that no number is written as cannot conflict: 021 is not 21.
        let filled = Filled::new(&format!(
            "{more}; create sequence s;
             create table w (k int primary key default 99, id {column} unique, v int);
             insert into w select n, n, 0 from generate_series(1, 20) n;
             insert into w values (31, '021', 0), (32, 'old', 0), (33, '', 0), (34, '2e1', 0),
                 (35, '-0', 0), (36, '22.5', 0), (37, null, 0)"
        ));
        let behind = "it gives 10 next, and column \"id\" of public.w has come to 20";
        filled.closes("select setval('s', 9)", behind, "duplicate key");
        filled.opens("select setval('s', 20)");
        let down = "alter sequence s increment -1 minvalue -100; select setval('s', 5)";
        filled.closes(down, "it gives 4 next", "duplicate key");
        filled.opens("select setval('s', 1)");
    }
}

/// The gate would close because of a text that cannot conflict: this column's texts are not plain
/// numbers of the sequence, and the number among them is not a text that its default makes.
#[test]
fn a_text_that_is_made_of_more_than_the_sequence_it_owns() {
    let filled = Filled::new(
        "create sequence s;
         create table w (k int primary key default 99, id text default 'n' || nextval('s') unique, v int);
         alter sequence s owned by w.id;
         insert into w select n, 'n' || n, 0 from generate_series(1, 20) n;
         insert into w values (31, '5000', 0)",
    );
    filled.opens("select setval('s', 20)");
}

#[test]
fn a_sequence_that_is_behind_a_domain_of_numbers() {
    for (domain, default) in [
        ("bigint check (value > 0)", "default nextval('s')"),
        ("inner_d not null", "default nextval('s')"),
        ("bigint", "default nextval('s')::d"),
        ("int default nextval('s')::int", ""),
        ("bigint default nextval('s')", ""),
        ("inner_d default nextval('s')", ""),
        ("by_itself", ""),
    ] {
        let filled = Filled::new(&format!(
            "create sequence s; create domain inner_d as int;
             create domain by_itself as int default nextval('s');
             create domain d as {domain};
             create table w (k int primary key default 99, id d {default} unique, v int);
             insert into w select n, n, 0 from generate_series(1, 20) n"
        ));
        let behind = "it gives 10 next, and column \"id\" of public.w has come to 20";
        filled.closes("select setval('s', 9)", behind, "duplicate key");
        filled.opens("select setval('s', 20)");
    }
    // A column's own default takes precedence over the domain's.
    let filled = Filled::new(
        "create sequence s; create domain d as int default nextval('s');
         create table w (k int primary key default 99, id d default 55 unique, v int);
         insert into w select n, n, 0 from generate_series(1, 20) n",
    );
    filled.opens("select setval('s', 9)");
}

/// The gate would close because of numerics that cannot conflict: the sequence reaches none of
/// them.
#[test]
fn numerics_that_no_sequence_comes_to() {
    let filled = Filled::new(
        "create sequence s;
         create table w (k int primary key default 99, id numeric unique default nextval('s'), v int);
         insert into w values (1, 'NaN', 0), (2, 20, 0), (3, 20.7, 0), (4, 1e40, 0), (5, -1e40, 0),
             (6, null, 0), (7, -3.5, 0)",
    );
    let infinite = "do $$ begin if current_setting('server_version_num')::int >= 140000 then
        insert into w values (8, 'Infinity', 0), (9, '-Infinity', 0); end if; end $$";
    filled.closes("select setval('s', 19)", "has come to 20", "duplicate key");
    filled.pair.sql(Side::Target, infinite);
    filled.closes("select setval('s', 19)", "has come to 20", "duplicate key");
    filled.opens("select setval('s', 20)");
    filled.opens("alter sequence s increment -1 minvalue -100; select setval('s', -3)");
    filled.opens("select setval('s', -4, false)");
    // Without other rows, the column is empty.
    filled.pair.sql(Side::Target, "delete from w where k not in (1, 4)");
    filled.opens("select setval('s', 7)");
}

/// The last number in a redacted column is a row's value, and would be shown.
#[test]
fn the_last_number_of_a_redacted_column_is_not_shown() {
    let table = "create sequence s;
        create table w (k int primary key default 99, id bigint unique default nextval('s'), v int);
        insert into w values (1, 48462407, 0)";
    let filled = Filled::new(table);
    let asked = || gate(&filled.pair, &["--format", "json"]).exits(1).stdout.clone();
    assert!(asked().contains("48462407"));
    let spec = filled.pair.spec(
        "[gate]\nclean_runs = 1\n[[mapping]]\nkey = [\"k\"]\nsource.table = \"public.w\"\n\
         target.table = \"public.w\"\n[mapping.columns]\nid = { from = \"id\", redact = true }\n",
    );
    compare(&filled.pair, &spec, &[]).exits(0);
    let told = asked();
    assert!(!told.contains("48462407"), "{told}");
    assert!(told.contains("\"last_key\":null,\"redacted\":true"), "{told}");
    let told = gate(&filled.pair, &[]);
    let behind = "column \"id\" of public.w, whose values are redacted, has come as far or further";
    assert!(told.exits(1).stdout.contains(behind), "{told:?}");
}
