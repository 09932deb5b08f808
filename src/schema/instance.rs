//! Identifies a running server, so that a file copy of it is detected, as far as a role that may only read
//! can do that.
//!
//! A copy of a server's files has the identifier, the timeline, the databases and the tables of the
//! original. It lacks what the original wrote to its WAL later. A primary keeps flushed WAL through a crash,
//! so on one timeline the end of its WAL never goes back. A primary whose WAL ends before a recorded
//! position is therefore a copy, or was restored to an earlier time. One whose WAL ends after it may be a
//! copy that was written to; it is known to be the same only if it was not started since. After a failover,
//! and on a standby, the end of the WAL has no meaning here.

use serde::{Deserialize, Serialize};

/// A running server at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// When it was started, as text in UTC.
    pub started: String,
    /// The end of a primary's WAL, if the role may read it.
    pub wal: Option<WalEnd>,
}

/// Up to where a primary has flushed its WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalEnd {
    /// Its timeline.
    pub timeline: u32,
    /// The position, in bytes.
    pub flushed: u64,
}

impl Instance {
    /// Returns why `later`, which was read after this one, is not the same server, as a clause; `None` if it
    /// is, or if that is unknown.
    pub fn copied(&self, later: &Instance) -> Option<String> {
        let (before, now) = (self.wal?, later.wal?);
        let back = before.timeline == now.timeline && now.flushed < before.flushed;
        (back && self.was_restarted(later)).then(|| {
            format!(
                "it is a file copy of the server, or was put back to an earlier time: its WAL ends at {} and \
                 did at {}",
                now.text(),
                before.text()
            )
        })
    }

    /// Returns whether `later` was started since: by a restart or a failover, or because it is a copy.
    pub fn was_restarted(&self, later: &Instance) -> bool {
        self.started != later.started
    }
}

impl WalEnd {
    /// Returns the position as PostgreSQL prints it: `16/B374D848`.
    pub fn text(self) -> String {
        format!("{:X}/{:X}", self.flushed >> 32, self.flushed & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(started: &str, timeline: u32, flushed: u64) -> Instance {
        Instance { started: started.to_owned(), wal: Some(WalEnd { timeline, flushed }) }
    }

    #[test]
    fn a_server_whose_wal_goes_back_is_a_copy() {
        let noted = instance("1", 1, 0x16_b374_d848);
        let why = noted.copied(&instance("2", 1, 0x16_0000_0060)).unwrap();
        assert!(why.ends_with("its WAL ends at 16/60 and did at 16/B374D848"), "{why}");
    }

    #[test]
    fn a_restart_a_failover_and_a_standby_are_no_copies() {
        let noted = instance("1", 1, 100);
        assert_eq!(noted.copied(&instance("2", 1, 100)), None, "restarted");
        assert_eq!(noted.copied(&instance("2", 2, 50)), None, "failed over");
        assert_eq!(noted.copied(&Instance { wal: None, ..instance("2", 1, 0) }), None, "a standby");
        // Two queries of one server may be executed in another order than they were sent.
        assert_eq!(noted.copied(&instance("1", 1, 99)), None);
    }
}
