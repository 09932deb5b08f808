//! The tables that are compared, and what is run over them.

use std::path::Path;
use std::process::Command;

use pgreconcile::run::{Options, prepare};
use pgreconcile::schema::Side;
use pgreconcile::sql;
use pgreconcile::{row, spec};

use crate::program::Program;
use crate::support::Cluster;
use crate::{Runner, Sample, timed};

/// Two databases with one table each.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) shape: &'static str,
    rows: u64,
    table: &'static str,
    target: &'static str,
    findings: Option<usize>,
}

const ACCOUNTS: &str =
    "create table t (aid int primary key, bid int, abalance int, filler char(84));
    insert into t select n, n / 100000 + 1, 0, '' from generate_series(1, $ROWS) n;";

const SHIPMENTS: &str = "create table t (id bigint primary key, carrier_id int, tracking_no text, status text,
    service text, origin text, destination text, reference text, weight numeric(10,3), price numeric(12,2),
    created_at timestamptz, updated_at timestamptz, delivered_at timestamptz, meta jsonb, fragile bool);
    insert into t select i * 3 + i % 2, (i * 7919) % 500, 'TRK' || lpad(((i * 48271) % 2147483647)::text, 12, '0'),
    (array['created','in_transit','delivered','returned'])[1 + i % 4], (array['express','standard','economy'])[1 + i % 3],
    'Origin city ' || i % 1000, 'Destination city ' || (i * 31) % 1000,
    case when i % 5 = 0 then null else 'ref-' || md5(i::text) end, (i % 100000) / 1000.0, (i % 1000000) / 100.0,
    timestamptz '2020-01-01 00:00+00' + i * interval '37 s', timestamptz '2021-01-01 00:00+00' + i * interval '41 s',
    case when i % 3 = 0 then null else timestamptz '2022-01-01 00:00+00' + i * interval '29 s' end,
    jsonb_build_object('k', i % 100, 'tag', 't' || i % 17), i % 7 = 0 from generate_series(1::bigint, $ROWS) i;";

/// Changes 400 rows by the smallest change of a column, deletes 300 and adds 300, scattered evenly.
const DIVERGENCES: &str = "create temp table picked as select id, row_number() over (order by hashint8(id)) n
    from t order by hashint8(id) limit 700;
    update t set
    carrier_id = case when n % 12 = 0 then carrier_id + 1 else carrier_id end,
    tracking_no = case when n % 12 = 1 then tracking_no || ' ' else tracking_no end,
    status = case when n % 12 = 2 then upper(status) else status end,
    reference = case when n % 12 = 3 then case when reference is null then '' else null end else reference end,
    weight = case when n % 12 = 4 then weight + 0.001 else weight end,
    price = case when n % 12 = 5 then -price - 0.01 else price end,
    created_at = case when n % 12 = 6 then created_at + interval '1 us' else created_at end,
    updated_at = case when n % 12 = 7 then updated_at - interval '1 us' else updated_at end,
    delivered_at = case when n % 12 = 8 then case when delivered_at is null then now() end else delivered_at end,
    meta = case when n % 12 = 9 then meta || '{\"k\": 1000}' else meta end,
    fragile = case when n % 12 = 10 then not fragile else fragile end,
    origin = case when n % 12 = 11 then origin || 'x' else origin end
    from picked where picked.id = t.id and n <= 400;
    delete from t using picked where picked.id = t.id and n > 400;
    insert into t select t.id + 1 + t.id % 2, carrier_id, tracking_no, status, service, origin, destination, reference,
    weight, price, created_at, updated_at, delivered_at, meta, fragile
    from t order by hashint8(-t.id) limit 300;";

impl Workload {
    pub(crate) const ALL: &[Workload] = &[
        Workload {
            name: "W1",
            shape: "narrow rows, int4 key",
            rows: 5_000_000,
            table: ACCOUNTS,
            target: "",
            findings: Some(0),
        },
        Workload {
            name: "W2",
            shape: "shipments, int8 key",
            rows: 2_000_000,
            table: SHIPMENTS,
            target: "",
            findings: Some(0),
        },
        Workload {
            name: "W2d",
            shape: "shipments, 1,000 divergences",
            rows: 2_000_000,
            table: SHIPMENTS,
            target: DIVERGENCES,
            findings: Some(1_000),
        },
        Workload {
            name: "W3",
            shape: "shipments, random uuid key",
            rows: 2_000_000,
            table: SHIPMENTS,
            target: "",
            findings: Some(0),
        },
        Workload {
            name: "W4",
            shape: "shipments, target empty",
            rows: 2_000_000,
            table: SHIPMENTS,
            target: "truncate t",
            findings: None,
        },
        Workload {
            name: "W4h",
            shape: "shipments, target half",
            rows: 2_000_000,
            table: SHIPMENTS,
            target: "delete from t where id > (select max(id) / 2 from t)",
            findings: None,
        },
    ];

    pub(crate) fn runners(&self) -> Vec<Runner> {
        let mut runners =
            vec![Runner::FloorDigest, Runner::FloorStream, Runner::Digest, Runner::Stream];
        if self.name == "W4" {
            runners.push(Runner::FloorLoad);
            // A repair uses the report of the comparison before it.
            runners.extend([Runner::Repair, Runner::Psql, Runner::Apply, Runner::Expand]);
        }
        runners
    }

    pub(crate) fn database(&self, side: Side) -> String {
        format!("{}_{side}", self.name.to_lowercase())
    }

    /// Makes both tables, and a spec for each program.
    pub(crate) fn fill(&self, cluster: &Cluster, programs: &[Program], scale: f64) {
        let rows = ((self.rows as f64 * scale) as u64).max(2_000);
        let mut sql = self.table.replace("$ROWS", &rows.to_string());
        if self.name == "W3" {
            sql.push_str("alter table t drop constraint t_pkey; alter table t alter id type uuid using md5(id::text)::uuid; alter table t add primary key (id);");
        }
        for side in Side::BOTH {
            let database = self.database(side);
            cluster.sql("postgres", &format!("create database {database}"));
            cluster.sql(&database, &sql);
            if side == Side::Target && !self.target.is_empty() {
                cluster.sql(&database, self.target);
            }
            cluster.sql(&database, "vacuum analyze t");
        }
        for program in programs {
            std::fs::write(program.file(&self.spec_name()), self.spec(cluster)).expect("the spec");
        }
    }

    pub(crate) fn drop(&self, cluster: &Cluster) {
        for side in Side::BOTH {
            cluster.sql("postgres", &format!("drop database {} with (force)", self.database(side)));
        }
    }

    fn spec_name(&self) -> String {
        format!("{}.toml", self.name)
    }

    fn spec(&self, cluster: &Cluster) -> String {
        let url = |side: Side| cluster.url("postgres", &self.database(side));
        format!(
            "version = 1\nname = \"bench\"\n[source]\nurl = \"{}\"\n[target]\nurl = \"{}\"\n[[mapping]]\n\
             [mapping.source]\ntable = \"public.t\"\n[mapping.target]\ntable = \"public.t\"\n",
            url(Side::Source),
            url(Side::Target)
        )
    }

    pub(crate) fn time(&self, cluster: &Cluster, program: &Program, runner: Runner) -> Sample {
        match runner {
            Runner::FloorDigest => {
                let sql = self.digest_statement(program);
                timed(self.both(cluster, &sql), &[0])
            }
            Runner::FloorStream => {
                timed(self.both(cluster, "copy t to stdout (format binary)"), &[0])
            }
            Runner::FloorLoad => {
                let rows = cluster.socket().join("rows");
                let name = rows.display();
                let out = format!("copy t to '{name}'");
                cluster.sql(&self.database(Side::Source), &out);
                let sample =
                    timed(vec![self.psql(cluster, "-c", &format!("copy t from '{name}'"))], &[0]);
                cluster.sql(&self.database(Side::Target), "truncate t");
                sample
            }
            Runner::Repair => {
                let out = program.file("repair");
                let _ = std::fs::remove_dir_all(&out);
                let mut repair = program.command("repair", &self.spec_name());
                repair.args(["--settle", "0s"]);
                repair.args(["--authority", "source", "--quiet", "--out"]).arg(&out);
                repair.arg("--from").arg(program.file("report.jsonl"));
                timed(vec![repair], &[0])
            }
            Runner::Psql => {
                let script = program.file("repair/001-t-insert.sql");
                let psql = self.psql(cluster, "-f", &script.display().to_string());
                let sample = timed(vec![psql], &[0]);
                cluster.sql(&self.database(Side::Target), "truncate t");
                sample
            }
            Runner::Apply => {
                let mut apply = program.command("apply", &self.spec_name());
                apply.arg(program.file("repair")).args(["--execute", "--quiet"]);
                let sample = timed(vec![apply], &[0]);
                cluster.sql(&self.database(Side::Target), "truncate t");
                sample
            }
            Runner::Digest => self.compare(program, &["--strategy", "digest"]),
            Runner::Stream => self.compare(program, &["--strategy", "stream"]),
            Runner::Expand => self.compare(program, &["--expand", "--max-findings", "10000000"]),
        }
    }

    /// Returns a call of psql with the target.
    fn psql(&self, cluster: &Cluster, flag: &str, what: &str) -> Command {
        let mut psql = Command::new(crate::support::cluster::binaries().join("psql"));
        psql.args(["-X", "-q", "-h"])
            .arg(cluster.socket())
            .args(["-p", &cluster.port.to_string(), "-U", "postgres", flag, what, "-d"])
            .arg(self.database(Side::Target));
        psql
    }

    fn both(&self, cluster: &Cluster, sql: &str) -> Vec<Command> {
        let psql = |side: Side| {
            let mut psql = Command::new(crate::support::cluster::binaries().join("psql"));
            psql.args(["-X", "-q", "-h"])
                .arg(cluster.socket())
                .args(["-p", &cluster.port.to_string(), "-U", "postgres", "-c", sql])
                .arg(self.database(side))
                .env("PGOPTIONS", "-c max_parallel_workers_per_gather=0");
            psql
        };
        Side::BOTH.into_iter().map(psql).collect()
    }

    /// Returns the statement with which a comparison digests the whole table.
    #[tokio::main(flavor = "current_thread")]
    async fn digest_statement(&self, program: &Program) -> String {
        let file = program.file(&self.spec_name());
        let text = std::fs::read_to_string(&file).expect("the spec");
        let text = spec::SpecText { path: file, text };
        let spec = spec::read(text, &Default::default(), &|_| None).expect("a sound spec");
        let options = Options::of(&spec.compare);
        let prepared = prepare(spec, &options).await.expect("a plan");
        let everything = row::Region::whole(row::KeyRange::everything());
        sql::digest(&prepared.plans[0], Side::Source, &everything).text
    }

    /// Returns a comparison with one connection a side, about to start.
    pub(crate) fn comparison(&self, program: &Program) -> Command {
        let mut compare = program.command("compare", &self.spec_name());
        compare.args(["--jobs", "1", "--settle", "0s", "--quiet", "--ledger", "off"]);
        compare
    }

    fn compare(&self, program: &Program, flags: &[&str]) -> Sample {
        let report = program.file("report.jsonl");
        let mut compare = program.command("compare", &self.spec_name());
        compare.args(["--settle", "0s", "--quiet", "--report"]).arg(&report).args(flags);
        let clean = self.findings == Some(0);
        let sample = timed(vec![compare], &[i32::from(!clean)]);
        if let Some(findings) = self.findings {
            assert_eq!(count_findings(&report), findings, "{} {flags:?}", self.name);
        }
        sample
    }
}

fn count_findings(report: &Path) -> usize {
    let text = std::fs::read_to_string(report).expect("the report");
    text.lines().filter(|line| line.starts_with("{\"type\":\"finding\"")).count()
}
