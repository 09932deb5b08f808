//! Servers that send wrong answers or none: endless answers, messages of any length, errors that
//! are not errors, silence. They cost a bounded time and memory, and cause an error that names the
//! server.

use std::path::{Path, PathBuf};

use pgreconcile::schema::Side;

use crate::support::{
    Fate, Liar, Lie, Outcome, Pair, Program, Proxy, Scratch, announced, fault, message,
};

const SPEC: &str = "version = 1\nname = \"lies\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
    [target]\nurl = \"${TARGET_URL}\"\n\
    [[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n";

/// More than 64 MB of an answer, and the memory that holding them needs.
const MEMORY: u64 = 200;

/// Returns an error or a notice with this code and this text.
fn report(kind: u8, code: &[u8], text: &[u8]) -> Vec<u8> {
    let body = [b"SERROR\0VERROR\0C", code, b"\0M", text, b"\0\0"];
    message(kind, &body.concat())
}

/// Plans against a server that sends this, and another one that refuses everything: the call fails
/// with this message, in little memory.
fn plans(lie: Lie, said: &str) {
    let refusal = Lie::Answer(report(b'E', b"42501", b"no"));
    let (liar, other, scratch) = (Liar::start(lie), Liar::start(refusal), Scratch::new());
    let spec = scratch.file("spec.toml", SPEC);
    let program = Program::new().env("SOURCE_URL", &liar.url()).env("TARGET_URL", &other.url());
    let (outcome, memory) = program.args(&["check", spec.to_str().unwrap()]).run_measured();
    outcome.exits(2);
    assert!(outcome.stderr.contains(said), "{said} is not said: {}", outcome.stderr);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    assert!(memory < MEMORY, "{memory} MiB: {said}");
}

#[test]
fn answers_before_rows_are_read_are_bounded() {
    let large = "the server's answer is larger than 64 MB";
    let greeting = "the server sent more than 1 MB before the first query";
    let row = |bytes: usize| {
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        message(b'D', &[&[0, 1][..], &length, &vec![7; bytes]].concat())
    };
    let notice = |text: &[u8]| report(b'N', b"00000", text);
    let mut lies = vec![
        (Lie::Rows(row(4)), "the server's answer has more than 250,000 rows"),
        (Lie::Rows(row(0x4000)), large),
        (Lie::Rows(announced(b'D', 0x7fff_0000)), large),
        (Lie::Rows(notice(&[b'x'; 2_000])), large),
        (Lie::Greeting(notice(b"x")), greeting),
        (Lie::Greeting(message(b'S', b"a\0b\0")), greeting),
        (Lie::Greeting(announced(b'E', 0x7fff_0000)), greeting),
    ];
    for code in ["é", "", "4", "4é123", "\u{1b}[31m"] {
        let error = report(b'E', code.as_bytes(), b"what it likes");
        lies.push((Lie::Answer(error), "the server refused it (SQLSTATE not known)"));
    }
    fault::SERVER_LIES.tried(lies.len());
    lies.into_iter().for_each(|(lie, said)| plans(lie, said));
}

const ROWS: u32 = 3_000;

fn pair() -> Pair {
    let table = format!(
        "create table t (id int primary key, v text); create table u (id int primary key, v text);
         insert into t select n, repeat(md5(n::text), 4) from generate_series(1, {ROWS}) n;
         insert into u select * from t; analyze"
    );
    Pair::new(&table, &table)
}

/// Writes a spec of two tables. Comparisons that run together read the same file, so it is written
/// once.
fn spec(pair: &Pair) -> PathBuf {
    let mapping = |table: &str| {
        format!(
            "[[mapping]]\nsource.table = \"public.{table}\"\ntarget.table = \"public.{table}\"\n"
        )
    };
    let head = "[compare]\njobs = 1\nstatement_timeout = \"4s\"\n";
    pair.spec(&format!("{head}{}{}", mapping("t"), mapping("u")))
}

/// Compares two tables by their rows, with the source behind a proxy.
fn compare(pair: &Pair, spec: &Path, proxy: &Proxy) -> (Outcome, u64) {
    let program = pair.program().env("SOURCE_URL", &proxy.url(&pair.database));
    let program = program.args(&["compare", spec.to_str().unwrap(), "--strategy", "stream"]);
    let flags = ["--settle", "0s", "--format", "jsonl", "--progress", "never", "--chunk-rows"];
    program.args(&flags).arg("500").run_measured()
}

/// Two equal tables, their spec, and the proxy through which they were compared once.
fn compared() -> (Pair, PathBuf, Proxy) {
    let pair = pair();
    let spec = spec(&pair);
    let whole = Proxy::start(&pair.clusters[Side::Source], |_| Fate::Pass);
    compare(&pair, &spec, &whole).0.exits(0);
    (pair, spec, whole)
}

/// Returns the point at which a third of a comparison's messages have arrived: nearly all of them
/// are rows.
fn among_rows(whole: &Proxy) -> usize {
    let (_, messages) = whole.received(0);
    assert!(messages.len() > ROWS as usize, "{} messages", messages.len());
    messages[messages.len() / 3]
}

/// A flood among a comparison's rows would fill the memory, or be read as a difference. The range
/// must be read again or be undecided.
#[test]
fn what_comes_among_rows_is_bounded_and_no_difference() {
    let (pair, spec, whole) = compared();
    let (received, messages) = whole.received(0);
    let after = *messages.iter().find(|message| **message > received * 8 / 10).unwrap();
    let notice = report(b'N', b"00000", &[b'x'; 2_000]);
    let floods = [announced(b'D', 0x4000_0001), announced(b'T', 0x0800_0000), notice];
    fault::ROWS_LIE.tried(floods.len());
    for flood in floods {
        let flood: &'static [u8] = flood.leak();
        let proxy =
            Proxy::start(&pair.clusters[Side::Source], move |connection| match connection {
                0 => Fate::Flood { after, flood },
                _ => Fate::Pass,
            });
        let (outcome, memory) = compare(&pair, &spec, &proxy);
        assert_eq!(outcome.findings(), Vec::<String>::new());
        outcome.balances();
        assert!([0, 3].contains(&outcome.code), "{}", outcome.stderr);
        assert!(memory < MEMORY, "{memory} MiB");
        assert!(proxy.connections() > 1);
    }
}

/// An endless answer to a cancel request, which a silent server gets, would fill the memory.
#[test]
fn an_answer_to_a_cancel_request_is_not_kept() {
    let (pair, spec, whole) = compared();
    let after = among_rows(&whole);
    let flood: &'static [u8] = report(b'N', b"00000", &[b'x'; 2_000]).leak();
    let proxy = Proxy::start(&pair.clusters[Side::Source], move |connection| match connection {
        0 => Fate::Silent { after },
        _ => Fate::Flood { after: 0, flood },
    });
    let (outcome, memory) = compare(&pair, &spec, &proxy);
    outcome.balances().exits(3);
    assert!(memory < MEMORY, "{memory} MiB");
}

/// Each mapping would wait for a silent server again. There is one wait and one try on another
/// connection, and neither for the second mapping.
#[test]
fn a_silent_server_is_given_up_once() {
    let (pair, spec, whole) = compared();
    let after = among_rows(&whole);
    let letting_in = whole.messages_with(0, "server_version")[0];
    let later = [0, letting_in];
    fault::SERVER_GIVEN_UP.tried(later.len());
    let silent = |later: usize| {
        let proxy =
            Proxy::start(&pair.clusters[Side::Source], move |connection| match connection {
                0 => Fate::Silent { after },
                _ => Fate::Silent { after: later },
            });
        let (outcome, _) = compare(&pair, &spec, &proxy);
        outcome.balances().exits(3);
        assert_eq!(outcome.findings(), Vec::<String>::new());
        for mapping in outcome.records("mapping") {
            let reason = mapping["reason"].as_str().expect("a reason");
            assert!(reason.contains("source") && reason.contains("no answer in time"), "{mapping}");
        }
        // The data connection, the side query's, a cancel request, and the one that was not
        // answered.
        assert!(proxy.connections() <= 4, "{} connections", proxy.connections());
    };
    let silent = &silent;
    std::thread::scope(|scope| {
        for later in later {
            scope.spawn(move || silent(later));
        }
    });
}
