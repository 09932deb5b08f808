//! The time and memory that planning takes for a spec of many mappings, one table each.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pgreconcile::schema::Side;

use crate::program::{Build, Program, alternated};
use crate::support::Cluster;
use crate::{Sample, timed};

/// What was measured of one number of mappings.
pub(crate) struct Planning {
    pub(crate) mappings: usize,
    pub(crate) samples: Vec<Sample>,
}

/// Times `check` of 1,000 and of 10,000 mappings by each program.
pub(crate) fn measure(
    cluster: &Cluster,
    programs: &[Program],
    scale: f64,
    rounds: usize,
) -> BTreeMap<Build, Vec<Planning>> {
    let sizes = [1_000, 10_000].map(|mappings| ((f64::from(mappings) * scale) as usize).max(10));
    fill(cluster, sizes[1]);
    let mut plannings: BTreeMap<Build, Vec<Planning>> = BTreeMap::new();
    for mappings in sizes {
        for program in programs {
            std::fs::write(program.file(SPEC), text(cluster, mappings)).expect("the spec");
            let planning = Planning { mappings, samples: Vec::new() };
            plannings.entry(program.build).or_default().push(planning);
        }
        // The first round is a warm-up.
        for round in 0..=rounds {
            for program in alternated(programs, round) {
                let mut check = program.command("check", SPEC);
                check.arg("--quiet");
                let sample = timed(vec![check], &[0]);
                let planning = plannings.get_mut(&program.build).and_then(|all| all.last_mut());
                if round > 0 {
                    planning.expect("it was added above").samples.push(sample);
                }
            }
        }
    }
    for side in Side::BOTH {
        cluster.sql("postgres", &format!("drop database {} with (force)", database(side)));
    }
    plannings
}

const SPEC: &str = "many.toml";

fn database(side: Side) -> String {
    format!("many_{side}")
}

fn fill(cluster: &Cluster, tables: usize) {
    for side in Side::BOTH {
        cluster.sql("postgres", &format!("create database {}", database(side)));
        // One transaction that creates all of them would need more locks than a server has.
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
