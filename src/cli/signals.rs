//! Wishes to stop: the first signal lets the run finish what is in hand, the second stops it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::run::Stop;

/// Passes SIGINT, SIGTERM and SIGHUP on as wishes. It never ends.
pub(super) async fn relay(wishes: &watch::Sender<Stop>) {
    let streams =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = streams else {
        // Without handlers a signal ends the program as it ends any other.
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        wishes.send_modify(|stop| {
            *stop = if *stop == Stop::No { Stop::Soon } else { Stop::Now };
        });
    }
}
