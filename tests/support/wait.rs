//! Waiting for another process, without using the processor.

use std::time::{Duration, Instant};

/// The timeout after which a wait fails, however busy the machine is.
const LONGEST: Duration = Duration::from_secs(120);

/// Waits until a condition holds. Fails with `what` if it never does.
#[track_caller]
pub fn until(what: &str, holds: impl FnMut() -> bool) {
    within(LONGEST, what, holds);
}

/// Waits until a condition holds. Fails with `what` if it does not in this time.
#[track_caller]
pub fn within(time: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while !holds() {
        assert!(Instant::now() < end, "never happened in {time:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
