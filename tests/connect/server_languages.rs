//! Servers whose messages are in another language: the reaction to an error depends on its
//! SQLSTATE, so everything but the server's own text is the same.
//!
//! A German server needs PostgreSQL's translations, which some builds lack. So each case also runs
//! through a proxy that replaces the text of every error by one that is in no build's language.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::support::{Cluster, Program, Scratch, Settings};

/// The text that the proxy puts in the place of each message.
const FOREIGN: &str = "Meldung in einer anderen Sprache";

/// Forwards connections to a server and replaces the text of every error and notice.
fn start_translator(server: u16) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
            let (from_client, to_server) =
                (client.try_clone().unwrap(), server.try_clone().unwrap());
            // Each direction ends when its peer closes the connection.
            std::thread::spawn(move || copy(from_client, to_server));
            std::thread::spawn(move || drop(translate(server, client)));
        }
    });
    port
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Write);
}

fn translate(mut server: TcpStream, mut client: TcpStream) -> std::io::Result<()> {
    loop {
        let mut header = [0; 5];
        server.read_exact(&mut header)?;
        let [kind, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        server.read_exact(&mut body)?;
        if matches!(kind, b'E' | b'N') {
            body = translate_fields(&body);
        }
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        client.write_all(&[&[kind][..], &length, &body].concat())?;
    }
}

/// Replaces the message, the detail, the hint and the severity, which is translated too.
fn translate_fields(body: &[u8]) -> Vec<u8> {
    let fields = body.split(|byte| *byte == 0).filter(|field| !field.is_empty());
    let translated = fields.flat_map(|field| match field[0] {
        kind @ (b'M' | b'D' | b'H') => [&[kind][..], FOREIGN.as_bytes(), b"\0"].concat(),
        b'S' => b"SFEHLER\0".to_vec(),
        _ => [field, b"\0"].concat(),
    });
    translated.chain([0]).collect()
}

struct Ground {
    server: Cluster,
    scratch: Scratch,
}

/// The program's reaction to a case: everything but the server's text.
#[derive(Debug, PartialEq)]
struct Result {
    code: i32,
    findings: Vec<String>,
    undecided: Vec<Value>,
    hints: Vec<String>,
}

impl Ground {
    fn start() -> Ground {
        let server = Cluster::start(Settings("lc_messages = 'C'"));
        server.sql("postgres", "create role app login; create database d");
        server.sql(
            "d",
            "create table t (id int primary key, v text);
             insert into t select n, 'v' || n from generate_series(1, 200) n;
             create table u as table t; alter table u add primary key (id);
             update u set v = 'x' where id = 7; delete from u where id = 150;
             grant select on t, u to app;
             create table hidden (id int primary key);
             create function wait(int) returns int language sql as
                 'select $1 from pg_sleep(case $1 when 42 then 100 else 0 end)';
             create view slow as select wait(id) as id, v from u where wait(id) > 0;
             grant select on slow to app;
             analyze",
        );
        Ground { server, scratch: Scratch::new() }
    }

    /// Runs `VERB` on a spec through this port.
    fn run(&self, port: u16, case: &Case) -> (Result, String) {
        let url = |role| format!("postgresql://{role}@127.0.0.1:{port}/d?sslmode=disable");
        let target = match case.place {
            Some(place) => format!("postgresql://{place}?sslmode=disable")
                .replace("HOST", &format!("127.0.0.1:{port}")),
            None => url("app"),
        };
        let text = format!(
            "version = 1\nname = \"test\"\n[source]\nurl = \"{}\"\n[target]\nurl = \"{target}\"\n\
             [compare]\nstatement_timeout = \"2s\"\n[[mapping]]\nsource.table = \"public.t\"\n{}",
            url("app"),
            case.mapping
        );
        let spec = self.scratch.file("spec.toml", &text);
        let outcome = Program::new()
            .current_dir(self.scratch.path())
            .args(&["compare", spec.to_str().unwrap(), "--settle", "0s", "--format", "jsonl"])
            .args(&["--progress", "never", "--ledger", "off"])
            .run();
        let is_hint = |line: &&str| line.trim_start().starts_with("hint:");
        let undecided = outcome.records("undecided");
        let result = Result {
            code: outcome.code,
            findings: outcome.findings(),
            undecided: undecided.iter().map(|record| record["range"].clone()).collect(),
            hints: outcome.stderr.lines().filter(is_hint).map(str::to_owned).collect(),
        };
        (result, format!("{}{}", outcome.stderr, outcome.stdout))
    }
}

struct Case {
    name: &'static str,
    /// The target's role, host and database, where they are not the usual ones.
    place: Option<&'static str>,
    mapping: &'static str,
    code: i32,
    /// Whether the report or the message contains the server's own text.
    has_text: bool,
}

const TARGET: &str = "target.table = \"public.u\"\n";

const CASES: [Case; 7] = [
    Case { name: "rows differ", place: None, mapping: TARGET, code: 1, has_text: false },
    Case {
        name: "no such role",
        place: Some("nobody@HOST/d"),
        mapping: TARGET,
        code: 2,
        has_text: true,
    },
    Case {
        name: "no such database",
        place: Some("app@HOST/nowhere"),
        mapping: TARGET,
        code: 2,
        has_text: true,
    },
    Case {
        name: "no privilege",
        place: None,
        mapping: "target.query = \"select id, 'v' as v from public.hidden\"\nname = \"m\"\nkey = [\"id\"]\n",
        code: 2,
        has_text: true,
    },
    Case {
        name: "no such function",
        place: None,
        mapping: "target.query = \"select id, public.missing(v) as v from public.u\"\nname = \"m\"\nkey = [\"id\"]\n",
        code: 2,
        has_text: true,
    },
    Case {
        name: "a value that cannot be computed",
        place: None,
        mapping: "target.query = \"select id, case when 1 / (id - 42) < 9 then v end as v from public.u\"\n\
                  name = \"m\"\nkey = [\"id\"]\n",
        code: 3,
        has_text: false,
    },
    Case {
        name: "a row that takes too long",
        place: None,
        mapping: "target.table = \"public.slow\"\nname = \"m\"\nkey = [\"id\"]\n",
        code: 3,
        has_text: true,
    },
];

#[test]
fn the_language_of_a_server_changes_no_decision() {
    let ground = Ground::start();
    let english: Vec<Result> = CASES
        .iter()
        .map(|case| {
            let (result, text) = ground.run(ground.server.port, case);
            assert_eq!(result.code, case.code, "{}\n{text}", case.name);
            result
        })
        .collect();
    let compare = |language: &str, port: u16, is_foreign: &dyn Fn(&str) -> bool| {
        for (case, english) in CASES.iter().zip(&english) {
            let (result, text) = ground.run(port, case);
            assert_eq!(result, *english, "{language}: {}\n{text}", case.name);
            assert_eq!(is_foreign(&text), case.has_text, "{language}: {}\n{text}", case.name);
        }
    };
    let translator = start_translator(ground.server.port);
    compare("translated", translator, &|text| text.contains(FOREIGN));
    // The GNU library takes the language from LANGUAGE wherever the locale is not C.
    let superuser = ground.server.url("postgres", "postgres");
    if ground.server.try_sql(&superuser, "alter system set lc_messages = 'C.UTF-8'").is_none() {
        return;
    }
    ground.server.sql("postgres", "select pg_reload_conf()");
    ground.server.await_answer("postgres", "show lc_messages", "C.UTF-8");
    if speaks_german(&ground.server) {
        let words = ["existiert nicht", "keine Berechtigung", "wegen Zeitüberschreitung"];
        let is_german = |text: &str| words.iter().any(|word| text.contains(word));
        compare("German", ground.server.port, &is_german);
    }
}

/// Returns whether the server has German messages, which its build may lack.
fn speaks_german(server: &Cluster) -> bool {
    let question = "create function pg_temp.fail() returns text language plpgsql as
        'begin perform 1 / 0; exception when others then return sqlerrm; end'; select pg_temp.fail()";
    server.sql("postgres", question) == "Division durch Null"
}
