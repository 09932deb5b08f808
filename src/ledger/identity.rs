//! Which difference a finding is, from run to run, and whether it still has the same values.

use crate::finding::{Finding, FindingPlace};
use crate::row::{Redactor, checksum};

/// The same in every run of one scope for the same difference, whatever its values and whatever was
/// ruled: mapping, kind and place. Several findings may speak of one range, so there the group and
/// the rule belong to it.
pub(super) fn identity(scope: &str, finding: &Finding) -> [u8; 16] {
    let json = |value: serde_json::Result<String>| value.unwrap_or_default();
    let (place, side) = match &finding.place {
        FindingPlace::Key(key) => (json(serde_json::to_string(key)), ""),
        FindingPlace::Duplicate(side, _, key) => (json(serde_json::to_string(key)), side.name()),
        FindingPlace::Range(range, _) => (json(serde_json::to_string(range)), ""),
        FindingPlace::NullKey(side, _) => (String::new(), side.name()),
    };
    let several = matches!(finding.place, FindingPlace::Range(..) | FindingPlace::NullKey(..));
    let group = json(serde_json::to_string(&finding.group));
    let reason = finding.accept_reason.as_deref().unwrap_or_default();
    let (group, reason) = if several { (group.as_str(), reason) } else { ("", "") };
    let parts = [scope, &finding.mapping, finding.kind.name(), side, &place, group, reason];
    let seal = checksum(&parts.map(str::as_bytes));
    // Half of a blake3 is far from any collision.
    let half = seal.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
    half.unwrap_or_default().to_be_bytes()
}

/// A keyed hash of what a finding says of its rows: of values that were left out it must tell nobody
/// anything.
pub(super) fn image(veil: &Redactor, finding: &Finding) -> String {
    let columns = serde_json::to_string(&finding.columns).unwrap_or_default();
    veil.redact(format!("{} {columns}", finding.rows()).as_bytes())
}
