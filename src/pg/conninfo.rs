//! Connection strings: URLs and key=value pairs, as libpq reads them.
//!
//! tokio-postgres reads both, but refuses the keywords that users rely on most (`sslmode=verify-full`,
//! `sslrootcert`, `passfile`, `service`), so they are parsed here and passed to it by setters.

use std::collections::BTreeMap;
use std::fmt;

use crate::spec::did_you_mean;

/// Keywords and their values. `Debug` does not show the values: one may be a password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Conninfo(BTreeMap<&'static str, String>);

/// Why a connection string cannot be used. It holds no text of the string: any part of it may be a
/// password, or the rest of one that an unescaped character has split.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConninfoError {
    /// An unknown keyword: its position in the string, and a hint.
    #[error("connection parameter {0} is unknown{1}")]
    UnknownKeyword(usize, String),
    /// A text in neither form.
    #[error("it is neither a URL nor key=value pairs: {0}")]
    Malformed(&'static str),
    /// A keyword with an invalid value, and what is expected.
    #[error("\"{0}\" {1}")]
    BadValue(&'static str, &'static str),
}

pub(super) const PORTS: &str = "takes a number from 1 to 65535";
pub(super) const ADDRESSES: &str = "takes an IP address";

/// The keywords that have an effect.
const KNOWN: [&str; 21] = [
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "passfile",
    "service",
    "servicefile",
    "connect_timeout",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "channel_binding",
    "target_session_attrs",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
];

/// Keywords of libpq that are accepted and have no effect.
const WITHOUT_EFFECT: [&str; 7] = [
    "application_name",
    "fallback_application_name",
    "client_encoding",
    "gssencmode",
    "krbsrvname",
    "load_balance_hosts",
    "sslsni",
];

/// Whether TLS is used, and what is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// Only if the server insists.
    Allow,
    /// If the server offers it; nothing is verified.
    Prefer,
    /// Always; nothing is verified unless a root certificate is named.
    Require,
    /// Always, and the certificate must come from a trusted authority.
    VerifyCa,
    /// The same, and it must be the host's.
    VerifyFull,
}

impl SslMode {
    /// Parses the value of `sslmode`.
    ///
    /// # Errors
    /// If libpq has no such mode.
    pub fn parse(word: &str) -> Result<SslMode, ConninfoError> {
        Ok(match word {
            "disable" => SslMode::Disable,
            "allow" => SslMode::Allow,
            "prefer" => SslMode::Prefer,
            "require" => SslMode::Require,
            "verify-ca" => SslMode::VerifyCa,
            "verify-full" => SslMode::VerifyFull,
            _ => {
                let words = "takes disable, allow, prefer, require, verify-ca or verify-full";
                return Err(ConninfoError::BadValue("sslmode", words));
            }
        })
    }
}

impl fmt::Debug for Conninfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Conninfo {
    /// Parses a URL or key=value pairs.
    ///
    /// # Errors
    /// If the text is neither, or has an unknown keyword.
    pub fn parse(text: &str) -> Result<Conninfo, ConninfoError> {
        let text = text.trim();
        match text.strip_prefix("postgresql://").or_else(|| text.strip_prefix("postgres://")) {
            Some(rest) => parse_url(rest),
            // A keyword has no colon in it.
            None if text.split(['=', ' ']).next().is_some_and(|word| word.contains(':')) => {
                Err(SCHEME)
            }
            None => parse_pairs(text),
        }
    }

    /// Returns what may be shown of it, as in a URL behind its scheme: role, host, port and database.
    pub fn place(&self) -> String {
        let part = |keyword: &str| self.get(keyword).map(encode).unwrap_or_default();
        let hosts = self.get("host").or(self.get("hostaddr")).unwrap_or_default();
        let ports: Vec<&str> = self.get("port").unwrap_or_default().split(',').collect();
        let host = |(at, host): (usize, &str)| {
            let port = ports.get(at).or(ports.first()).copied().unwrap_or_default();
            let host = match host.parse::<std::net::Ipv6Addr>() {
                Ok(address) => format!("[{address}]"),
                Err(_) => encode(host),
            };
            if port.is_empty() { host } else { format!("{host}:{}", encode(port)) }
        };
        let hosts: Vec<String> = hosts.split(',').enumerate().map(host).collect();
        let (user, database) = (part("user"), part("dbname"));
        let at = if user.is_empty() { "" } else { "@" };
        format!("{user}{at}{}/{database}", hosts.join(","))
    }

    /// Returns the value of a keyword; `None` for an empty one.
    pub fn get(&self, keyword: &str) -> Option<&str> {
        self.0.get(keyword).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Iterates over the keywords that are set.
    pub(super) fn keywords(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Sets a keyword unless it has a value already: an explicit value has priority.
    pub fn fill(&mut self, keyword: &'static str, value: impl FnOnce() -> Option<String>) {
        if self.get(keyword).is_none()
            && let Some(value) = value()
        {
            self.0.insert(keyword, value);
        }
    }

    /// Sets a keyword by its name. `position` is its position among the parameters, for the error.
    ///
    /// # Errors
    /// If the keyword is unknown or cannot be used, or its value is invalid.
    pub fn set(
        &mut self,
        position: usize,
        keyword: &str,
        value: String,
    ) -> Result<(), ConninfoError> {
        let keyword = if keyword == "database" { "dbname" } else { keyword };
        if let Some(known) = KNOWN.iter().find(|known| **known == keyword) {
            // A host is displayed, so it must not be a part of a password.
            let odd =
                |host: &str| !host.starts_with('/') && host.contains(['=', '@', '?', '&', ' ']);
            if keyword == "host" && value.split(',').any(odd) {
                let expected = "takes names, addresses or folders of sockets, between commas";
                return Err(ConninfoError::BadValue("host", expected));
            }
            check_shown(keyword, &value)?;
            self.0.insert(known, value);
            return Ok(());
        }
        if WITHOUT_EFFECT.contains(&keyword) {
            return Ok(());
        }
        if keyword == "options" {
            let why = "cannot be used: it would stay with a pooled connection; put settings into \
                       the role or the database";
            return Err(ConninfoError::BadValue("options", why));
        }
        let near = did_you_mean(keyword, KNOWN);
        let hint = near.map_or(String::new(), |near| format!("; did you mean \"{near}\"?"));
        Err(ConninfoError::UnknownKeyword(position, hint))
    }
}

/// Checks that ports and addresses, which are displayed, are nothing else.
fn check_shown(keyword: &str, value: &str) -> Result<(), ConninfoError> {
    let are = |is_one: fn(&str) -> bool| value.split(',').all(|one| one.is_empty() || is_one(one));
    let is_address = |it: &str| it.parse::<std::net::IpAddr>().is_ok();
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    match keyword {
        "port" if !are(is_port) => Err(ConninfoError::BadValue("port", PORTS)),
        "hostaddr" if !are(is_address) => Err(ConninfoError::BadValue("hostaddr", ADDRESSES)),
        _ => Ok(()),
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A character of the password may have split the URL, as in postgres://user:pass/word@host, so the
/// message repeats none of its parts.
const CUT: ConninfoError = ConninfoError::Malformed(
    "a port is not a number, or the password holds / ? # or an at sign, which are written %2F %3F %23 and %40",
);

const SCHEME: ConninfoError =
    ConninfoError::Malformed("a URL begins with postgres:// or postgresql://");

/// The hint for an unknown parameter, which may be the rest of a password with an unescaped "&".
const CUT_BY_AND: &str = "; in a value & is written %26";

fn parse_url(rest: &str) -> Result<Conninfo, ConninfoError> {
    let mut info = Conninfo::default();
    let (rest, query) =
        rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (authority, path) =
        rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
    let (userinfo, hosts) = match authority.rsplit_once('@') {
        Some((userinfo, hosts)) => (userinfo, hosts),
        None => ("", authority),
    };
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    for (keyword, value) in [("user", user), ("password", password), ("dbname", path)] {
        if !value.is_empty() {
            info.set(0, keyword, decode(value)?)?;
        }
    }
    let mut names = Vec::new();
    let mut ports = Vec::new();
    if path.contains('@') || query.is_some_and(|query| query.contains('@')) {
        return Err(CUT);
    }
    for host in hosts.split(',').filter(|host| !host.is_empty()) {
        let (name, port) = split_port(host)?;
        names.push(decode(name)?);
        ports.push(port.to_owned());
    }
    if names.iter().any(|name| !name.is_empty()) {
        info.set(0, "host", names.join(","))?;
    }
    if ports.iter().any(|port| !port.is_empty()) {
        info.set(0, "port", ports.join(","))?;
    }
    let pairs = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty());
    for (at, pair) in pairs.enumerate() {
        let Some((keyword, value)) = pair.split_once('=') else {
            return Err(ConninfoError::Malformed("a parameter behind \"?\" has no \"=\""));
        };
        info.set(at + 1, &decode(keyword)?, decode(value)?).map_err(|error| match error {
            ConninfoError::UnknownKeyword(at, near) if near.is_empty() => {
                ConninfoError::UnknownKeyword(at, CUT_BY_AND.to_owned())
            }
            error => error,
        })?;
    }
    Ok(info)
}

fn split_port(host: &str) -> Result<(&str, &str), ConninfoError> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, port) =
                rest.split_once(']').ok_or(ConninfoError::Malformed("a \"[\" is never closed"))?;
            (address, port.strip_prefix(':').unwrap_or(port))
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return Err(CUT);
    }
    Ok((name, port))
}

fn decode(text: &str) -> Result<String, ConninfoError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (digit(rest.next()), digit(rest.next())) {
            (Some(high), Some(low)) if high + low > 0 => bytes.push((high * 16 + low) as u8),
            _ => return Err(ConninfoError::Malformed("a \"%\" is not followed by two digits")),
        }
    }
    String::from_utf8(bytes).map_err(|_| ConninfoError::Malformed("it is not UTF-8"))
}

fn parse_pairs(text: &str) -> Result<Conninfo, ConninfoError> {
    let mut info = Conninfo::default();
    let mut rest = text;
    let mut behind_password = false;
    let mut position = 0;
    while !rest.is_empty() {
        let Some((keyword, after)) = rest.split_once('=') else {
            return Err(ConninfoError::Malformed("a keyword has no \"=\""));
        };
        let (value, after) = take_value(after.trim_start())?;
        position += 1;
        info.set(position, keyword.trim(), value).map_err(|error| match error {
            // The unknown word may be the end of the password.
            ConninfoError::UnknownKeyword(_, near) if behind_password && near.is_empty() => {
                ConninfoError::Malformed("a password with blanks stands between single quotes")
            }
            error => error,
        })?;
        behind_password = keyword.trim() == "password";
        rest = after.trim_start();
    }
    Ok(info)
}

/// Splits a value off: up to a space, or between single quotes. A backslash escapes the next character.
fn take_value(text: &str) -> Result<(String, &str), ConninfoError> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted => return Ok((value, &text[at + 1..])),
            c if c.is_whitespace() && !quoted => return Ok((value, &text[at..])),
            c => value.push(c),
        }
    }
    if quoted { Err(ConninfoError::Malformed("a quote is never closed")) } else { Ok((value, "")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str, keywords: &[&str]) -> Vec<String> {
        let info = Conninfo::parse(text).unwrap();
        keywords.iter().map(|keyword| info.get(keyword).unwrap_or("-").to_owned()).collect()
    }

    #[test]
    fn both_forms_have_the_same_result() {
        let keywords = ["host", "port", "user", "password", "dbname", "sslmode"];
        let expected = ["h", "5433", "us er", "p@:/w", "d", "require"];
        let url = "postgresql://us%20er:p%40%3A%2Fw@h:5433/d?sslmode=require";
        let pairs = r"host=h port = 5433 user='us er' password=p@:/w dbname=d sslmode=require";
        assert_eq!(values(url, &keywords), expected);
        assert_eq!(values(pairs, &keywords), expected);
    }

    #[test]
    fn several_hosts_addresses_and_sockets_are_read() {
        let two = "postgres://u@a:1,[::1]:2/d";
        assert_eq!(values(two, &["host", "port"]), ["a,::1", "1,2"]);
        let socket = "postgres://%2Fvar%2Frun:5433/d";
        assert_eq!(values(socket, &["host", "port"]), ["/var/run", "5433"]);
        assert_eq!(values("postgres:///d?host=/tmp", &["host", "dbname"]), ["/tmp", "d"]);
        assert_eq!(values("postgres://", &["host", "dbname"]), ["-", "-"]);
    }

    #[test]
    fn quotes_and_backslashes_are_read_as_by_libpq() {
        assert_eq!(
            values(r"password='a\'b\\c d' user=x\ y", &["password", "user"]),
            [r"a'b\c d", "x y"]
        );
    }

    #[test]
    fn error_messages_do_not_hold_the_password() {
        for text in [
            "postgres://u:hunter2@h/d?sslmod=require",
            "password=hunter2 hots=h",
            "hunter2",
            "password='hunter2",
            "postgres://u:hunter2%4@h/d",
            "postgres://u:hunter2/x@h/d",
            "postgres://u:hunter2?x=1@h/d",
            "postgres://u:p@hunter2/x@h/d",
            "password=a hunter2=b host=h",
            "postgres://u:hunter2?x@h/d",
            "host=h password=my hunter2 user=u",
            "host=h password=my hunter2=x user=u",
            "postgres://u@h/d?password=abc&hunter2=1",
            "postgres://reader:123?hunter2=x@h/d",
            "postgres://reader:123?host=hunter2@h/d",
            "reader:123?hunter2=x@",
            "postgres:/u:hunter2@h/d",
            "postgres:/u:hunter2@h/d?sslmode=require",
            "postgresql:u:hunter2@h/d",
            "mysql://u:hunter2@h/d?sslmode=require",
            "u:hunter2@h/d?sslmode=require",
            "//u:hunter2@h/d?sslmode=require",
            "POSTGRES://u:hunter2@h/d?host=x",
            "host=h options=hunter2",
            "postgres://u@h/d?options=hunter2",
            "password='a'hunter2 host=h",
            "host=h,password=hunter2",
            "postgres://u@h/d?password=abc&port=hunter2",
            "host=h port=1,hunter2",
            "hostaddr=hunter2 user=u",
        ] {
            let error = Conninfo::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = Conninfo::parse("hots=h").unwrap_err().to_string();
        assert!(error.contains("did you mean \"host\"?"), "{error}");
        let error = Conninfo::parse("postgres://h/d?user=u&sslmod=x").unwrap_err().to_string();
        assert_eq!(error, "connection parameter 2 is unknown; did you mean \"sslmode\"?");
        assert!(!format!("{:?}", Conninfo::parse("password=hunter2").unwrap()).contains("hunter2"));
    }

    #[test]
    fn only_role_host_port_and_database_are_displayed() {
        for (text, shown) in [
            ("postgres://u:pw@h:1/d?sslmode=require&sslkey=k", "u@h:1/d"),
            ("host=h user='a b' dbname=d/e passfile=p", "a%20b@h/d%2Fe"),
            ("host=/run,::1 port=1,2", "%2Frun:1,[::1]:2/"),
            ("hostaddr=10.0.0.1 password=pw service=s", "10.0.0.1/"),
            ("password=pw", "/"),
        ] {
            assert_eq!(Conninfo::parse(text).unwrap().place(), shown);
        }
    }

    /// Well-formed strings with the canary as their password, with random edits.
    fn mangled() -> impl Strategy<Value = String> {
        let forms = prop::sample::select(vec![
            "postgres://reader:CANARY@127.0.0.1:5432/app?sslmode=disable",
            "postgresql://reader@127.0.0.1/app?password=CANARY&connect_timeout=2",
            "host=127.0.0.1 port=5432 user=reader password=CANARY dbname=app",
            "host=127.0.0.1 password='CANARY' options='-c x=y' sslmode=disable",
            "postgres://reader:CANARY@a:1,[::1]:2/app?target_session_attrs=any",
        ]);
        let edit = (any::<prop::sample::Index>(), 0..3u8, "[:/@?&= '%#\\\\=,0a\\n\\[\\]]{1,3}");
        (forms, prop::collection::vec(edit, 0..6)).prop_map(|(form, edits)| {
            let mut text = form.to_owned();
            for (at, kind, with) in edits {
                let at = at.index(text.len());
                let within =
                    text.find("CANARY").is_some_and(|place| (place..place + 6).contains(&at));
                match kind {
                    _ if within && kind != 0 => {}
                    0 if within => text.insert_str(text.find("CANARY").unwrap_or(0), &with),
                    0 => text.insert_str(at, &with),
                    1 => drop(text.remove(at)),
                    _ => text.replace_range(at..=at, &with),
                }
            }
            text
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn no_message_about_a_mangled_string_holds_its_password(text in mangled()) {
            match Conninfo::parse(&text) {
                Err(error) => prop_assert!(!error.to_string().contains("CANARY"), "{text}: {error}"),
                Ok(info) => {
                    // An edit may have moved it into one of the four parts that are displayed.
                    let parts = ["user", "host", "port", "dbname"];
                    let moved = parts.iter().any(|part| info.get(part).is_some_and(|it| it.contains("CANARY")));
                    prop_assert!(moved || !info.place().contains("CANARY"), "{text}");
                    let debug = format!("{info:?}");
                    prop_assert!(!debug.contains("CANARY"));
                    if let Err(error) = crate::pg::resolve(info) {
                        prop_assert!(moved || !error.to_string().contains("CANARY"), "{text}: {error}");
                    }
                }
            }
        }
    }
}
