//! What clocks say of when a run was, and how old that makes it.
//!
//! Any of the three clocks may have been wrong then or be wrong now, so an age is the larger of what both
//! servers' clocks say. The clock of the machine counts only where a run noted no other. A moment that
//! lies in the future proves that a clock was wrong, and then nothing is known of how old the run is.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::schema::{BySide, Side};

/// How far clocks may disagree.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// What clocks showed at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// That of the machine that the program ran on.
    pub machine: Timestamp,
    /// Those of the servers, as far as they could be asked.
    pub servers: BySide<Option<Timestamp>>,
}

/// One of the clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClockName {
    Machine,
    Server(Side),
}

impl fmt::Display for ClockName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClockName::Machine => f.write_str("the clock of the machine that it ran on"),
            ClockName::Server(side) => write!(f, "the clock of the {side}"),
        }
    }
}

impl Clocks {
    /// Reads what a run noted. A server's clock that is no moment was not noted.
    pub fn noted(machine: Timestamp, servers: &BySide<Option<String>>) -> Clocks {
        let read = |noted: &Option<String>| noted.as_ref().and_then(|noted| noted.parse().ok());
        Clocks { machine, servers: servers.as_ref().map(read) }
    }

    /// Returns how long ago this was noted, which is negative for what lies in the future.
    pub fn since(&self, noted: &Clocks) -> SignedDuration {
        let of_servers = Side::BOTH.into_iter().filter_map(|side| self.since_by(side, noted)).max();
        of_servers.unwrap_or_else(|| self.machine.duration_since(noted.machine))
    }

    /// Returns the clock by which this lies in the future for longer than clocks may disagree, and for
    /// how long: the one by which it is the longest.
    pub(super) fn until(&self, noted: &Clocks) -> Option<(ClockName, SignedDuration)> {
        let machine = (ClockName::Machine, noted.machine.duration_since(self.machine));
        let server = |side| Some((ClockName::Server(side), -self.since_by(side, noted)?));
        let all = [Some(machine)].into_iter().chain(Side::BOTH.map(server)).flatten();
        all.max_by_key(|(_, ahead)| *ahead).filter(|(_, ahead)| *ahead > TOLERANCE)
    }

    fn since_by(&self, side: Side, noted: &Clocks) -> Option<SignedDuration> {
        let (now, then) = (self.servers[side]?, noted.servers[side]?);
        Some(now.duration_since(then))
    }
}
