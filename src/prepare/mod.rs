//! Preparing a run: connects to both sides, reads what has to be known before the first row, and plans
//! every mapping.
//!
//! | file | holds |
//! |---|---|
//! | `preparation` | a spec that can be run, with both servers and all plans |
//! | `facts` | the facts of a server about the mappings |
//! | `options` | the options of a run |
//! | `fingerprint` | what a run compares: a resumed run has to compare the same |
//! | `redaction` | what a run with redacted keys cannot do |
//! | `server_clocks` | the clocks of both servers |
//! | `retry` | what is tried again before the first row |

mod facts;
pub(crate) mod fingerprint;
mod options;
mod preparation;
pub(crate) mod redaction;
mod retry;
mod server_clocks;

pub use fingerprint::{agree, changes, same_servers};
pub use options::{Options, SinceOption, Stop};
pub use preparation::{Prepared, Trouble, prepare};
pub use redaction::{read_from_start, unstorable};
pub(crate) use retry::{SideError, Transient, retry};
pub use server_clocks::clocks;
pub(crate) use server_clocks::{CLOCK_PATIENCE, LAST_CLOCK_PATIENCE, server_clocks};
