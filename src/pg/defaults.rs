//! Completes a connection string from the service file, the environment and libpq's defaults.

use std::path::PathBuf;
use std::time::Duration;

use super::conninfo::{ADDRESSES, Conninfo, ConninfoError, PORTS, SslMode};
use super::error::PgError;
use super::libpq_files::{find_password, home, read_service};

/// Everything needed to connect to one side.
pub struct Destination {
    /// The endpoints to try, in order.
    pub(super) endpoints: Vec<Endpoint>,
    /// The role to log in as.
    pub(super) user: String,
    /// The database.
    pub(super) dbname: String,
    /// How long to wait for a connection.
    pub(super) connect_timeout: Duration,
    /// The connection string, completed.
    pub(super) info: Conninfo,
    /// Warnings, as sentences.
    pub warnings: Vec<String>,
}

/// One address where a server may listen.
pub(super) struct Endpoint {
    /// A host name, an address or the directory of a Unix socket.
    pub(super) host: String,
    /// The address to connect to instead of resolving the name.
    pub(super) address: Option<std::net::IpAddr>,
    pub(super) port: u16,
    pub(super) password: Option<String>,
    pub(super) ssl_mode: SslMode,
}

impl Endpoint {
    /// Returns whether it is the directory of a Unix socket.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.is_socket() {
            true => write!(f, "{}/.s.PGSQL.{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// libpq's environment variables and their keywords.
const VARIABLES: [(&str, &str); 15] = [
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGPORT", "port"),
    ("PGDATABASE", "dbname"),
    ("PGUSER", "user"),
    ("PGPASSWORD", "password"),
    ("PGPASSFILE", "passfile"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLKEY", "sslkey"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGSERVICEFILE", "servicefile"),
];

/// Completes a connection string in libpq's order: the service file, the environment, the defaults.
///
/// # Errors
/// If the service is missing or a value is invalid.
pub fn resolve(mut info: Conninfo) -> Result<Destination, PgError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    info.fill("service", || variable("PGSERVICE"));
    if let Some(name) = info.get("service").map(str::to_owned) {
        let own = info
            .get("servicefile")
            .map(PathBuf::from)
            .or_else(|| variable("PGSERVICEFILE").map(PathBuf::from));
        let own = own.or_else(|| home().map(|home| home.join(".pg_service.conf")));
        let shared =
            variable("PGSYSCONFDIR").map(|folder| PathBuf::from(folder).join("pg_service.conf"));
        let files: Vec<PathBuf> = own.into_iter().chain(shared).collect();
        read_service(&mut info, &name, &files)
            .map_err(|error| PgError::invalid_setting(error.to_string()))?;
    }
    for (name, keyword) in VARIABLES {
        info.fill(keyword, || variable(name));
    }
    info.fill("user", || variable("USER").or_else(|| variable("LOGNAME")));
    let Some(user) = info.get("user").map(str::to_owned) else {
        return Err(PgError::invalid_setting(
            "no role is named; name one with \"user\" or PGUSER".to_owned(),
        ));
    };
    let dbname = info.get("dbname").unwrap_or(&user).to_owned();
    let mut warnings = Vec::new();
    let endpoints = endpoints(&info, &dbname, &user, &mut warnings)?;
    let connect_timeout = match number(&info, "connect_timeout")? {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.max(2)),
        _ => Duration::from_secs(10),
    };
    Ok(Destination { endpoints, user, dbname, connect_timeout, info, warnings })
}

/// Returns the value of a keyword that takes a whole number, within the range that libpq accepts.
pub(super) fn number(info: &Conninfo, keyword: &'static str) -> Result<Option<u64>, PgError> {
    let read = |text: &str| text.trim().parse().ok().filter(|number| *number <= i32::MAX as u64);
    let bad = || bad_value(keyword, "takes a whole number up to 2147483647");
    info.get(keyword).map(|text| read(text).ok_or_else(bad)).transpose()
}

/// Returns an error that says what a keyword takes. It does not repeat the given value.
pub(super) fn bad_value(keyword: &'static str, expected: &'static str) -> PgError {
    PgError::invalid_setting(ConninfoError::BadValue(keyword, expected).to_string())
}

fn endpoints(
    info: &Conninfo,
    dbname: &str,
    user: &str,
    warnings: &mut Vec<String>,
) -> Result<Vec<Endpoint>, PgError> {
    let bad = |error: ConninfoError| PgError::invalid_setting(error.to_string());
    let hosts: Vec<&str> = match (info.get("host"), info.get("hostaddr")) {
        (Some(hosts), _) => hosts.split(',').collect(),
        (None, Some(addresses)) => addresses.split(',').collect(),
        (None, None) => vec![default_host()],
    };
    let addresses: Vec<&str> =
        info.get("hostaddr").map_or(Vec::new(), |list| list.split(',').collect());
    let ports: Vec<&str> = info.get("port").unwrap_or("5432").split(',').collect();
    if ports.len() > 1 && ports.len() != hosts.len() {
        return Err(PgError::invalid_setting(format!(
            "{} ports are named for {} hosts",
            ports.len(),
            hosts.len()
        )));
    }
    let explicit = info.get("sslmode").map(SslMode::parse).transpose().map_err(bad)?;
    let passfile =
        info.get("passfile").map(PathBuf::from).or_else(|| home().map(|home| home.join(".pgpass")));
    let mut endpoints = Vec::new();
    for (position, host) in hosts.iter().enumerate() {
        let host = if host.is_empty() { default_host() } else { host };
        let port = match ports.get(position).or(ports.first()).copied().unwrap_or_default() {
            "" => 5432,
            text => text
                .parse()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| bad_value("port", PORTS))?,
        };
        let address = match addresses.get(position).filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse().map_err(|_| bad_value("hostaddr", ADDRESSES))?),
            None => None,
        };
        let password = match (info.get("password"), &passfile) {
            (Some(password), _) => Some(password.to_owned()),
            (None, Some(file)) => {
                find_password(file, host, port, dbname, user).unwrap_or_else(|problem| {
                    warnings.push(problem.full_message());
                    None
                })
            }
            (None, None) => None,
        };
        let ssl_mode = match explicit {
            _ if host.starts_with('/') => SslMode::Disable,
            Some(mode) => mode,
            None if is_local(host) => SslMode::Prefer,
            None => SslMode::VerifyFull,
        };
        endpoints.push(Endpoint { host: host.to_owned(), address, port, password, ssl_mode });
    }
    Ok(endpoints)
}

/// Returns the directory of the Unix socket that most packages of libpq use.
fn default_host() -> &'static str {
    const DEBIAN: &str = "/var/run/postgresql";
    if std::path::Path::new(DEBIAN).is_dir() { DEBIAN } else { "/tmp" }
}

/// Returns whether a host is this machine. To any other host, TLS with a verified certificate is the
/// default.
fn is_local(host: &str) -> bool {
    host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        let info = Conninfo::parse(text).unwrap();
        endpoints(&info, "d", "u", &mut Vec::new()).ok().unwrap().remove(0)
    }

    #[test]
    fn hosts_that_are_not_local_are_verified_by_default() {
        assert_eq!(endpoint("host=db.example.com").ssl_mode, SslMode::VerifyFull);
        assert_eq!(endpoint("host=10.0.0.1").ssl_mode, SslMode::VerifyFull);
        assert_eq!(endpoint("host=db sslmode=prefer").ssl_mode, SslMode::Prefer);
        for local in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(endpoint(&format!("host={local}")).ssl_mode, SslMode::Prefer);
        }
        assert_eq!(endpoint("host=/tmp sslmode=require").ssl_mode, SslMode::Disable);
    }

    #[test]
    fn numbers_have_the_range_of_libpq() {
        let timeout = |text: &str| {
            let info = Conninfo::parse(&format!("user=u connect_timeout={text}")).unwrap();
            resolve(info).ok().map(|destination| destination.connect_timeout)
        };
        assert_eq!(timeout("2147483647"), Some(Duration::from_secs(2_147_483_647)));
        for text in ["2147483648", "18446744073709551615", "-1", "1s"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[test]
    fn each_host_has_its_port() {
        let info = Conninfo::parse("host=a,b port=1,2").unwrap();
        let all = endpoints(&info, "d", "u", &mut Vec::new()).ok().unwrap();
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
        let info = Conninfo::parse("host=a,b,c port=1,2").unwrap();
        assert!(endpoints(&info, "d", "u", &mut Vec::new()).is_err());
        // As a variable may say.
        let mut info = Conninfo::parse("host=a").unwrap();
        info.fill("port", || Some("99999".to_owned()));
        assert!(endpoints(&info, "d", "u", &mut Vec::new()).is_err());
    }
}
