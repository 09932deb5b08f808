//! Round trips over shapes of tables and values.

use std::fmt::Write;

use pgreconcile::schema::Side;

use crate::support::round_trip::{ALL, RoundTrip, same};
use crate::support::types::{OWN, TYPES, quoted};

/// Values that quoting has to survive.
const HOSTILE: [&str; 34] = [
    "",
    " ",
    "'",
    "''",
    "\\",
    "\\\\",
    "\\'",
    "'; drop table victim; --",
    "1; commit; drop table public.victim; --",
    "\\.",
    "\n\\.\n",
    "\\N",
    "NULL",
    "\\! touch /tmp/pgr",
    "\\q",
    ":var",
    ":'var'",
    "$$",
    "$pgr$",
    "$pgr$; drop table victim; $pgr$",
    "%",
    "%s %I %%",
    "two\nlines",
    "two\r\nlines",
    "\r",
    "tab\there",
    "\u{8}\u{b}\u{c}\u{1}\u{1b}[31m",
    "-- comment",
    "/* comment",
    "\"quoted\"",
    "\u{2028}\u{2029}",
    "\u{feff}bom",
    "\u{1f680}\u{202e}",
    "`id`",
];

#[test]
fn rows_that_are_missing_different_and_too_many() {
    let table = "create table t (id bigint primary key, name text, price numeric(10,2), note text default 'kept');";
    let source = format!(
        "{table} insert into t values (1,'a',1.10,null),(2,'b',2,'x'),(3,'c',3,''),(5,'e',5,'y');"
    );
    let target = format!(
        "{table} insert into t values (1,'a',1.10,null),(2,'B',2.5,'x'),(3,'c',3,null),(4,'d',4,'z');"
    );
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    round.trip(&ALL);
}

#[test]
fn a_script_reads_well() {
    let table = "create table t (id bigint primary key, name text);";
    let source = format!("{table} insert into t values (1,'it''s'),(2,'b');");
    let target = format!("{table} insert into t values (1,'its');");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    // OIDs, and digests of values that contain OIDs, are never the same.
    let manifest = std::fs::read_to_string(round.path("r/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let table = &manifest["parts"][0]["stages"][0]["table"];
    let instance = &manifest["place"]["instance"];
    let end = instance["wal"]["flushed"].as_u64().unwrap();
    let end = format!("{:X}/{:X}", end >> 32, end & 0xffff_ffff);
    let digests = table["definition"].as_object().unwrap();
    let masked: Vec<String> = round
        .scripts("r", ".sql")
        .iter()
        .map(|path| {
            let text = std::fs::read_to_string(path).unwrap();
            let text = text.replace(&round.pair.database, "DATABASE");
            let cluster = "select system_identifier from pg_control_system()";
            let text = text.replace(&round.pair.sql(Side::Target, cluster), "CLUSTER");
            let text = text.replace(&format!("{}::oid", table["oid"]), "OID::oid");
            let text = text.replace(&end, "END");
            let text = text.replace(instance["started"].as_str().unwrap(), "STARTED");
            let text = digests
                .values()
                .fold(text, |text, digest| text.replace(digest.as_str().unwrap(), "DIGEST"));
            let lines = text.lines().map(|line| match line {
                _ if line.starts_with("-- valid") => {
                    "-- valid      from MOMENT until MOMENT".to_owned()
                }
                _ if line.starts_with("-- made of") => {
                    "-- made of    run RUN, the source being right".to_owned()
                }
                _ => {
                    let at = line.find("20").filter(|_| line.contains("Z'"));
                    at.map_or(line.to_owned(), |at| {
                        let end = line[at..].find('Z').unwrap_or(0) + at;
                        format!("{}MOMENT{}", &line[..at], &line[end..])
                    })
                }
            });
            lines.collect::<Vec<_>>().join("\n")
        })
        .collect();
    insta::assert_snapshot!(masked.join("\n\n==========\n\n"));
}

#[test]
fn every_type_goes_there_and_back() {
    // A value that is valid within one database only is no key for another database's rows.
    let types = || {
        TYPES
            .iter()
            .enumerate()
            .filter(|(_, (name, _))| !["oid", "xid", "cid", "tid"].contains(name))
    };
    let tables = |moved: usize| {
        let mut sql = OWN.to_owned();
        for (place, (name, values)) in types() {
            let _ = writeln!(sql, "create table t{place} (id int primary key, v {name});");
            for row in 0..values.len() {
                let value = quoted(values[(row + moved) % values.len()]);
                let _ = writeln!(sql, "insert into t{place} values ({row}, {value});");
            }
            let null = if moved == 0 { "null".to_owned() } else { quoted(values[0]) };
            let _ = writeln!(sql, "insert into t{place} values (1000, {null});");
            let (one, only) = (quoted(values[0]), if moved == 0 { 2000 } else { 3000 });
            let _ = writeln!(sql, "insert into t{place} values ({only}, {one});");
        }
        sql
    };
    let spec: String = types().map(|(place, _)| same(&format!("public.t{place}"))).collect();
    let round = RoundTrip::new(&tables(0), &tables(1), &spec);
    round.trip(&ALL);
}

/// Quoting would break the script: each hostile value is the name of a table, of its key and of a
/// column, all in one repair.
#[test]
fn every_hostile_value_as_a_name() {
    let named = |name: &&str| !name.is_empty() && name.len() <= 63;
    let names: Vec<&str> = HOSTILE.iter().copied().filter(named).collect();
    assert!(names.len() > 25, "{}", names.len());
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let table = |name: &str| format!("public.{}", quoted(name));
    let tables = |changed: bool| {
        let mut sql = String::new();
        for (place, name) in names.iter().enumerate() {
            let (table, key) = (table(name), quoted(name));
            let column = quoted(names[(place + 1) % names.len()]);
            let _ = writeln!(sql, "create table {table} ({key} text primary key, {column} text);");
            let (second, third) = if changed { ("other", "c") } else { ("same", "d") };
            let _ = writeln!(
                sql,
                "insert into {table} values ('a', 'same'), ('b', '{second}'), ('{third}', 'one');"
            );
        }
        sql
    };
    let spec: String = names
        .iter()
        .map(|name| {
            let table = serde_json::to_string(&table(name)).unwrap().replace('\u{7f}', "\\u007f");
            format!("[[mapping]]\nsource.table = {table}\ntarget.table = {table}\n")
        })
        .collect();
    let round = RoundTrip::new(&tables(false), &tables(true), &spec);
    round.trip(&ALL);
}

#[test]
fn hostile_names_keys_and_values() {
    let schema = r#""a'; --\ ""S""#;
    let table = format!("{schema}.\"t$pgr$ :v %\"");
    let create = format!(
        "create table public.victim (id int); create schema {schema};
         create table {table} (\"k'\\\" text collate \"C\" primary key, \"two\nlines\" text, \":v $pgr$ \"\"q\" text, \"%\" text);"
    );
    let mut source = create.clone();
    let mut target = create;
    for (place, value) in HOSTILE.iter().enumerate() {
        let (value, next) = (escaped(value), escaped(HOSTILE[(place + 1) % HOSTILE.len()]));
        let _ = writeln!(source, "insert into {table} values ({value}, {value}, {next}, {value});");
        match place % 3 {
            0 => {}
            1 => {
                let _ = writeln!(
                    target,
                    "insert into {table} values ({value}, {next}, {value}, null);"
                );
            }
            _ => {
                let _ = writeln!(
                    target,
                    "insert into {table} values ({value}, {value}, {next}, {value});"
                );
                let _ = writeln!(
                    target,
                    "insert into {table} values ({value} || 'too many', {value}, {next}, {value});"
                );
            }
        }
    }
    let name = table.replace('\\', "\\\\").replace('"', "\\\"");
    let spec = format!(
        "[[mapping]]\nname = \"../a b\"\nsource.table = \"{name}\"\ntarget.table = \"{name}\"\n"
    );
    let round = RoundTrip::new(&source, &target, &spec);
    round.trip(&ALL);
    // More than twenty rows are written by COPY, fewer as statements: both occurred.
    let text: String = round
        .scripts("repair", ".sql")
        .iter()
        .map(|p| std::fs::read_to_string(p).unwrap())
        .collect();
    assert!(text.contains("VALUES ("), "{text}");
    assert_eq!(
        round.pair.sql(Side::Target, "select to_regclass('public.victim') is not null"),
        "t"
    );
}

fn escaped(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''").replace('\r', "\\r"))
}

#[test]
fn many_rows_go_by_copy_in_batches() {
    let table = "create table t (id bigint primary key, v text);";
    let hostile: String = HOSTILE
        .iter()
        .enumerate()
        .map(|(place, value)| {
            format!("insert into t values ({}, {});", 900_000 + place, escaped(value))
        })
        .collect();
    let source = format!(
        "{table} insert into t select n, 'v' || n from generate_series(1, 12000) n; {hostile}"
    );
    let target = format!(
        "{table} insert into t select n, case when n % 50 = 0 then 'x' else 'v' || n end from generate_series(11900, 12000) n;"
    );
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    round.trip(&["--batch", "5000"]);
    let manifest = std::fs::read_to_string(round.path("repair/manifest.json")).unwrap();
    assert!(manifest.contains("\"rows\": 11933"), "{manifest}");
}

#[test]
fn a_backfill_reported_as_a_range_is_read_row_by_row() {
    let table = "create table t (id bigint primary key, tenant int, v text);";
    let source = format!(
        "{table} insert into t select n, n % 3, 'v' || n from generate_series(1, 25000) n;"
    );
    let target = format!("{table} insert into t values (1, 1, 'v1');");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    assert_eq!(round.compare().exits(1).findings().len(), 1);
    round.trip(&[]);
    let spec = round.pair.spec(&format!("{}group_by = 'tenant'\n[[mapping.accept]]\nwhere = 'source.tenant = 2'\nreason = 'r'\nuntil = '2999-01-01'\n", same("public.t")));
    let round = RoundTrip { spec, ..round };
    assert_eq!(round.compare().exits(1).findings().len(), 3);
    let told = round.repair("grouped", &[]);
    assert!(told.exits(0).stdout.contains("insert 16666 rows"), "{}", told.stdout);
    let _ = round.apply("grouped", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
}

#[test]
fn identity_generated_and_partitioned_tables() {
    let create = "create table i (id bigint generated always as identity primary key, v text);
        create table g (id serial primary key, a int not null, b int generated always as (a * 2) stored);
        create table p (id int, at date, v text, primary key (id, at)) partition by range (at);
        create table p1 partition of p for values from ('2026-01-01') to ('2026-07-01');
        create table p2 partition of p for values from ('2026-07-01') to ('2027-01-01');";
    let source = format!(
        "{create}
        insert into i overriding system value values (1,'a'),(2,'b'),(30,'c');
        insert into g (id, a) values (1,1),(2,2),(40,3);
        insert into p values (1,'2026-02-01','a'),(2,'2026-08-01','b'),(3,'2026-02-01','c');"
    );
    let target = format!(
        "{create}
        insert into i overriding system value values (1,'x'),(2,'b'),(3,'y');
        insert into g (id, a) values (1,9),(2,2),(7,7);
        insert into p values (1,'2026-02-01','x'),(2,'2026-08-01','b'),(4,'2026-08-01','y');"
    );
    let spec: String = ["public.i", "public.g", "public.p"].map(same).concat();
    let round = RoundTrip::new(&source, &target, &spec);
    round.trip(&ALL);
    // The sequences are above the inserted values, although the rows are deleted again.
    assert_eq!(
        round.pair.sql(Side::Target, "select nextval('i_id_seq'), nextval('g_id_seq')"),
        "31|41"
    );
}

#[test]
fn parents_come_first_and_children_go_first() {
    let create = "create table z_parent (id int primary key, v text);
        create table a_child (id int primary key, parent int not null references z_parent, boss int references a_child);";
    let source = format!(
        "{create} insert into z_parent values (1,'a'),(2,'b');
        insert into a_child values (1,1,null),(2,2,3),(3,2,1);"
    );
    let target = format!(
        "{create} insert into z_parent values (1,'a'),(3,'c');
        insert into a_child values (1,1,null),(4,3,5),(5,3,1);"
    );
    let spec: String = ["public.a_child", "public.z_parent"].map(same).concat();
    RoundTrip::new(&source, &target, &spec).trip(&ALL);
}

#[test]
fn composite_keys_renamed_columns_and_expressions() {
    let source = "create table s (region text, number int, kg numeric, label varchar(20), paid money, code char(4), primary key (region, number));
        insert into s values ('eu',1,1.5,'a',1234.50,'ab'),('eu',2,2,'b',-3,'c'),('us',1,0.1,'c',0,'d');";
    let target = "create table d (number bigint, region text, grams bigint not null, label text, paid numeric, code text, internal text default 'i', primary key (number, region));
        insert into d values (1,'eu',1500,'x',1,'ab','kept'),(1,'us',100,'c',0,'zz','kept');";
    let spec = "[[mapping]]\nkey = ['region', 'number']\nsource.table = 'public.s'\ntarget.table = 'public.d'\ntarget.ignore = ['internal']\n\
        [mapping.columns]\ngrams = { sql = '(kg * 1000)::int8' }\n";
    let round = RoundTrip::new(source, target, spec);
    round.trip(&ALL);
    let _ = round.compare().exits(1);
    let round = RoundTrip { written: Side::Source, ..round };
    let refused = round.repair("back", &ALL);
    assert!(
        refused.exits(2).stderr.contains("pair \"grams\" is an expression of the source"),
        "{}",
        refused.stderr
    );
    assert!(!round.path("back").exists());
}

#[test]
fn the_source_can_be_written_too() {
    let table = "create table t (id int primary key, name text);";
    let source = format!("{table} insert into t values (1,'a'),(2,'b');");
    let target = format!("{table} insert into t values (1,'x'),(3,'c');");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    RoundTrip { written: Side::Source, ..round }.trip(&ALL);
}

#[test]
fn a_key_whose_uniqueness_is_deferred_or_not_proven() {
    let create = "create table d (id int primary key deferrable initially deferred, v text);
        create table n (id int not null, v text);";
    let fill =
        |rows: &str| format!("{create} insert into d values {rows}; insert into n values {rows};");
    let (source, target) = (fill("(1,'a'),(2,'b'),(3,'c')"), fill("(1,'a'),(2,'x'),(4,'d')"));
    let spec = ["public.d", "public.n"]
        .map(|name| same(name).replace("]]\n", "]]\nkey = ['id']\n"))
        .concat();
    RoundTrip::new(&source, &target, &spec).trip(&ALL);
}

#[test]
fn eight_overlapping_applies_end_in_one_state() {
    let table = "create table t (id bigint primary key, v text);";
    let source =
        format!("{table} insert into t select n, 'v' || n from generate_series(1, 3000) n;");
    let target = format!("{table} insert into t select n, 'x' from generate_series(1, 1000) n;");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &["--batch", "500"]).exits(0);
    let spec = round.spec.to_str().unwrap();
    let start = |_| round.program().args(&["apply", spec, "r", "--execute"]).start();
    let running: Vec<_> = (0..8).map(start).collect();
    for running in running {
        let _ = running.finish().exits(0);
    }
    let _ = round.compare().exits(0);
}
