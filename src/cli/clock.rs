//! Warns if the clock of this machine is behind the newest run of the ledger. No decision depends
//! on that clock alone, but jobs start by it, and people read the times in reports.

use jiff::{SignedDuration, Timestamp, Unit};

use super::ui::Ui;
use crate::finding::format_timestamp;
use crate::ledger::Store;

/// How far clocks of machines may disagree.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// Warns if this machine's clock is more than a minute behind the newest run of a spec.
pub(super) async fn warn_if_behind(store: &Store, spec: &str, ui: &Ui) {
    // The warning about an unreadable ledger has been shown.
    let Ok(Some((run, noted))) = store.find_newest_run(spec).await else { return };
    if let Some(message) = behind_warning(&run, noted, Timestamp::now()) {
        let hint = "Set the clock right if it is wrong. If it was wrong then, gate stays closed until \
                    newer runs have taken the place of that one.";
        ui.warning(&message, Some(hint));
    }
}

/// Returns the warning, if this machine's clock is behind.
fn behind_warning(run: &str, noted: Timestamp, now: Timestamp) -> Option<String> {
    let by = noted.duration_since(now);
    let shown = by.round(Unit::Second).unwrap_or(by);
    let (noted, now) = (format_timestamp(noted), format_timestamp(now));
    (by > TOLERANCE).then(|| {
        format!(
            "the clock of this machine has gone back by {shown:#} since the newest run, or differs from \
             that of another machine: it shows {now}, and run {run} recorded {noted}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_behind_gets_a_warning() {
        let noted: Timestamp = "2026-11-29T06:00:00Z".parse().unwrap();
        assert_eq!(behind_warning("A", noted, noted + SignedDuration::from_hours(900)), None);
        assert_eq!(behind_warning("A", noted, noted - SignedDuration::from_secs(60)), None);
        assert_eq!(
            behind_warning("A", noted, noted - SignedDuration::from_mins(150)).unwrap(),
            "the clock of this machine has gone back by 2h 30m since the newest run, or differs from \
             that of another machine: it shows 2026-11-29T03:30:00Z, and run A recorded \
             2026-11-29T06:00:00Z"
        );
    }
}
