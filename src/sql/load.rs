//! The load of a server while it is read: busy sessions, and the lag of replay. These run about once a
//! second, so each is one short statement.

use super::statement::Statement;

/// Returns one row: how many sessions of other clients are active, how many are busy, and whether the role
/// may see their states. A session is busy if it is active or was within the last hundredth of a second: a
/// busy application is between two statements most of the time. Where the role may not see states, sessions
/// with an open transaction are counted instead, which every role may see; that includes idle ones, and
/// never takes a hidden state for none. Other runs of this program do not count: each of them throttles
/// itself.
pub fn sessions() -> Statement {
    Statement::of_file(include_str!("statements/sessions.sql"), [])
}

/// Returns one row of a standby: microseconds since the primary committed what was replayed last, bytes
/// that were received and not replayed, and whether it receives more. A standby that has replayed no commit
/// since its start has replayed at least up to its last checkpoint.
pub fn replay_of_standby() -> Statement {
    Statement::of_file(include_str!("statements/replay_of_standby.sql"), [])
}

/// Returns a row for each standby of a primary, or one with NULLs where there is none: how far the primary
/// has written, whether the role may see standbys at all, how far the standby had replayed at its last
/// report, how long ago that was, and the lag that the primary measured, in microseconds. Receivers that
/// archive or decode the WAL replay nothing and are left out.
pub fn replay_by_standbys() -> Statement {
    Statement::of_file(include_str!("statements/replay_by_standbys.sql"), [])
}
