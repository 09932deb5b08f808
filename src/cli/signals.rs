//! Wishes to stop: the first signal lets the run finish what is in hand, the second stops it at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::run::Stop;

/// Listens for SIGINT, SIGTERM and SIGHUP.
pub(super) fn listen() -> (watch::Sender<Stop>, watch::Receiver<Stop>) {
    let (sender, receiver) = watch::channel(Stop::No);
    let wish = sender.clone();
    tokio::spawn(async move {
        let streams =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = streams else { return };
        loop {
            let heard = tokio::select! {
                heard = interrupt.recv() => heard,
                heard = terminate.recv() => heard,
                heard = hangup.recv() => heard,
            };
            if heard.is_none() {
                return;
            }
            wish.send_modify(|stop| {
                *stop = if *stop == Stop::No { Stop::Soon } else { Stop::Now };
            });
        }
    });
    (sender, receiver)
}
