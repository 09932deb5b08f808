//! A repair is applied as it was reviewed: checksums over every file and over the manifest itself,
//! and files that are changed while they are applied.

use pgreconcile::schema::Side;
use serde_json::Value;

use crate::support::round_trip::{ALL, RoundTrip, same};
use crate::support::{fault, harmless};

const TABLE: &str = "create table t (id int primary key, v text);";

/// Returns every place of a document that has a value, as a JSON pointer.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            places(value, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), found);
        }),
        Value::Array(values) => {
            (0..).zip(values).for_each(|(n, value)| places(value, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
    found.push(at.to_owned());
}

/// An edited manifest would be applied: it contains the expiry, the database, the files and their
/// order.
#[test]
fn every_edit_of_a_manifest_breaks_its_checksum() {
    let source = format!("{TABLE} insert into t values (1, 'a'), (2, 'b');");
    let target = format!("{TABLE} insert into t values (1, 'x'), (3, 'c');");
    let round = RoundTrip::new(&source, &target, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &ALL).exits(0);
    let (path, state) = (round.path("r/manifest.json"), round.state(true));
    let text = std::fs::read_to_string(&path).unwrap();
    let refused = |edited: &Value, why: &str| {
        std::fs::write(&path, serde_json::to_string_pretty(edited).unwrap()).unwrap();
        let outcome = round.apply("r", &["--execute"]);
        assert!(outcome.exits(2).stderr.contains(why), "{edited:#}: {}", outcome.stderr);
        assert!(outcome.stderr.contains("hint: "), "{}", outcome.stderr);
    };
    let manifest: Value = serde_json::from_str(&text).unwrap();
    let mut found = Vec::new();
    places(&manifest, "", &mut found);
    // One of each kind is enough where a definition or a list repeats.
    let kind = |place: &str| {
        place
            .split('/')
            .map(|part| part.trim_matches(|c: char| c.is_ascii_digit()))
            .collect::<Vec<_>>()
            .join("/")
    };
    let mut kinds = std::collections::BTreeSet::new();
    found.retain(|place| {
        !place.is_empty() && !place.contains("/definition/") && kinds.insert(kind(place))
    });
    assert!(found.len() > 25, "{found:?}");
    let broken = "the seal of manifest.json is broken: it was edited or damaged";
    for place in &found {
        let mut edited = manifest.clone();
        let value = edited.pointer_mut(place).unwrap();
        *value = match &*value {
            Value::String(text) => Value::String(format!("{text} ")),
            Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
            Value::Bool(on) => (!on).into(),
            Value::Array(values) if values.len() > 1 => values.iter().rev().cloned().collect(),
            _ => Value::Null,
        };
        refused(&edited, broken);
    }
    let mut more = manifest.clone();
    more["note"] = "reviewed".into();
    refused(&more, broken);
    let mut without = manifest.clone();
    without.as_object_mut().unwrap().remove("seal");
    refused(&without, "manifest.json has no seal: it was edited, or made by an earlier version");
    assert_eq!(round.state(true), state);
    // Blanks are not an edit.
    std::fs::write(&path, manifest.to_string()).unwrap();
    let _ = round.apply("r", &["--execute"]).exits(0);
}

/// Rows could change after the check: checksums are checked before the first batch, and the rows of
/// the last batch are read much later.
#[test]
fn a_file_that_is_written_to_after_its_check_is_not_applied() {
    let source = format!(
        "{TABLE} insert into t select n, repeat('v', 300) || n from generate_series(1, 8000) n;"
    );
    let spec = format!("[pace]\npause_file = 'pause'\n{}", same("public.t"));
    for swapped in [false, true] {
        let round = RoundTrip::new(&source, TABLE, &spec);
        let _ = round.compare().exits(1);
        let _ = round.repair("r", &["--batch", "1000"]).exits(0);
        let path = round.path("r/001-t-insert.jsonl");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.len() > 2 << 20);
        std::fs::write(round.path("pause"), "").unwrap();
        let mut running = round.program().args(&["apply", "spec.toml", "r", "--execute"]).start();
        running.await_line("waiting: pause file ");
        let edited = text.replace("v8000\"", "x8000\"").replace("v1\"", "x1\"");
        assert_ne!(edited, text);
        if swapped {
            std::fs::write(round.path("other"), &edited).unwrap();
            std::fs::rename(round.path("other"), &path).unwrap();
        } else {
            std::fs::write(&path, &edited).unwrap();
        }
        std::fs::remove_file(round.path("pause")).unwrap();
        let outcome = running.finish();
        let why = "001-t-insert.jsonl was changed while it was applied";
        assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
        assert_eq!(round.pair.sql(Side::Target, "select count(*) from t where v ~ 'x'"), "0");
        let rows: u32 = round.pair.sql(Side::Target, "select count(*) from t").parse().unwrap();
        // An open file keeps its content when another file takes its name.
        assert!(rows.is_multiple_of(1000) && (swapped || rows < 8000), "{rows}");
        // The reviewed file is restored, and `apply` continues.
        std::fs::write(&path, &text).unwrap();
        let _ = round.apply("r", &["--execute"]).exits(0);
        let _ = round.compare().exits(0);
    }
}

/// The checksums contain no secret: a user who can write to the files can compute new ones.
#[test]
fn a_repair_that_others_can_write_to_is_not_applied() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let source = format!("{TABLE} insert into t values (1, 'a');");
    let round = RoundTrip::new(&source, TABLE, &same("public.t"));
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &[]).exits(0);
    let state = round.state(true);
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    let is_root = id.stdout == b"0\n";
    let set = |name: &str, (owner, group, mode): (Option<u32>, Option<u32>, u32)| {
        chown(round.path(name), owner, group).unwrap();
        std::fs::set_permissions(round.path(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    let (other, mut refusals) = (Some(65_534), 0);
    for (name, change, why) in [
        ("r", (None, None, 0o777), "folder r can be written by every user"),
        ("r", (None, None, 0o1777), "folder r can be written by every user"),
        ("r", (None, other, 0o770), "folder r can be written by group 65534"),
        ("r/manifest.json", (None, None, 0o666), "manifest.json can be written by every user"),
        ("r/manifest.json", (other, None, 0o600), "manifest.json is owned by user 65534"),
        ("r/001-t-insert.jsonl", (None, None, 0o602), "insert.jsonl can be written by every user"),
        ("r/001-t-insert.sql", (None, other, 0o660), "insert.sql can be written by group 65534"),
        ("r/001-t-insert.undo.sql", (other, None, 0o644), "insert.undo.sql is owned by user 65534"),
    ] {
        if !is_root && (change.0, change.1) != (None, None) {
            continue;
        }
        set(name, change);
        for flags in [&[][..], &["--execute"]] {
            let outcome = round.apply("r", flags);
            assert!(outcome.exits(2).stderr.contains(why), "{}", outcome.stderr);
            assert!(outcome.stderr.contains("hint: Copy what was reviewed"), "{}", outcome.stderr);
            refusals += 1;
        }
        let own = is_root.then_some(0);
        set(name, (own, own, if name == "r" { 0o700 } else { 0o600 }));
    }
    assert_eq!(round.state(true), state);
    let _ = round.apply("r", &["--execute"]).exits(0);
    let _ = round.compare().exits(0);
    fault::REPAIR_OPEN.tried(refusals);
}

/// On a terminal the files show escapes, and the values stay exact.
#[test]
fn the_json_of_a_repair_cannot_drive_a_terminal() {
    let table = "create table \"t\u{9b}\u{202e}\" (id int primary key, v text);";
    let insert = |v: &str| format!("{table} insert into \"t\u{9b}\u{202e}\" values (1, {v});");
    let value = "E'a\\x1b[31m\\u009b2J\\u0085\\u2028\\u202eb'";
    let name = "public.\"t\u{9b}\u{202e}\"";
    let mapping = format!(
        "[[mapping]]\nname = \"m\u{202e}\"\nsource.table = '''{0}'''\ntarget.table = '''{0}'''\n",
        name
    );
    let mapping = mapping.replace('\u{9b}', "\\u009b").replace("'''", "\"");
    let mapping = mapping.replace("\"public.\"", "\"public.\\\"").replace("\"\"\n", "\\\"\"\n");
    let round = RoundTrip::new(&insert(value), &insert("'x'"), &mapping);
    let _ = round.compare().exits(1);
    let _ = round.repair("r", &ALL).exits(0);
    for entry in std::fs::read_dir(round.path("r")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end != "sql") {
            harmless(&std::fs::read_to_string(&path).unwrap());
        }
    }
    let _ = round.apply("r", &["--execute"]).exits(0);
    let stored = format!("select v = {value} from {name}");
    assert_eq!(round.pair.sql(Side::Target, &stored), "t");
}
