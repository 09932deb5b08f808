//! What one server says of itself before anything is compared.

use super::instance::Instance;

/// Whether the server's own hashes may stand for rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DigestTrust {
    /// They see every canary; their hashes, to be held against the other side's.
    Probe(String),
    /// They would not see a difference, or make one up: what, as a clause.
    Blind(String),
    /// Why it cannot: the reason, as a clause.
    Refused(String),
}

/// One server, seen through one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `server_version_num`, for example 150018.
    pub version: u32,
    /// The database connected to.
    pub database: String,
    /// The role in effect.
    pub role: String,
    /// Whether that role could do more than read: a superuser or one that may run programs or
    /// touch files of the server.
    pub overprivileged: bool,
    /// The database's encoding, for example `UTF8`.
    pub encoding: String,
    /// Whether the server is a standby.
    pub standby: bool,
    /// Identifies the cluster, where the role may ask: two sides with one identifier, one database
    /// and one table would compare a table with itself.
    pub system_identifier: Option<String>,
    /// Which run of which server it is, for a file copy of it to be told from it.
    pub instance: Instance,
    /// Whether the role sees what other sessions and standbys do, as `pg_monitor` does.
    pub monitors: bool,
    /// Whether its digests can be trusted.
    pub digests: DigestTrust,
}

impl Server {
    /// The version as people write it: `15.18`.
    pub fn version_text(&self) -> String {
        format!("{}.{}", self.version / 10000, self.version % 10000)
    }
}
