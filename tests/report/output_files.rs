//! Output files in places where another user may have put files before: links, owners and modes;
//! and the files that a killed process leaves beside a report.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::report::compare;
use crate::support::{HEAD, MAPPING, Outcome, Pair, Program, Scratch, cluster, fault, refused};

/// A user id that no system uses.
const OTHER: u32 = 65_534;

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn mkfifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

/// Creates a spec of servers that do not exist: output files are opened before connecting.
fn scratch() -> Scratch {
    let scratch = Scratch::new();
    scratch.file("spec.toml", &format!("{HEAD}{MAPPING}"));
    scratch.file("victim", "victim");
    scratch
}

fn compared(scratch: &Scratch, flags: &[&str]) -> Outcome {
    let program = Program::new().env("SOURCE_URL", "host=/nowhere").env("TARGET_URL", "host=/no");
    program.current_dir(scratch.path()).args(&["compare", "spec.toml"]).args(flags).run()
}

/// Returns why the ledger is not used, from the only warning; empty if it is used.
fn unused(outcome: &Outcome, ledger: &str) -> String {
    let warning = format!("warning: this run is not stored: ledger {ledger}: ");
    let mut lines = outcome.exits(2).stderr.lines().filter_map(|line| line.strip_prefix(&warning));
    lines.next().unwrap_or_default().to_owned()
}

#[test]
fn planted_files_of_a_ledger_are_refused_and_left_alone() {
    let [link, hard, pipe, folder] = [
        "is a symbolic link",
        "has another name (a hard link)",
        "is not a regular file",
        "is a folder",
    ];
    let mut planted = 0;
    for (name, why) in [
        ("l.db.lock", link),
        ("l.db.lock", hard),
        ("l.db.lock", pipe),
        ("l.db.lock", folder),
        ("l.db", link),
        ("l.db", hard),
        ("l.db", pipe),
        ("l.db-journal", link),
        ("l.db-journal", pipe),
        ("l.db-wal", link),
        ("l.db-shm", hard),
    ] {
        let scratch = scratch();
        let (victim, place) = (scratch.path().join("victim"), scratch.path().join(name));
        match why {
            _ if why == link => symlink(&victim, place).unwrap(),
            _ if why == hard => std::fs::hard_link(&victim, place).unwrap(),
            _ if why == pipe => mkfifo(&place),
            _ => std::fs::create_dir(place).unwrap(),
        }
        let outcome = compared(&scratch, &["--ledger", "l.db"]);
        assert_eq!(unused(&outcome, "l.db"), format!("{name} {why}"), "{}", outcome.stderr);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "victim");
        planted += 1;
        // A dangling link does not create its target.
        std::fs::remove_file(&victim).unwrap();
        let outcome = compared(&scratch, &["--ledger", "l.db"]);
        assert!(why != link || unused(&outcome, "l.db").ends_with(why), "{}", outcome.stderr);
        assert!(!victim.exists());
    }
    // The folder may be reached through a link, as systemd's state folders are.
    let scratch = scratch();
    std::fs::create_dir(scratch.path().join("real")).unwrap();
    symlink("real", scratch.path().join("state")).unwrap();
    assert_eq!(unused(&compared(&scratch, &["--ledger", "state/l.db"]), "state/l.db"), "");
    assert!(scratch.path().join("real/l.db").exists());
    fault::FILE_PLANTED.tried(planted);
}

/// A planted journal would be rolled back into the ledger, a write-ahead log read as a part of it.
#[test]
fn a_ledger_is_not_read_with_a_planted_journal() {
    let scratch = scratch();
    assert_eq!(unused(&compared(&scratch, &["--ledger", "l.db"]), "l.db"), "");
    let history = || {
        let program = Program::new().current_dir(scratch.path());
        program.args(&["history", "spec.toml", "--ledger", "l.db"]).run()
    };
    let told = history().stderr;
    for name in ["l.db-journal", "l.db-wal", "l.db-shm"] {
        let path = scratch.path().join(name);
        symlink("victim", &path).unwrap();
        let refused = refused(&history());
        let why = format!("{name} is not a file of the owner of the ledger");
        assert!(refused[0].headline.contains(&why), "{refused:?}");
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(history().stderr, told);
}

#[test]
fn files_and_folders_of_others_hold_no_ledger() {
    if !is_root() {
        return;
    }
    let scratch = scratch();
    let state = scratch.path().join("state");
    let with = |owner: u32, group: u32, mode: u32, why: &str| {
        for name in ["l.db", "l.db.lock"] {
            let _ = std::fs::remove_file(state.join(name));
        }
        chown(&state, Some(owner), Some(group)).unwrap();
        chmod(&state, mode);
        let outcome = compared(&scratch, &["--ledger", "state/l.db"]);
        let found = unused(&outcome, "state/l.db");
        assert!(found.starts_with(why) && found.is_empty() == why.is_empty(), "{found}");
    };
    std::fs::create_dir(&state).unwrap();
    with(0, 0, 0o700, "");
    with(0, 0, 0o2775, "");
    with(OTHER, OTHER, 0o755, "");
    with(0, OTHER, 0o775, "folder state can be written by group 65534, which this process is not");
    with(0, 0, 0o777, "folder state can be written by every user");
    with(0, 0, 0o1777, "folder state can be written by every user");
    with(0, 0, 0o700, "");
    for (name, change, why) in [
        ("l.db", (OTHER, 0, 0o600), "is owned by user 65534, and this process runs as user 0"),
        ("l.db", (0, OTHER, 0o660), "can be written by group 65534"),
        ("l.db.lock", (OTHER, 0, 0o600), "is owned by user 65534"),
        ("l.db.lock", (0, 0, 0o666), "can be written by every user"),
        ("l.db-journal", (OTHER, 0, 0o600), "is owned by user 65534"),
        ("l.db-wal", (OTHER, 0, 0o600), "is owned by user 65534"),
    ] {
        let path = state.join(name);
        let was = path.exists();
        let set = |(owner, group, mode): (u32, u32, u32)| {
            chown(&path, Some(owner), Some(group)).unwrap();
            chmod(&path, mode);
        };
        if !was {
            std::fs::write(&path, "x").unwrap();
        }
        set(change);
        let text = std::fs::read(&path).unwrap();
        let outcome = compared(&scratch, &["--ledger", "state/l.db"]);
        let found = unused(&outcome, "state/l.db");
        assert!(found.starts_with(&format!("state/{name} {why}")), "{found}");
        assert_eq!(std::fs::read(&path).unwrap(), text, "{name}");
        set((0, 0, 0o600));
        if !was {
            std::fs::remove_file(path).unwrap();
        }
    }
    assert_eq!(unused(&compared(&scratch, &["--ledger", "state/l.db"]), "state/l.db"), "");
}

#[test]
fn a_report_replaces_nothing_but_a_regular_file() {
    let scratch = scratch();
    let place = scratch.path().join("r.json");
    let refused = |why: &str| {
        let told = refused(&compared(&scratch, &["--report", "r.json"]));
        let headline = format!("report r.json cannot be written: r.json {why}");
        assert_eq!((told.len(), &told[0].headline), (1, &headline), "{told:#?}");
    };
    symlink("victim", &place).unwrap();
    refused("is a symbolic link");
    std::fs::remove_file(&place).unwrap();
    mkfifo(&place);
    refused("is not a regular file");
    std::fs::remove_file(&place).unwrap();
    std::fs::create_dir(&place).unwrap();
    refused("is a folder");
    assert_eq!(std::fs::read_to_string(scratch.path().join("victim")).unwrap(), "victim");
}

/// An ordinary user would use another user's files, or refuse root's folders. What root may not do
/// is tested separately.
#[test]
fn an_ordinary_user_trusts_roots_folders_and_no_file_of_another() {
    if !is_root() {
        return;
    }
    let home = cluster::owned_folder();
    let program = home.path().join("pgreconcile");
    std::fs::copy(env!("CARGO_BIN_EXE_pgreconcile"), &program).unwrap();
    std::fs::write(home.path().join("spec.toml"), format!("{HEAD}{MAPPING}")).unwrap();
    let id = cluster::as_server_user(Path::new("id"), home.path()).arg("-g").output().unwrap();
    let group: u32 = String::from_utf8(id.stdout).unwrap().trim().parse().unwrap();
    let folder = |name: &str, owner: u32, group: u32, mode: u32| -> PathBuf {
        let path = home.path().join(name);
        std::fs::create_dir(&path).unwrap();
        chown(&path, Some(owner), Some(group)).unwrap();
        chmod(&path, mode);
        path
    };
    let says = |flag: &str, path: &str| {
        let mut command = cluster::as_server_user(&program, home.path());
        command.args(["compare", "spec.toml", flag, path]).env("USER", "nobody");
        let output = command.env("SOURCE_URL", "host=/no").env("TARGET_URL", "host=/no").output();
        String::from_utf8(output.unwrap().stderr).unwrap()
    };
    let said_of = |flag: &str, path: &str, why: &str| {
        let said = says(flag, path);
        assert!(said.contains(why) && said.contains("/no") == why.is_empty(), "{path}: {said}");
    };
    let sticky = folder("sticky", 0, 0, 0o1777);
    std::fs::write(sticky.join("old.json"), "{}").unwrap();
    said_of("--report", "sticky/new.json", "");
    said_of("--report", "sticky/old.json", "old.json is owned by user 0, and this process runs");
    folder("team", 0, group, 0o775);
    said_of("--report", "team/r.json", "");
    let shared = folder("shared", 0, OTHER, 0o775);
    said_of("--report", "shared/r.json", "can be written by group 65534");
    folder("other", OTHER, group, 0o770);
    said_of("--report", "other/r.json", "folder other is owned by user 65534");
    // A lock and a ledger that root left in this user's folder.
    for name in ["l.db.lock", "l.db"] {
        let path = home.path().join(name);
        std::fs::write(&path, "").unwrap();
        chmod(&path, 0o644);
        let said = says("--ledger", "l.db");
        assert!(said.contains(&format!("{name} is owned by user 0")), "{said}");
        std::fs::remove_file(path).unwrap();
        let _ = std::fs::remove_file(home.path().join("l.db.lock"));
    }
    assert!(std::fs::read_dir(shared).unwrap().next().is_none());
    assert_eq!(std::fs::read_dir(sticky).unwrap().count(), 1);
}

#[test]
fn a_killed_run_leaves_no_rows_beside_its_report() {
    let table = "create table t (id int primary key, v text);";
    let rows = format!(
        "{table} insert into t select n, 'CANARY' || repeat('x', 2000) from generate_series(1, 2000) n"
    );
    let other = "insert into t select n, 'y' from generate_series(1, 2000) n";
    let pair = Pair::new(&rows, &format!("{table} {other}"));
    let spec = pair.spec(MAPPING);
    let files = || {
        let entries = std::fs::read_dir(pair.scratch.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    // The run blocks when the pipe at its stdout is full, and cannot end before it is killed.
    let begin = || {
        let flags = ["--report", "r.jsonl", "--format", "jsonl", "--quiet"];
        let mut running = compare(&pair, &spec).args(&flags).spawn();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        (0..30).for_each(|_| assert!(lines.next().unwrap().unwrap().len() > 100));
        (running, lines)
    };
    let (mut running, lines) = begin();
    running.kill().unwrap();
    assert_eq!(running.wait().unwrap().code(), None);
    drop(lines);
    let left = files();
    let draft = left.iter().find(|name| name.starts_with(".pgreconcile-report-"));
    let text = std::fs::read_to_string(pair.scratch.path().join(draft.unwrap())).unwrap();
    assert!(text.contains("CANARY"), "{text}");
    // A run in progress keeps its own file; the dead run's is removed.
    let (mut running, lines) = begin();
    assert!(files().len() == 2 && !files().contains(draft.unwrap()), "{:?}", files());
    let spec = pair.scratch.file("few.toml", &format!("{HEAD}{MAPPING}where = \"id < 9\"\n"));
    let of_few = || compare(&pair, &spec).args(&["--report", "r.jsonl", "--quiet"]).run();
    let _ = of_few().exits(1);
    assert_eq!(files().len(), 4, "{:?}", files());
    running.kill().unwrap();
    running.wait().unwrap();
    drop(lines);
    let _ = of_few().exits(1);
    assert_eq!(files(), ["few.toml", "r.jsonl", "spec.toml"]);
    fault::REPORT_KILLED.tried(2);
}
