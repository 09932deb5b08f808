//! The throttle: how fast a run may go, decided by what the servers report. Without I/O but for the pause
//! file; `run` queries the servers and holds the run back.

mod limits;
mod pause_file;
mod speed;
mod standby_lag;

pub(crate) use limits::check_limits;
pub(crate) use pause_file::PauseFile;
pub(crate) use speed::{SideLimits, SideLoad, Speed, Throttle};
pub(crate) use standby_lag::WalPositions;
