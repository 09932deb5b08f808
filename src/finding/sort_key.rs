//! The order in which findings are shown: by key, numbers as numbers.

use super::{Finding, FindingPlace, NamedValues};

/// What findings are sorted by. A finding without a key comes first.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Vec<SortField>);

/// One field of a key.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum SortField {
    Number(i128),
    Text(String),
}

impl SortKey {
    /// Returns what a finding is sorted by: its key, or the start of its range.
    pub fn of_finding(finding: &Finding) -> SortKey {
        let key = match &finding.place {
            FindingPlace::Key(key) | FindingPlace::Duplicate(_, _, key) => Some(key),
            FindingPlace::Range(range, _) => range.after.as_ref(),
            FindingPlace::NullKey(..) => None,
        };
        key.map(SortKey::of_key).unwrap_or_default()
    }

    /// Returns what a key is sorted by.
    pub fn of_key(key: &NamedValues<String>) -> SortKey {
        let field = |(_, text): &(String, String)| {
            text.parse().map_or_else(|_| SortField::Text(text.clone()), SortField::Number)
        };
        SortKey(key.0.iter().map(field).collect())
    }
}
