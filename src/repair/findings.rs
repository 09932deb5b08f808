//! What an earlier run found: which rows somebody wants repaired.
//!
//! Only names, keys and ranges are taken from it, every value is read again; so findings without
//! values, or with redacted ones, serve as well. What the run did not see is kept in mind, since no
//! repair can reach it: it stands in the manifest and in the head of each script.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Act;
use crate::event::Event;
use crate::finding::{Disposition, DivergenceKind, Finding, FindingPlace, NamedValues};
use crate::schema::Side;

/// Where rows are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedPlace {
    /// One key.
    Key(NamedValues<String>),
    /// All keys after one and through another; nothing is an open end.
    Range(Option<NamedValues<String>>, Option<NamedValues<String>>),
}

/// A finding to be repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What was found.
    pub kind: DivergenceKind,
    /// Where.
    pub place: WantedPlace,
    /// The group that the finding speaks of, where there are groups.
    pub group: Option<Option<String>>,
    /// Whether a range holds rows that other findings speak of.
    pub partial: bool,
    /// How many rows were found there.
    pub rows: u64,
}

/// An earlier run's findings, as far as they matter to a repair.
#[derive(Debug, Default)]
pub struct Findings {
    /// The run.
    pub run: String,
    /// What is wanted, by mapping.
    pub wanted: BTreeMap<String, Vec<Wanted>>,
    /// Rows that are not repaired, by mapping and reason.
    pub left_out: BTreeMap<(String, &'static str), u64>,
    /// What the run did not see, by mapping.
    unseen: Vec<(String, String)>,
    compared: BTreeSet<String>,
}

impl Wanted {
    /// What repairs it while a side is right; nothing where no act does.
    pub fn act(&self, authority: Side) -> Option<Act> {
        match self.kind {
            DivergenceKind::Mismatch => Some(Act::Update),
            kind if kind == DivergenceKind::only_in(authority) => Some(Act::Insert),
            DivergenceKind::OnlyInSource | DivergenceKind::OnlyInTarget => Some(Act::Delete),
            DivergenceKind::DuplicateKey | DivergenceKind::NullKey => None,
        }
    }
}

impl Findings {
    /// Whether rows are wanted of which only the range is known.
    pub fn has_ranges(&self) -> bool {
        let mut wanted = self.wanted.values().flatten();
        wanted.any(|wanted| matches!(wanted.place, WantedPlace::Range(..)))
    }

    /// Takes in what a run tells.
    pub fn hear(&mut self, event: Event) {
        match event {
            Event::RunStarted(run) => self.run = run.run,
            Event::Finding { finding, .. } => self.finding(finding),
            Event::MappingFinished { record, .. } => {
                let unseen = match record.reason {
                    Some(reason) => Some(format!("it is not complete: {reason}")),
                    None if !record.complete => Some("it is not complete".to_owned()),
                    // A sample, or a second look at what an earlier run found.
                    None if record.coverage < 1.0 => {
                        let share = (record.coverage * 1e4).floor() / 1e2;
                        Some(format!("the run looked at {share}% of its rows"))
                    }
                    None => None,
                };
                self.unseen.extend(unseen.map(|why| (record.mapping.clone(), why)));
                self.compared.insert(record.mapping);
            }
            _ => {}
        }
    }

    /// What the run did not see of these mappings, a line each.
    pub fn unseen<'m>(&self, mappings: impl Iterator<Item = &'m str>) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for mapping in mappings {
            let known = self.unseen.iter().filter(|(name, _)| name == mapping);
            lines.extend(known.cloned());
            if !self.compared.contains(mapping) {
                lines.push((mapping.to_owned(), "the run did not look at it".to_owned()));
            }
        }
        lines
    }

    fn finding(&mut self, finding: Finding) {
        let mut leave = |why| {
            let rows = finding.rows();
            *self.left_out.entry((finding.mapping.clone(), why)).or_default() += rows;
        };
        match finding.disposition() {
            Disposition::Accepted => return leave("accepted"),
            Disposition::Unsettled => return leave("that kept changing"),
            Disposition::Confirmed => {}
        }
        let rows = finding.rows();
        let place = match finding.place {
            FindingPlace::Duplicate(..) => return leave("of a key that several rows have"),
            FindingPlace::NullKey(..) => return leave("with a NULL in the key"),
            FindingPlace::Key(key) => WantedPlace::Key(key),
            FindingPlace::Range(range, _) => WantedPlace::Range(range.after, range.through),
        };
        let Finding { mapping, kind, group, range_rows, .. } = finding;
        let wanted = Wanted { kind, place, group, partial: range_rows.is_some(), rows };
        self.wanted.entry(mapping).or_default().push(wanted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::MappingRecord;

    fn finding(more: &str) -> Event {
        let text = format!(
            r#"{{"type":"finding","version":1,"mapping":"m","kind":"only_in_source",{more},"columns":{{}},"first_seen":"","last_seen":"","runs":1}}"#
        );
        Event::Finding { mapping: 0, finding: serde_json::from_str(&text).unwrap() }
    }

    #[test]
    fn keys_and_ranges_are_wanted_and_what_is_not_confirmed_is_not() {
        let mut findings = Findings::default();
        findings.hear(finding(r#""disposition":"confirmed","key":{"id":"4"}"#));
        findings.hear(finding(r#""disposition":"accepted","key":{"id":"5"}"#));
        findings.hear(finding(r#""disposition":"unsettled","key":{"id":"6"}"#));
        findings.hear(finding(r#""disposition":"confirmed","side":"source","rows":3"#));
        findings.hear(finding(
            r#""disposition":"confirmed","range":{"after":null,"through":{"id":"9"}},"rows":7,"range_rows":9,"group":null"#,
        ));
        let key = |text: &str| NamedValues(vec![("id".to_owned(), text.to_owned())]);
        let wanted = &findings.wanted["m"];
        assert_eq!(wanted.len(), 2);
        assert_eq!(wanted[0].place, WantedPlace::Key(key("4")));
        assert_eq!(wanted[1].place, WantedPlace::Range(None, Some(key("9"))));
        assert_eq!((wanted[1].partial, &wanted[1].group), (true, &Some(None)));
        assert_eq!(wanted[1].rows, 7);
        let left: Vec<_> = findings.left_out.iter().map(|((_, why), rows)| (*why, *rows)).collect();
        assert_eq!(
            left,
            [("accepted", 1), ("that kept changing", 1), ("with a NULL in the key", 3)]
        );
    }

    #[test]
    fn what_the_run_did_not_see_is_kept_in_mind() {
        let mut findings = Findings::default();
        let told = |name: &str, complete: bool, coverage: f64, reason: Option<&str>| {
            let mut record = MappingRecord::new(name, "digest");
            (record.complete, record.coverage) = (complete, coverage);
            record.reason = reason.map(str::to_owned);
            Event::MappingFinished { mapping: 0, record: Box::new(record) }
        };
        findings.hear(told("m", false, 1.0, Some("too many")));
        findings.hear(told("part", true, 0.0125, None));
        findings.hear(told("whole", true, 1.0, None));
        let unseen = findings.unseen(["m", "whole", "part", "other"].into_iter());
        let told: Vec<_> = unseen.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            told,
            [
                ("m", "it is not complete: too many"),
                ("part", "the run looked at 1.25% of its rows"),
                ("other", "the run did not look at it")
            ]
        );
    }
}
