//! The identity of a difference from run to run, and a hash of its values.

use crate::finding::{Finding, FindingPlace};
use crate::row::{Redactor, checksum};

/// Returns the identity of a difference: the same in every run of one scope, whatever its values and
/// its disposition. It is made of mapping, kind and place. Several findings may be about one range, so
/// there the group and the accept rule belong to it.
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
    // Half of a BLAKE3 is enough to exclude collisions.
    let half = seal.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
    half.unwrap_or_default().to_be_bytes()
}

/// Returns a keyed hash of what a finding says about its rows. It must reveal nothing about values that
/// were left out.
pub(super) fn image(redactor: &Redactor, finding: &Finding) -> String {
    let columns = serde_json::to_string(&finding.columns).unwrap_or_default();
    redactor.redact(format!("{} {columns}", finding.rows()).as_bytes())
}
