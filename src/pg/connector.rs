//! Opens one connection: the endpoints to try, in order, with or without TLS as `sslmode` says.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::ClientWrapper;
use tokio::net::UnixStream;
use tokio::sync::{Mutex, watch};
use tokio_postgres::config::{
    ChannelBinding, SslMode as DriverMode, SslNegotiation, TargetSessionAttrs,
};
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{Conninfo, SslMode};
use super::defaults::{Destination, Endpoint, bad_value, number};
use super::error::PgError;
use super::quota::{CountedStream, Quota};
use super::tls;
use super::transport::{Encryption, Transports};
use crate::sql;

/// How to connect to one side: what is tried, in order.
pub(super) struct Connector {
    attempts: Vec<Attempt>,
    timeout: Duration,
    /// Whether the server was given up for good: it keeps connections open and does not respond.
    given_up: watch::Sender<bool>,
    /// Held while one task tests whether the server responds.
    probe: Mutex<()>,
}

/// One way of connecting to one endpoint.
pub(super) struct Attempt {
    pub(super) endpoint: Endpoint,
    pub(super) config: Config,
    encryption: Encryption,
    tls: MakeRustlsConnect,
    /// Whether it repeats the attempt before it, with TLS.
    repeats: bool,
}

/// An open connection as the pool keeps it.
pub(super) struct PooledClient {
    /// The driver's client; the task that drives it ends with it.
    pub(super) client: ClientWrapper,
    pub(super) quota: Arc<Quota>,
}

impl PooledClient {
    /// Converts an error of the driver; one that a byte limit caused names the limit.
    pub(super) fn error(&self, error: &tokio_postgres::Error) -> PgError {
        match self.quota.exceeded() {
            Some(why) => PgError::too_large(why),
            None => PgError::of(error),
        }
    }
}

/// How long a server that has not responded in time may take to respond on a new connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer that stops responding is detected within 30 s: 10 s of silence, then three probes 5 s apart.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

impl Connector {
    /// Prepares the attempts. Certificates are read here, once.
    pub(super) fn new(
        destination: Destination,
        application_name: &str,
    ) -> Result<Connector, PgError> {
        let base = base_config(&destination, application_name)?;
        // A name may resolve to an address that does not respond before the one that does.
        let timeout = 2 * destination.connect_timeout;
        let mut attempts = Vec::new();
        for endpoint in destination.endpoints {
            let mode = endpoint.ssl_mode;
            let tls = tls::connector(mode, &destination.info)?;
            let modes: &[Encryption] = match mode {
                SslMode::Disable => &[Encryption::Never],
                SslMode::Allow => &[Encryption::Never, Encryption::Always],
                SslMode::Prefer => &[Encryption::IfOffered],
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => &[Encryption::Always],
            };
            for (position, encryption) in modes.iter().enumerate() {
                let mut config = base.clone();
                config.port(endpoint.port).host(&endpoint.host);
                if endpoint.is_socket() {
                    config.ssl_mode(DriverMode::Disable);
                } else {
                    // The transport negotiates TLS.
                    config.ssl_mode(DriverMode::Require).ssl_negotiation(SslNegotiation::Direct);
                }
                if let Some(address) = endpoint.address {
                    config.hostaddr(address);
                }
                if let Some(password) = &endpoint.password {
                    config.password(password);
                }
                let endpoint = Endpoint { host: endpoint.host.clone(), password: None, ..endpoint };
                let (encryption, tls, repeats) = (*encryption, tls.clone(), position > 0);
                attempts.push(Attempt { endpoint, config, encryption, tls, repeats });
            }
        }
        let (given_up, probe) = (watch::Sender::new(false), Mutex::new(()));
        Ok(Connector { attempts, timeout, given_up, probe })
    }

    /// Iterates over every way of connecting, in order.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter()
    }

    /// Returns how long it may take until every attempt has timed out.
    pub(super) fn total_timeout(&self) -> Duration {
        self.attempts().map(|_| self.timeout).sum()
    }

    /// Lists the endpoints, for messages.
    pub(super) fn describe_endpoints(&self) -> String {
        let mut endpoints: Vec<String> = self.attempts().map(|a| a.endpoint.to_string()).collect();
        endpoints.dedup();
        endpoints.join(", ")
    }

    /// Opens a connection to the first endpoint that accepts one.
    pub(super) async fn open(&self) -> Result<PooledClient, PgError> {
        let mut failed = None;
        for attempt in self.attempts() {
            // The driver's own timeout ends when the server has accepted the connection. A server that
            // then sends nothing would be waited for without end.
            match tokio::time::timeout(self.timeout, attempt.open()).await {
                Ok(Ok(opened)) => return Ok(opened),
                // From a server without TLS the first attempt's error is the cause.
                Ok(Err(error)) if attempt.repeats && error.message.contains("TLS") => {
                    failed = failed.or(Some(error))
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // No endpoint has responded. The pool's timeout is the sum of these, and reports it.
            None => std::future::pending().await,
        }
    }

    /// Returns whether the server responds on a new connection. A server that does not is given up.
    pub(super) async fn is_responding(&self) -> bool {
        let _probe = self.probe.lock().await;
        if self.is_given_up() {
            return false;
        }
        let response = async {
            let connection = self.open().await?;
            let response = connection.client.batch_execute("").await;
            response.map_err(|error| connection.error(&error))
        };
        // A server that refuses the connection responds; retries have a limit of their own.
        let responds = tokio::time::timeout(PROBE_TIMEOUT, response).await.is_ok();
        if !responds {
            self.give_up();
        }
        responds
    }

    /// Gives the server up: nothing is sent to it any more.
    pub(super) fn give_up(&self) {
        self.given_up.send_replace(true);
    }

    pub(super) fn is_given_up(&self) -> bool {
        *self.given_up.borrow()
    }

    /// Waits until the server is given up.
    pub(super) async fn wait_until_given_up(&self) {
        // It cannot fail: the sender is not dropped before `self`.
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up).await;
    }
}

impl Attempt {
    /// Returns the factory for the transport of one connection.
    pub(super) fn transports(&self, quota: Arc<Quota>) -> Transports {
        Transports { encryption: self.encryption, tls: self.tls.clone(), quota }
    }

    async fn open(&self) -> Result<PooledClient, PgError> {
        let quota = Quota::of_greeting();
        let opened = match self.endpoint.is_socket() {
            true => self.open_socket(&quota).await,
            false => self.open_tcp(&quota).await,
        };
        opened.map_err(|error| match quota.exceeded() {
            // No PostgreSQL sends so much before the first query.
            Some(why) => PgError::invalid_setting(why.to_owned()),
            None => error,
        })
    }

    async fn open_tcp(&self, quota: &Arc<Quota>) -> Result<PooledClient, PgError> {
        let opened = self.config.connect(self.transports(Arc::clone(quota))).await;
        let (client, connection) = opened.map_err(|error| PgError::of(&error))?;
        let driver = tokio::spawn(async move {
            // Its error reaches the task that waits for a result.
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, driver);
        Ok(PooledClient { client, quota: Arc::clone(quota) })
    }

    /// Opens a connection over a Unix socket, which the driver does not pass to a custom transport.
    async fn open_socket(&self, quota: &Arc<Quota>) -> Result<PooledClient, PgError> {
        let stream = UnixStream::connect(self.endpoint.to_string());
        let stream = stream.await.map_err(|error| PgError::connection_failed(&error))?;
        let opened =
            self.config.connect_raw(CountedStream::new(stream, Arc::clone(quota)), NoTls).await;
        let (client, connection) = opened.map_err(|error| PgError::of(&error))?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let client = ClientWrapper::new(client, driver);
        let connection = PooledClient { client, quota: Arc::clone(quota) };
        let wanted = self.config.get_target_session_attrs();
        if wanted == TargetSessionAttrs::Any {
            return Ok(connection);
        }
        let answer = connection.client.simple_query(sql::IS_READ_ONLY).await;
        let answer = answer.map_err(|error| connection.error(&error))?;
        let read_only = answer.iter().any(
            |message| matches!(message, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")),
        );
        match (wanted, read_only) {
            (TargetSessionAttrs::ReadWrite, true) => {
                Err(PgError::transient("database does not allow writes"))
            }
            (TargetSessionAttrs::ReadOnly, false) => {
                Err(PgError::transient("database is not read only"))
            }
            _ => Ok(connection),
        }
    }
}

fn base_config(destination: &Destination, application_name: &str) -> Result<Config, PgError> {
    let info: &Conninfo = &destination.info;
    let seconds = |keyword, default| {
        number(info, keyword).map(|number| number.map_or(default, Duration::from_secs))
    };
    let mut config = Config::new();
    config
        .user(&destination.user)
        .dbname(&destination.dbname)
        .application_name(application_name)
        .connect_timeout(destination.connect_timeout)
        .keepalives(info.get("keepalives") != Some("0"))
        .keepalives_idle(seconds("keepalives_idle", KEEPALIVE_IDLE)?)
        .keepalives_interval(seconds("keepalives_interval", KEEPALIVE_INTERVAL)?)
        .keepalives_retries(
            number(info, "keepalives_count")?
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or(KEEPALIVE_RETRIES),
        )
        .tcp_user_timeout(
            number(info, "tcp_user_timeout")?.map_or(UNACKNOWLEDGED, Duration::from_millis),
        );
    match info.get("target_session_attrs") {
        None | Some("any") => {}
        Some("read-write" | "primary") => {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        Some("read-only" | "standby") => {
            config.target_session_attrs(TargetSessionAttrs::ReadOnly);
        }
        Some(_) => {
            let words = "takes any, read-write, read-only, primary or standby";
            return Err(bad_value("target_session_attrs", words));
        }
    }
    match info.get("channel_binding") {
        None | Some("prefer") => {}
        Some("disable") => {
            config.channel_binding(ChannelBinding::Disable);
        }
        Some("require") => {
            config.channel_binding(ChannelBinding::Require);
        }
        Some(_) => {
            return Err(bad_value("channel_binding", "takes disable, prefer or require"));
        }
    }
    Ok(config)
}
