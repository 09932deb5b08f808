//! Opens one connection: the places to try, in order, and TLS as each asks for it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::Connect;
use tokio::task::JoinHandle;
use tokio_postgres::config::{ChannelBinding, SslMode as DriverMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::conninfo::{Conninfo, SslMode};
use super::defaults::{Destination, Endpoint, bad_value, number};
use super::error::PgError;
use super::tls;

/// How to connect to one side: what is tried first, and then.
pub(super) struct Connector {
    attempts: Vec<Attempt>,
    patience: Duration,
}

/// One way of connecting to one place.
pub(super) struct Attempt {
    pub(super) endpoint: Endpoint,
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
    /// Whether it is the attempt before it once more, with TLS.
    again: bool,
}

/// A peer that stops answering is noticed within 30 s: 10 s of silence, then three probes 5 s apart.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

impl Connector {
    /// Prepares the attempts; certificates are read here, once.
    pub(super) fn new(
        destination: Destination,
        application_name: &str,
    ) -> Result<Connector, PgError> {
        let base = base_config(&destination, application_name)?;
        // A name may stand for an address that is dead before the one that answers.
        let patience = 2 * destination.connect_timeout;
        let mut attempts = Vec::new();
        for endpoint in destination.endpoints {
            let mode = endpoint.ssl_mode;
            let tls = tls::connector(mode, &destination.info)?;
            let modes: &[DriverMode] = match mode {
                SslMode::Disable => &[DriverMode::Disable],
                SslMode::Allow => &[DriverMode::Disable, DriverMode::Require],
                SslMode::Prefer => &[DriverMode::Prefer],
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                    &[DriverMode::Require]
                }
            };
            for (place, mode) in modes.iter().enumerate() {
                let mut config = base.clone();
                config.ssl_mode(*mode).port(endpoint.port).host(&endpoint.host);
                if let Some(address) = endpoint.address {
                    config.hostaddr(address);
                }
                if let Some(password) = &endpoint.password {
                    config.password(password);
                }
                let endpoint = Endpoint { host: endpoint.host.clone(), password: None, ..endpoint };
                attempts.push(Attempt { endpoint, config, tls: tls.clone(), again: place > 0 });
            }
        }
        Ok(Connector { attempts, patience })
    }

    /// Every way of connecting, in order.
    pub(super) fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter()
    }

    /// How long it may take to hear that no place answers.
    pub(super) fn patience(&self) -> Duration {
        self.attempts().map(|_| self.patience).sum()
    }

    /// The places, for messages.
    pub(super) fn places(&self) -> String {
        let mut places: Vec<String> = self.attempts().map(|a| a.endpoint.to_string()).collect();
        places.dedup();
        places.join(", ")
    }

    async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let mut failed = None;
        for attempt in self.attempts() {
            // The driver's own limit is over once the server has taken the connection; one that then
            // says nothing would be waited for without end.
            match tokio::time::timeout(self.patience, attempt.open()).await {
                Ok(Ok(opened)) => return Ok(opened),
                // Of a server without TLS the first answer is what counts.
                Ok(Err(error)) if attempt.again && of_tls(&error) => {
                    failed = failed.or(Some(error))
                }
                Ok(Err(error)) => failed = Some(error),
                Err(_) => {}
            }
        }
        match failed {
            Some(error) => Err(error),
            // Nobody has said anything; the pool's limit is the sum of ours, and says so.
            None => std::future::pending().await,
        }
    }
}

impl Attempt {
    async fn open(&self) -> Result<(Client, JoinHandle<()>), Error> {
        let (client, connection) = self.config.connect(self.tls.clone()).await?;
        let driver = tokio::spawn(async move {
            // How it ends is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Ok((client, driver))
    }
}

fn of_tls(error: &Error) -> bool {
    error.to_string().contains("TLS")
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

/// The pool's way of opening connections.
pub(super) struct PoolConnect(pub(super) std::sync::Arc<Connector>);

type Opening<'c> =
    Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), Error>> + Send + 'c>>;

impl Connect for PoolConnect {
    fn connect(&self, _: &Config) -> Opening<'_> {
        Box::pin(self.0.open())
    }
}
