//! The age of a run by the clocks of both servers and of the machine.
//!
//! Each of the three clocks may have been wrong then or may be wrong now, so the age is the larger
//! of those by the servers' clocks. The machine's clock counts only if a run recorded no other. A
//! time in the future proves that a clock was wrong: then the age of the run is not known.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::schema::{BySide, Side};

/// How far clocks may disagree.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(1);

/// The clocks at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The clock of the machine that the program ran on.
    pub machine: Timestamp,
    /// The clocks of the servers, as far as they could be read.
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
    /// Parses what a run recorded. A server's clock that cannot be parsed counts as missing.
    pub fn of_record(machine: Timestamp, servers: &BySide<Option<String>>) -> Clocks {
        let parse = |text: &Option<String>| text.as_ref().and_then(|text| text.parse().ok());
        Clocks { machine, servers: servers.as_ref().map(parse) }
    }

    /// Returns how long ago a time was, negative if it is in the future.
    pub fn since(&self, then: &Clocks) -> SignedDuration {
        let of_servers = Side::BOTH.into_iter().filter_map(|side| self.since_by(side, then)).max();
        of_servers.unwrap_or_else(|| self.machine.duration_since(then.machine))
    }

    /// Returns how far a time is in the future, if that is more than clocks may disagree, and by
    /// which clock it is the farthest.
    pub(super) fn until(&self, then: &Clocks) -> Option<(ClockName, SignedDuration)> {
        let machine = (ClockName::Machine, then.machine.duration_since(self.machine));
        let server = |side| Some((ClockName::Server(side), -self.since_by(side, then)?));
        let all = [Some(machine)].into_iter().chain(Side::BOTH.map(server)).flatten();
        all.max_by_key(|(_, ahead)| *ahead).filter(|(_, ahead)| *ahead > TOLERANCE)
    }

    fn since_by(&self, side: Side, then: &Clocks) -> Option<SignedDuration> {
        let (now, then) = (self.servers[side]?, then.servers[side]?);
        Some(now.duration_since(then))
    }
}
