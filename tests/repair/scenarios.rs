//! Every scenario is repaired as far as it can be, and undone.

use std::path::Path;

use crate::support::round_trip::{ALL, RoundTrip};
use crate::support::scenarios::{folder, names};
use crate::support::{Outcome, Pair};

/// Scenarios whose target cannot be written with their spec, and a word of the reason.
const REFUSED: &[(&str, &str)] = &[
    ("a_query_on_each_side", "the target is a query"),
    ("redacted", "is redacted in the findings"),
];

/// Scenarios in which something stays unchanged, and why.
const STAYS: &[(&str, &str)] = &[
    ("renamed_cast_and_computed", "tags"), // a pair with target_sql is compared only
    ("rule_case_insensitive", " a: "),     // the target's enum does not know the values
];

/// Findings that no repair covers: rows that share a key or have none, and accepted differences.
fn beyond(finding: &str) -> bool {
    ["duplicate_key", "null_key", "(accepted)"].iter().any(|word| finding.contains(word))
}

fn compare(round: &RoundTrip, folder: &Path) -> Outcome {
    let lines = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let args = lines("args.txt");
    let mut flags = vec!["--report", "findings.jsonl"];
    flags.extend(args.iter().map(String::as_str));
    let program = round.pair.comparing(&round.spec, &flags);
    let program = lines("env.txt").iter().fold(program, |program, line| {
        let (name, value) = line.split_once('=').unwrap();
        program.env(name, value)
    });
    program.run()
}

fn parameters(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("args.txt")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "--param");
    pairs.flat_map(|pair| pair.iter().map(|word| (*word).to_owned())).collect()
}

#[test]
fn each_is_repaired_and_taken_back() {
    let mut surprises = Vec::new();
    for name in &names() {
        let folder = folder().join(name);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let pair = Pair::new(&read("source.sql"), &read("target.sql"));
        let spec = pair.scratch.file("spec.toml", &read("spec.toml"));
        let round = RoundTrip { pair, spec, written: pgreconcile::schema::Side::Target };
        let first = compare(&round, &folder);
        if first.code == 0 {
            continue;
        }
        let params = parameters(&folder);
        let mut flags: Vec<&str> = ALL.to_vec();
        flags.extend(params.iter().map(String::as_str));
        let repaired = round.repair("repair", &flags);
        let refused = REFUSED.iter().find(|(known, _)| *known == name.as_str());
        if let Some((_, why)) = refused {
            assert!(repaired.exits(2).stderr.contains(why), "{name}: {}", repaired.stderr);
            continue;
        }
        if repaired.code != 0 {
            surprises.push(format!("{name}: {}", repaired.stderr));
            continue;
        }
        if round.scripts("repair", ".sql").is_empty() {
            let left = first.findings().into_iter().filter(|finding| !beyond(finding));
            surprises.extend(left.map(|finding| format!("{name}: nothing written for {finding}")));
            continue;
        }
        let said = |end: &str| -> Vec<String> {
            let scripts = round.scripts("repair", end);
            let said = scripts.iter().map(|script| round.psql(script));
            said.filter(|said| said.code != 0).map(|said| said.stderr).collect()
        };
        let stays = STAYS.iter().find(|(known, _)| *known == name.as_str()).map(|(_, why)| *why);
        let surprising = |why: &String| stays.is_none_or(|stays| !why.contains(stays));
        let failed = said(".sql");
        let by_psql = round.state(false);
        surprises.extend(
            failed.iter().filter(|why| surprising(why)).map(|why| format!("{name}: {why}")),
        );
        let left = compare(&round, &folder).findings();
        let left: Vec<_> = left.into_iter().filter(|finding| !beyond(finding)).collect();
        if failed.is_empty() && left.iter().any(surprising) {
            surprises.push(format!("{name}: {left:?} are left"));
        }
        let undone = said(".undo.sql");
        if failed.is_empty() {
            surprises.extend(undone.iter().map(|why| format!("{name}: undo: {why}")));
        }
        let again = compare(&round, &folder);
        if again.findings() != first.findings() {
            surprises.push(format!("{name}: undone, it is {:?}", again.findings()));
        }
        if !failed.is_empty() {
            continue;
        }
        // The other form produces the same rows, and neither writes them again.
        let mut flags: Vec<&str> = vec!["--execute"];
        flags.extend(params.iter().map(String::as_str));
        let applied = round.apply("repair", &flags);
        if round.state(false) != by_psql {
            surprises.push(format!("{name}: applied otherwise than by psql: {}", applied.stderr));
        }
        let before = round.state(true);
        let _ = round.apply("repair", &flags);
        let _ = said(".sql");
        if round.state(true) != before {
            surprises.push(format!("{name}: run again, it changed rows"));
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
