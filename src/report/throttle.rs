//! How a run was throttled, and how long it held a snapshot, as lines of the summary.

use std::time::Duration;

use crate::finding::SummaryRecord;
use crate::text::{escape_to_one_line, format_duration};

/// A snapshot that is older than this keeps VACUUM from cleaning up a busy table; it is worth a
/// line.
const OLD_SNAPSHOT: Duration = Duration::from_secs(5);

/// Returns the lines, if there is anything to report.
pub(super) fn throttle_lines(summary: &SummaryRecord) -> Vec<String> {
    let mut lines = Vec::new();
    let time = |millis: u64| format_duration(Duration::from_millis(millis));
    if let Some(paced) = &summary.paced {
        let parts = [
            ("waited", paced.waited_ms),
            ("went slower for", paced.slowed_ms),
            ("rested for others for", paced.rested_ms),
        ];
        let parts = parts.iter().filter(|(_, millis)| *millis > 0);
        let parts: Vec<String> =
            parts.map(|(action, millis)| format!("{action} {}", time(*millis))).collect();
        let reasons: Vec<String> =
            paced.reasons.iter().map(|reason| escape_to_one_line(reason)).collect();
        let reasons =
            if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join("; ")) };
        if !parts.is_empty() {
            lines.push(format!("pace: {}{reasons}", parts.join(", ")));
        }
    }
    if let Some(longest) = summary.longest_transaction_ms
        && Duration::from_millis(longest) > OLD_SNAPSHOT
    {
        lines.push(format!("the longest transaction was open for {}", time(longest)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{ThrottleRecord, Verdict};

    #[test]
    fn only_what_happened_is_reported() {
        let mut summary = SummaryRecord::new(Verdict::Clean, 1);
        summary.longest_transaction_ms = Some(5_000);
        assert_eq!(throttle_lines(&summary), Vec::<String>::new());
        summary.paced =
            Some(ThrottleRecord { replica_lag_ms: Some(3), ..ThrottleRecord::default() });
        assert_eq!(throttle_lines(&summary), Vec::<String>::new());
        summary.longest_transaction_ms = Some(5_001);
        let reasons = vec!["replay lags".to_owned(), "9 sessions".to_owned()];
        summary.paced = Some(ThrottleRecord {
            waited_ms: 61_000,
            rested_ms: 500,
            reasons,
            ..ThrottleRecord::default()
        });
        assert_eq!(
            throttle_lines(&summary),
            [
                "pace: waited 1m01s, rested for others for 0.5s: replay lags; 9 sessions",
                "the longest transaction was open for 5.0s"
            ]
        );
    }
}
