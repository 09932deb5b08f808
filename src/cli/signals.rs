//! Signals: the first one lets the run finish the chunks in flight, the second one stops it at
//! once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::run::Stop;

/// Forwards SIGINT, SIGTERM and SIGHUP as requests to stop. It never returns.
pub(super) async fn relay(requests: &watch::Sender<Stop>) {
    let streams =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = streams else {
        // Without handlers a signal ends the program, as usual.
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        requests.send_modify(|stop| {
            *stop = if *stop == Stop::No { Stop::Soon } else { Stop::Now };
        });
    }
}
