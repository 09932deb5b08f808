//! How long planning takes for a spec of many mappings, one table each, and how much memory.

use std::fmt::Write as _;
use std::process::Command;

use pgreconcile::schema::Side;

use crate::support::Cluster;
use crate::{Sample, median, timed};

/// What was measured of one number of mappings.
pub(crate) struct Planning {
    pub(crate) mappings: usize,
    pub(crate) samples: Vec<Sample>,
}

impl Planning {
    pub(crate) fn seconds(&self) -> f64 {
        median(&self.samples)
    }

    pub(crate) fn peak_kib(&self) -> u64 {
        self.samples.iter().map(|sample| sample.peak_kib).max().unwrap_or(0)
    }
}

/// Times `check` of 1,000 and of 10,000 mappings.
pub(crate) fn measure(cluster: &Cluster, scale: f64, rounds: usize) -> Vec<Planning> {
    let sizes = [1_000, 10_000].map(|mappings| ((f64::from(mappings) * scale) as usize).max(10));
    fill(cluster, sizes[1]);
    let plannings = sizes.map(|mappings| {
        let spec = cluster.socket().join("many.toml");
        std::fs::write(&spec, text(cluster, mappings)).expect("the spec");
        let check = || {
            let mut program = Command::new(env!("CARGO_BIN_EXE_pgreconcile"));
            program.arg("check").arg(&spec).arg("--quiet");
            timed(vec![program], &[0])
        };
        // One round warms up.
        check();
        Planning { mappings, samples: (0..rounds).map(|_| check()).collect() }
    });
    for side in Side::BOTH {
        cluster.sql("postgres", &format!("drop database {} with (force)", database(side)));
    }
    plannings.into()
}

fn database(side: Side) -> String {
    format!("many_{side}")
}

fn fill(cluster: &Cluster, tables: usize) {
    for side in Side::BOTH {
        cluster.sql("postgres", &format!("create database {}", database(side)));
        // A transaction that makes all of them would need more locks than a server has.
        for first in (0..tables).step_by(500) {
            let last = tables.min(first + 500) - 1;
            let sql = format!(
                "do $$ begin for n in {first}..{last} loop execute format(
                 'create table t%s (id int primary key, name text not null, state varchar(20),
                  amount numeric(12, 2), weight float8, tags text[], doc jsonb,
                  created_at timestamptz not null, updated_at timestamptz, flag bool)', n);
                 end loop; end $$"
            );
            cluster.sql(&database(side), &sql);
        }
    }
}

fn text(cluster: &Cluster, mappings: usize) -> String {
    let mut text = "version = 1\nname = \"many\"\n".to_owned();
    for side in Side::BOTH {
        let url = cluster.url("postgres", &database(side));
        let _ = write!(text, "[{side}]\nurl = \"{url}\"\n");
    }
    for n in 0..mappings {
        let table = format!("table = \"public.t{n}\"\n");
        let _ = write!(text, "[[mapping]]\n[mapping.source]\n{table}[mapping.target]\n{table}");
    }
    text
}
