//! Flipped bits in the columns by which runs are found: none of them hides a run, so neither the
//! gate nor `--resume` uses an older run instead.
//!
//! Every byte of every value of every run and of its fingerprint is flipped, in both stores.

use pgreconcile::event::Event;
use pgreconcile::finding::{NamedValues, PastRun, RunRecord, SummaryRecord, Verdict};
use pgreconcile::ledger::{Location, Recorder, Resumable, Store};

use crate::support::Scratch;
use crate::support::ledger_database::LedgerDatabase;

/// The tables whose rows list the runs.
const TABLES: [&str; 2] = ["run", "terms"];

/// A second connection to a ledger, besides the program's.
enum Hand {
    File(rusqlite::Connection),
    Server(tokio_postgres::Client),
}

impl Hand {
    async fn at(location: &Location) -> Hand {
        match location {
            Location::File(path) => {
                let file = rusqlite::Connection::open(path).unwrap();
                file.pragma_update(None, "synchronous", "off").unwrap();
                Hand::File(file)
            }
            Location::Database(url) => {
                let (client, connection) =
                    tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
                tokio::spawn(connection);
                client.batch_execute("set search_path = pgreconcile").await.unwrap();
                Hand::Server(client)
            }
        }
    }

    /// Runs statements. Returns whether they could be run.
    async fn runs(&self, sql: &str) -> bool {
        match self {
            Hand::File(file) => file.execute_batch(sql).is_ok(),
            Hand::Server(client) => client.batch_execute(sql).await.is_ok(),
        }
    }

    /// Returns the rows of a query, whose columns are texts or null.
    async fn asks(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Hand::File(file) => {
                let mut asked = file.prepare(sql).unwrap();
                let columns = asked.column_count();
                let rows = asked.query_map([], |row| (0..columns).map(|at| row.get(at)).collect());
                rows.unwrap().map(Result::unwrap).collect()
            }
            Hand::Server(client) => {
                let rows = client.query_typed(sql, &[]).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
            }
        }
    }

    /// Returns the columns of a table with the expression that shows each as text: numbers in
    /// decimal, others in hexadecimal digits.
    async fn columns(&self, table: &str) -> Vec<(String, &'static str, String)> {
        let sql = match self {
            Hand::File(_) => format!("select name, lower(type) from pragma_table_info('{table}')"),
            Hand::Server(_) => format!(
                "select column_name::text, data_type::text from information_schema.columns
                 where table_schema = 'pgreconcile' and table_name = '{table}'"
            ),
        };
        let columns = self.asks(&sql).await.into_iter().map(|column| {
            let [Some(name), Some(kind)] = <[_; 2]>::try_from(column).unwrap() else { panic!() };
            let (kind, shown) = match (kind.as_str(), self) {
                ("integer" | "bigint", _) => ("number", format!("cast({name} as text)")),
                ("text", Hand::File(_)) => ("text", format!("hex({name})")),
                ("text", _) => ("text", format!("encode(convert_to({name}, 'utf8'), 'hex')")),
                ("blob", _) => ("bytes", format!("hex({name})")),
                ("bytea", _) => ("bytes", format!("encode({name}, 'hex')")),
                (other, _) => panic!("{other}"),
            };
            (name, kind, shown)
        });
        columns.collect()
    }

    /// Returns the literal of a value.
    fn literal(&self, kind: &str, bytes: &[u8]) -> Option<String> {
        let digits = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match (kind, self) {
            ("number", _) => Some(i64::from_le_bytes(bytes.try_into().unwrap()).to_string()),
            ("text", _) => {
                let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
                Some(format!("'{}'", text.replace('\'', "''")))
            }
            (_, Hand::File(_)) => Some(format!("x'{}'", digits())),
            (_, Hand::Server(_)) => Some(format!("'\\x{}'::bytea", digits())),
        }
    }
}

/// Returns the bytes of a value from its text.
fn bytes(kind: &str, shown: &str) -> Vec<u8> {
    if kind == "number" {
        return shown.parse::<i64>().unwrap().to_le_bytes().to_vec();
    }
    let digit = |at: usize| u8::from_str_radix(&shown[at..at + 2], 16).unwrap();
    (0..shown.len()).step_by(2).map(digit).collect()
}

/// Writes a run of spec "x", or of another. It counts as killed if it has no verdict.
async fn add(location: &Location, spec: &str, id: &str, verdict: Option<Verdict>) {
    let mut recorder = Recorder::new(Store::create(location).await.unwrap(), "compare");
    recorder.set_run_fingerprint("asked".to_owned());
    let run = RunRecord::new(id.into(), spec, "h".into(), "s".into(), NamedValues(Vec::new()));
    recorder.record_events(&mut [Event::RunStarted(run)]).await;
    if let Some(verdict) = verdict {
        recorder.record_events(&mut [Event::RunFinished(SummaryRecord::new(verdict, 1))]).await;
    }
    assert!(recorder.problem().is_none());
}

/// The newest run reports differences, and supersedes the previous one, which was killed.
async fn is_hidden_by_no_flip(location: &Location) -> u64 {
    for (spec, id, verdict) in [
        ("x", "A", Some(Verdict::Clean)),
        ("x", "B", None),
        ("y", "C", Some(Verdict::Clean)),
        ("x", "D", Some(Verdict::Diverged)),
    ] {
        add(location, spec, id, verdict).await;
    }
    let store = Store::read(location).await.unwrap().unwrap();
    let runs = async || {
        let runs = store.read_runs("x").await.unwrap().into_iter();
        let told = |run: PastRun| (!run.damaged).then(|| format!("{run:?}"));
        runs.map(told).collect::<Vec<_>>()
    };
    let written = runs().await;
    assert_eq!(written.len(), 3);
    let hand = Hand::at(location).await;
    for table in TABLES {
        assert!(hand.runs(&format!("create table kept_{table} as select * from {table}")).await);
    }
    let mut flips = 0;
    for table in TABLES {
        let key = if table == "run" { "number" } else { "run" };
        for (column, kind, shown) in hand.columns(table).await {
            let cells = format!("select cast({key} as text), {shown} from {table} order by {key}");
            for cell in hand.asks(&cells).await {
                let [Some(place), Some(value)] = <[_; 2]>::try_from(cell).unwrap() else {
                    continue;
                };
                let value = bytes(kind, &value);
                for at in 0..value.len() {
                    let mut flipped = value.clone();
                    flipped[at] ^= 1 << (at % 8);
                    let Some(literal) = hand.literal(kind, &flipped) else { continue };
                    let update =
                        format!("update {table} set {column} = {literal} where {key} = {place}");
                    if !hand.runs(&update).await {
                        // Two runs cannot have one number or id.
                        continue;
                    }
                    flips += 1;
                    let read = runs().await;
                    let said = || format!("{update}: {read:#?} for {written:#?}");
                    // A run that is not read as it was written is read as a damaged one, whose
                    // place is not before its old one.
                    let mut rest = written.iter();
                    for run in read.iter().flatten() {
                        assert!(rest.any(|known| known.as_ref() == Some(run)), "{}", said());
                    }
                    for (newest, known) in written.iter().rev().enumerate() {
                        let is_there = read.contains(known);
                        let damaged = read.iter().rev().take(newest + 1).any(Option::is_none);
                        assert!(is_there || damaged, "{}", said());
                    }
                    let found =
                        store.find_interrupted_run("x", None, |terms| terms == "asked").await;
                    assert!(
                        matches!(found, Ok(Resumable::Nothing | Resumable::Damaged(_))),
                        "{update}: {found:#?}"
                    );
                    let given = match (&hand, table) {
                        (Hand::Server(_), "run") => "overriding system value",
                        _ => "",
                    };
                    let restore = format!(
                        "delete from {table}; insert into {table} {given} select * from kept_{table}"
                    );
                    assert!(hand.runs(&restore).await);
                }
            }
        }
    }
    assert_eq!(runs().await, written);
    flips
}

#[test]
fn no_flipped_byte_hides_a_run() {
    let (scratch, keeper) = (Scratch::new(), LedgerDatabase::new());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let file = Location::File(scratch.path().join("x.db"));
    for location in [file, Location::Database(keeper.url())] {
        let flips = runtime.block_on(is_hidden_by_no_flip(&location));
        println!("{flips} bytes flipped");
        assert!(flips > 1_000, "{flips}");
    }
}
