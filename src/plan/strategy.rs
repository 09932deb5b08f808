//! The strategy of a mapping, with its reason.

use crate::schema::{BySide, DigestTrust, Server, Side};
use crate::spec::{Diagnostic, Span, StrategyChoice};

/// How a mapping's rows are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// The servers hash their rows and return count and sum of each range.
    Digest,
    /// The client reads the rows of both sides and compares them.
    Stream,
}

impl Strategy {
    /// Returns the word that every output uses.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Digest => "digest",
            Strategy::Stream => "stream",
        }
    }
}

/// Chooses the strategy of a mapping, with the reason. `tolerant` is a pair with a tolerance, if there
/// is one: its values may differ in every row, and digests would then lead to reading every row.
///
/// # Errors
/// If `digest` is requested and cannot be used; and, unless `stream` is requested, if a server's hashes
/// are wrong: this program does not know such a server. `span` is the mapping's.
pub(super) fn choose(
    choice: StrategyChoice,
    servers: BySide<&Server>,
    tolerant: Option<&str>,
    span: &Span,
) -> Result<(Strategy, String), Diagnostic> {
    let refuse = |why: String| {
        let message = format!("the strategy \"digest\" cannot be used: {why}");
        let hint = "Use the strategy \"stream\", which compares the rows in pgreconcile.";
        Err(Diagnostic::error(span, message).with_hint(hint))
    };
    let blind = servers.iter().find_map(|(side, server)| match &server.digests {
        DigestTrust::Blind(what) => Some(format!("the {side} failed the self-test: {what}")),
        DigestTrust::Probe(_) | DigestTrust::Refused(_) => None,
    });
    if let Some(why) = blind.filter(|_| choice != StrategyChoice::Stream) {
        return refuse(why);
    }
    match (choice, find_hash_difference(servers)) {
        (StrategyChoice::Stream, _) => Ok((Strategy::Stream, "requested".into())),
        (StrategyChoice::Digest, None) => Ok((Strategy::Digest, "requested".into())),
        (StrategyChoice::Digest, Some(why)) => refuse(why),
        (StrategyChoice::Auto, None) => Ok(match tolerant {
            Some(pair) => {
                let why = format!("pair \"{pair}\" has a tolerance, which is checked row by row");
                (Strategy::Stream, why)
            }
            None => (Strategy::Digest, "both servers hash every type alike".into()),
        }),
        (StrategyChoice::Auto, Some(why)) => Ok((Strategy::Stream, why)),
    }
}

/// Returns why the servers' hashes cannot be compared, if they cannot.
fn find_hash_difference(servers: BySide<&Server>) -> Option<String> {
    for (side, server) in servers.iter() {
        if let DigestTrust::Refused(why) = &server.digests {
            return Some(format!("the {side} cannot compute digests: {why}"));
        }
    }
    let [source, target] = Side::BOTH.map(|side| servers[side]);
    if source.encoding != target.encoding {
        // Servers hash the bytes as stored.
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

    fn choose_for(
        choice: StrategyChoice,
        servers: BySide<&Server>,
        tolerant: Option<&str>,
    ) -> Result<(Strategy, String), String> {
        choose(choice, servers, tolerant, &(0..0)).map_err(|problem| problem.message)
    }

    fn auto(source: Server, target: Server) -> (Strategy, String) {
        choose_for(StrategyChoice::Auto, BySide { source: &source, target: &target }, None).unwrap()
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
        assert!(choose_for(StrategyChoice::Auto, servers, None).unwrap_err().contains("a sign"));
        assert_eq!(choose_for(StrategyChoice::Stream, servers, None).unwrap().0, Strategy::Stream);
        let old = server(DigestTrust::Refused("it is older than 14".into()), "UTF8");
        assert!(auto(good(), old.clone()).1.contains("older than 14"));
        let servers = BySide { source: &good(), target: &old };
        assert!(choose_for(StrategyChoice::Digest, servers, None).is_err());
    }

    #[test]
    fn a_tolerance_is_streamed_unless_digests_are_asked_for() {
        let good = server(DigestTrust::Probe("1".into()), "UTF8");
        let servers = BySide { source: &good, target: &good };
        let (strategy, why) = choose_for(StrategyChoice::Auto, servers, Some("price")).unwrap();
        assert_eq!(strategy, Strategy::Stream);
        assert!(why.contains("\"price\" has a tolerance"));
        let chosen = choose_for(StrategyChoice::Digest, servers, Some("price")).unwrap();
        assert_eq!(chosen.0, Strategy::Digest);
    }
}
