//! `[gate]`: the conditions before reads are flipped.

use std::time::Duration;

use super::reader::Reader;

/// `[gate]`, with its defaults filled in: they suit a comparison every six hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// How many of the last whole runs must be complete and clean.
    pub clean_runs: u64,
    /// The time within which every part of every table must have been verified.
    pub window: Duration,
    /// The greatest age of the newest whole run, from its end.
    pub max_age: Duration,
}

impl Default for GateSettings {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        GateSettings { clean_runs: 3, window: hours(24), max_age: hours(7) }
    }
}

/// The number of runs that a ledger always keeps.
const MOST_RUNS: u64 = 100;

pub(super) fn read_gate(document: &mut Reader<'_>) -> GateSettings {
    let mut settings = GateSettings::default();
    let Some(mut table) = document.table("gate", "[gate]") else { return settings };
    if let Some(runs) = table.number_within("clean_runs", 1, MOST_RUNS) {
        settings.clean_runs = runs;
    }
    if let Some(window) = table.time("window") {
        settings.window = window;
    }
    if let Some(age) = table.time("max_age") {
        settings.max_age = age;
    }
    table.finish();
    settings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{Spec, SpecText, read};

    fn spec(gate: &str) -> Result<Spec, Vec<String>> {
        let text = format!(
            "version = 1\nname = \"x\"\nsource.url = \"host=a\"\ntarget.url = \"host=b\"\n{gate}\n\
             [[mapping]]\nsource.table = \"a.b\"\ntarget.table = \"a.b\"\n"
        );
        let text = SpecText { path: "x.toml".into(), text };
        let read = read(text, &BTreeMap::new(), &|_| None);
        read.map_err(|found| found.first.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn a_setting_that_is_left_out_has_its_default() {
        assert_eq!(spec("").unwrap().gate, GateSettings::default());
        let gate = spec("[gate]\nclean_runs = 1\nmax_age = \"30m\"").unwrap().gate;
        let day = Duration::from_secs(86_400);
        assert_eq!((gate.clean_runs, gate.window), (1, day));
        assert_eq!(gate.max_age, Duration::from_secs(1800));
    }

    #[test]
    fn a_setting_that_opens_or_closes_every_gate_is_refused() {
        for (setting, why) in [
            ("clean_runs = 0", "\"clean_runs\" must be at least 1"),
            ("clean_runs = 101", "\"clean_runs\" must be at most 100"),
            ("window = \"0s\"", "\"window\" must be more than zero"),
            ("max_age = \"0s\"", "\"max_age\" must be more than zero"),
            ("min_age = \"1s\"", "unknown key \"min_age\" in [gate]"),
        ] {
            assert_eq!(spec(&format!("[gate]\n{setting}")).unwrap_err(), [why], "{setting}");
        }
    }
}
