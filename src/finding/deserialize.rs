//! Findings read back from a ledger or from a report.
//!
//! A record is written for a finding that a ruling allowed, so reading it back needs no ruling.

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::{
    Disposition, DivergenceKind, Finding, FindingPlace, NamedValues, RangeText, Recurrence,
};
use crate::row::Group;
use crate::schema::{BySide, Side};

/// The fields of a finding's record.
#[derive(Deserialize)]
struct StoredFinding {
    mapping: String,
    kind: DivergenceKind,
    disposition: Disposition,
    key: Option<NamedValues<String>>,
    range: Option<RangeText>,
    side: Option<String>,
    rows: Option<u64>,
    range_rows: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    group: Option<Group>,
    columns: NamedValues<Values>,
    #[serde(default)]
    changed_at: BySide<Option<String>>,
    first_seen: String,
    last_seen: String,
    runs: u64,
    recurrence: Option<Recurrence>,
    accept_reason: Option<String>,
}

/// A column's two values; both are missing if only names were written.
#[derive(Deserialize)]
struct Values {
    #[serde(default, deserialize_with = "present")]
    source: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    target: Option<Option<String>>,
}

/// Keeps null apart from a missing field.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl<'de> Deserialize<'de> for Finding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = StoredFinding::deserialize(deserializer)?;
        let side = match written.side.as_deref() {
            None => None,
            Some("source") => Some(Side::Source),
            Some("target") => Some(Side::Target),
            Some(_) => return Err(D::Error::custom("\"side\" is neither source nor target")),
        };
        let place = match (written.key, written.range, side, written.rows) {
            (Some(key), None, None, None) => FindingPlace::Key(key),
            (Some(key), None, Some(side), Some(rows)) => FindingPlace::Duplicate(side, rows, key),
            (None, Some(range), None, Some(rows)) => FindingPlace::Range(range, rows),
            (None, None, Some(side), Some(rows)) => FindingPlace::NullKey(side, rows),
            _ => return Err(D::Error::custom("a finding without a place")),
        };
        let has_values = |values: &Values| values.source.is_some() || values.target.is_some();
        let keys_only = written.columns.0.iter().any(|(_, values)| !has_values(values));
        let columns = written.columns.0.into_iter().map(|(name, values)| {
            let Values { source, target } = values;
            (name, BySide { source: source.flatten(), target: target.flatten() })
        });
        let StoredFinding { mapping, kind, disposition, .. } = written;
        let mut finding = Finding::from_stored(disposition, mapping, kind, place);
        finding.range_rows = written.range_rows;
        finding.group = written.group;
        finding.accept_reason = written.accept_reason;
        finding.columns = NamedValues(columns.collect());
        finding.changed_at = written.changed_at;
        finding.keys_only = keys_only;
        finding.first_seen = written.first_seen;
        finding.last_seen = written.last_seen;
        finding.runs = written.runs;
        finding.recurrence = written.recurrence;
        Ok(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_that_is_read_back_is_the_same() {
        let head = r#"{"type":"finding","version":1,"mapping":"m","kind":"#;
        let tail = r#""first_seen":"a","last_seen":"b","runs":3"#;
        for middle in [
            r#""mismatch","disposition":"confirmed","key":{"b":"1","a":""},"group":null,"columns":{"v":{"source":null,"target":""}},"#,
            r#""mismatch","disposition":"unsettled","key":{"id":"1"},"columns":{"v":{}},"#,
            r#""only_in_source","disposition":"accepted","range":{"after":null,"through":{"id":"9"}},"rows":7,"range_rows":8,"group":"g","columns":{},"#,
            r#""duplicate_key","disposition":"confirmed","side":"source","rows":2,"key":{"id":"1"},"columns":{},"#,
            r#""null_key","disposition":"confirmed","side":"target","rows":2,"columns":{},"#,
        ] {
            let accepted = middle.contains("accepted");
            let reason = match accepted {
                true => r#","recurrence":"returned","accept_reason":"old""#,
                false => "",
            };
            let text = format!("{head}{middle}{tail}{reason}}}");
            let finding: Finding = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&finding).unwrap(), text);
        }
        let nowhere =
            format!("{head}\"mismatch\",\"disposition\":\"confirmed\",\"columns\":{{}},{tail}}}");
        assert!(serde_json::from_str::<Finding>(&nowhere).is_err());
    }
}
