//! The findings of an earlier run, as input of a repair.
//!
//! Only names, keys and ranges are used. Every value is read again, so findings without values, or
//! with redacted ones, are sufficient. What the run did not compare cannot be repaired: the manifest
//! and the header of each script list it.

use std::collections::{BTreeMap, BTreeSet};

use super::change::Operation;
use crate::event::Event;
use crate::finding::{Disposition, DivergenceKind, Finding, FindingPlace, NamedValues};
use crate::schema::Side;

/// The rows of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RepairPlace {
    /// The row with this key.
    Key(NamedValues<String>),
    /// The rows after the first key, up to and including the second; `None` is an open end.
    Range(Option<NamedValues<String>>, Option<NamedValues<String>>),
}

/// A finding that is to be repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepairItem {
    /// The kind of difference.
    pub kind: DivergenceKind,
    /// The rows.
    pub place: RepairPlace,
    /// The group of the rows, if the mapping has groups.
    pub group: Option<Option<String>>,
    /// Whether the range also holds rows of other findings.
    pub partial: bool,
    /// The number of rows that differed.
    pub rows: u64,
}

/// The findings of an earlier run that a repair uses.
#[derive(Debug, Default)]
pub struct RepairFindings {
    /// The run's id.
    pub run: String,
    /// The findings to repair, by mapping.
    pub wanted: BTreeMap<String, Vec<RepairItem>>,
    /// The number of rows that are not repaired, by mapping and reason.
    pub left_out: BTreeMap<(String, &'static str), u64>,
    /// Mappings that the run did not compare completely, with the reason.
    unseen: Vec<(String, String)>,
    compared: BTreeSet<String>,
}

impl RepairItem {
    /// Returns the operation that repairs it if `authority` is the source of truth; `None` if no
    /// operation does.
    pub fn operation(&self, authority: Side) -> Option<Operation> {
        match self.kind {
            DivergenceKind::Mismatch => Some(Operation::Update),
            kind if kind == DivergenceKind::only_in(authority) => Some(Operation::Insert),
            DivergenceKind::OnlyInSource | DivergenceKind::OnlyInTarget => Some(Operation::Delete),
            DivergenceKind::DuplicateKey | DivergenceKind::NullKey => None,
        }
    }
}

impl RepairFindings {
    /// Returns whether the keys of some rows are not known, only their range.
    pub fn has_ranges(&self) -> bool {
        let mut wanted = self.wanted.values().flatten();
        wanted.any(|wanted| matches!(wanted.place, RepairPlace::Range(..)))
    }

    /// Adds an event of the run.
    pub fn add_event(&mut self, event: Event) {
        match event {
            Event::RunStarted(run) => self.run = run.run,
            Event::Finding { finding, .. } => self.add_finding(finding),
            Event::MappingFinished { record, .. } => {
                let unseen = match record.reason {
                    Some(reason) => Some(format!("it is not complete: {reason}")),
                    None if !record.complete => Some("it is not complete".to_owned()),
                    // The run took a sample, or checked the findings of a run before it.
                    None if record.coverage < 1.0 => {
                        let share = (record.coverage * 1e4).floor() / 1e2;
                        Some(format!("the run compared {share}% of its rows"))
                    }
                    None => None,
                };
                self.unseen.extend(unseen.map(|why| (record.mapping.clone(), why)));
                self.compared.insert(record.mapping);
            }
            _ => {}
        }
    }

    /// Returns those of the given mappings that the run did not compare completely, each with the
    /// reason.
    pub fn unseen<'m>(&self, mappings: impl Iterator<Item = &'m str>) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        for mapping in mappings {
            let known = self.unseen.iter().filter(|(name, _)| name == mapping);
            lines.extend(known.cloned());
            if !self.compared.contains(mapping) {
                lines.push((mapping.to_owned(), "the run did not compare it".to_owned()));
            }
        }
        lines
    }

    fn add_finding(&mut self, finding: Finding) {
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
            FindingPlace::Key(key) => RepairPlace::Key(key),
            FindingPlace::Range(range, _) => RepairPlace::Range(range.after, range.through),
        };
        let Finding { mapping, kind, group, range_rows, .. } = finding;
        let wanted = RepairItem { kind, place, group, partial: range_rows.is_some(), rows };
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
    fn only_confirmed_findings_are_repaired() {
        let mut findings = RepairFindings::default();
        findings.add_event(finding(r#""disposition":"confirmed","key":{"id":"4"}"#));
        findings.add_event(finding(r#""disposition":"accepted","key":{"id":"5"}"#));
        findings.add_event(finding(r#""disposition":"unsettled","key":{"id":"6"}"#));
        findings.add_event(finding(r#""disposition":"confirmed","side":"source","rows":3"#));
        findings.add_event(finding(
            r#""disposition":"confirmed","range":{"after":null,"through":{"id":"9"}},"rows":7,"range_rows":9,"group":null"#,
        ));
        let key = |text: &str| NamedValues(vec![("id".to_owned(), text.to_owned())]);
        let wanted = &findings.wanted["m"];
        assert_eq!(wanted.len(), 2);
        assert_eq!(wanted[0].place, RepairPlace::Key(key("4")));
        assert_eq!(wanted[1].place, RepairPlace::Range(None, Some(key("9"))));
        assert_eq!((wanted[1].partial, &wanted[1].group), (true, &Some(None)));
        assert_eq!(wanted[1].rows, 7);
        let left: Vec<_> = findings.left_out.iter().map(|((_, why), rows)| (*why, *rows)).collect();
        assert_eq!(
            left,
            [("accepted", 1), ("that kept changing", 1), ("with a NULL in the key", 3)]
        );
    }

    #[test]
    fn mappings_that_are_not_complete_have_a_reason() {
        let mut findings = RepairFindings::default();
        let finished = |name: &str, complete: bool, coverage: f64, reason: Option<&str>| {
            let mut record = MappingRecord::new(name, "digest");
            (record.complete, record.coverage) = (complete, coverage);
            record.reason = reason.map(str::to_owned);
            Event::MappingFinished { mapping: 0, record: Box::new(record) }
        };
        findings.add_event(finished("m", false, 1.0, Some("too many")));
        findings.add_event(finished("part", true, 0.0125, None));
        findings.add_event(finished("whole", true, 1.0, None));
        let unseen = findings.unseen(["m", "whole", "part", "other"].into_iter());
        let reasons: Vec<_> =
            unseen.iter().map(|(name, why)| (name.as_str(), why.as_str())).collect();
        assert_eq!(
            reasons,
            [
                ("m", "it is not complete: too many"),
                ("part", "the run compared 1.25% of its rows"),
                ("other", "the run did not compare it")
            ]
        );
    }
}
