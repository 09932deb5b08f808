//! Which strategy, and why.

use crate::schema::{BySide, DigestTrust, Server, Side};
use crate::spec::StrategyChoice;

/// How a mapping's rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The servers hash their rows where they lie and return count and sum of a range.
    Digest,
    /// The rows of both sides come here and are compared here.
    Stream,
}

impl Strategy {
    /// The word in every output.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Digest => "digest",
            Strategy::Stream => "stream",
        }
    }
}

/// Chooses the strategy of a mapping; `tolerant` is a pair with a tolerance, if there is one. Within
/// it every row may differ, and a digest would only lead down to every row.
///
/// # Errors
/// Why `digest`, asked for by name, cannot be had; and why digests are blind, unless `stream` is asked
/// for: a server that hashes, but not as it should, is no server that this tool knows.
pub(super) fn choose(
    choice: StrategyChoice,
    servers: BySide<&Server>,
    tolerant: Option<&str>,
) -> Result<(Strategy, String), String> {
    let blind = servers.iter().find_map(|(side, server)| match &server.digests {
        DigestTrust::Blind(what) => Some(format!("the {side} cannot be trusted with it: {what}")),
        DigestTrust::Probe(_) | DigestTrust::Refused(_) => None,
    });
    if let Some(why) = blind.filter(|_| choice != StrategyChoice::Stream) {
        return Err(why);
    }
    match (choice, distrust(servers)) {
        (StrategyChoice::Stream, _) => Ok((Strategy::Stream, "asked for".into())),
        (StrategyChoice::Digest, None) => Ok((Strategy::Digest, "asked for".into())),
        (StrategyChoice::Digest, Some(why)) => Err(why),
        (StrategyChoice::Auto, None) => Ok(match tolerant {
            Some(pair) => {
                let why = format!("pair \"{pair}\" has a tolerance, which is judged row by row");
                (Strategy::Stream, why)
            }
            None => (Strategy::Digest, "both servers hash every type alike".into()),
        }),
        (StrategyChoice::Auto, Some(why)) => Ok((Strategy::Stream, why)),
    }
}

/// Why the servers' hashes cannot be held against each other.
fn distrust(servers: BySide<&Server>) -> Option<String> {
    for (side, server) in servers.iter() {
        if let DigestTrust::Refused(why) = &server.digests {
            return Some(format!("the {side} cannot digest: {why}"));
        }
    }
    let [source, target] = Side::BOTH.map(|side| servers[side]);
    if source.encoding != target.encoding {
        // Hashes are taken of the bytes as stored.
        let (a, b) = (&source.encoding, &target.encoding);
        return Some(format!("the databases' encodings differ ({a} and {b})"));
    }
    (source.digests != target.digests).then(|| "the servers hash constant rows differently".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(digests: DigestTrust, encoding: &str) -> Server {
        Server {
            version: 150_018,
            database: "d".into(),
            role: "r".into(),
            overprivileged: false,
            encoding: encoding.into(),
            standby: false,
            system_identifier: None,
            instance: crate::schema::Instance { started: String::new(), wal: None },
            monitors: false,
            digests,
        }
    }

    fn auto(source: Server, target: Server) -> (Strategy, String) {
        choose(StrategyChoice::Auto, BySide { source: &source, target: &target }, None).unwrap()
    }

    #[test]
    fn digest_is_chosen_only_where_both_servers_hash_alike() {
        let good = || server(DigestTrust::Probe("1".into()), "UTF8");
        assert_eq!(auto(good(), good()).0, Strategy::Digest);
        let other = server(DigestTrust::Probe("2".into()), "UTF8");
        assert_eq!(auto(good(), other).0, Strategy::Stream);
        let latin = server(DigestTrust::Probe("1".into()), "LATIN1");
        assert!(auto(good(), latin).1.contains("LATIN1"));
        let blind = server(DigestTrust::Blind("its row hash does not see a sign".into()), "UTF8");
        let servers = BySide { source: &good(), target: &blind };
        assert!(choose(StrategyChoice::Auto, servers, None).unwrap_err().contains("a sign"));
        assert_eq!(choose(StrategyChoice::Stream, servers, None).unwrap().0, Strategy::Stream);
        let old = server(DigestTrust::Refused("it is older than 14".into()), "UTF8");
        assert!(auto(good(), old.clone()).1.contains("older than 14"));
        let servers = BySide { source: &good(), target: &old };
        assert!(choose(StrategyChoice::Digest, servers, None).is_err());
    }

    #[test]
    fn a_tolerance_is_streamed_unless_digests_are_asked_for() {
        let good = server(DigestTrust::Probe("1".into()), "UTF8");
        let servers = BySide { source: &good, target: &good };
        let (strategy, why) = choose(StrategyChoice::Auto, servers, Some("price")).unwrap();
        assert_eq!(strategy, Strategy::Stream);
        assert!(why.contains("\"price\" has a tolerance"));
        let asked = choose(StrategyChoice::Digest, servers, Some("price")).unwrap();
        assert_eq!(asked.0, Strategy::Digest);
    }
}
