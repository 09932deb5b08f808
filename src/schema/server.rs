//! One server, as it describes itself before a comparison.

use super::instance::Instance;

/// The result of the self-test: whether the server's own hashes can be compared in the place of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestTrust {
    /// They pass. Holds the hashes of the test vectors, which must be equal to the other side's.
    Probe(String),
    /// They would miss a difference, or show one where there is none: which, as a clause.
    Blind(String),
    /// The server cannot compute them: the reason, as a clause.
    Refused(String),
}

/// One server, as one connection sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`, for example 150018.
    pub version: u32,
    /// The database connected to.
    pub database: String,
    /// The role in effect.
    pub role: String,
    /// Whether that role can do more than read: a superuser, or one that may run programs or write files on
    /// the server.
    pub overprivileged: bool,
    /// The database's encoding, for example `UTF8`.
    pub encoding: String,
    /// Whether the server is a standby.
    pub standby: bool,
    /// The identifier of the cluster, if the role may read it: two sides with the same identifier, database
    /// and table would compare a table with itself.
    pub system_identifier: Option<String>,
    /// Identifies the running server, so that a file copy of it is detected.
    pub instance: Instance,
    /// Whether the role may see other sessions and standbys, as `pg_monitor` may.
    pub monitors: bool,
    /// The result of the self-test of its digests.
    pub digests: DigestTrust,
}

impl Server {
    /// Returns the version as text: `15.18`.
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version / 10000, self.version % 10000)
    }
}
