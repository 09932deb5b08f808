//! A real PgBouncer in transaction pooling, in front of the two servers.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pgreconcile::schema::{BySide, Side};

use super::cluster::{Cluster, as_server_user, free_port, owned_folder};

/// A pooler. Its databases `source` and `target` lead to one database on each server.
pub struct Bouncer {
    folder: tempfile::TempDir,
    pub port: u16,
    child: Child,
}

impl Bouncer {
    /// Starts PgBouncer with a pool of this size.
    pub fn start(clusters: &BySide<Cluster>, database: &str, pool: u32) -> Bouncer {
        let folder = owned_folder();
        let port = free_port();
        let line = |side: Side| {
            let cluster = &clusters[side];
            format!(
                "{side} = host={} port={} dbname={database}\n",
                cluster.socket().display(),
                cluster.port
            )
        };
        let settings = format!(
            "[databases]\n{}{}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {pool}\n\
             max_client_conn = 200\nquery_wait_timeout = 20\nserver_reset_query =\n\
             ignore_startup_parameters = extra_float_digits\nlogfile = {}\npidfile = {}\n",
            line(Side::Source),
            line(Side::Target),
            folder.path().join("log").display(),
            folder.path().join("pid").display(),
        );
        // auth_type = any takes no user name of the client's: one is forced per database.
        let settings = settings
            .replace(&format!("dbname={database}\n"), &format!("dbname={database} user=reader\n"));
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).expect("settings");
        let child = as_server_user(&program(), folder.path())
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pgbouncer starts; tests/run.sh finds or installs it");
        let bouncer = Bouncer { folder, port, child };
        bouncer.await_ready();
        bouncer
    }

    fn await_ready(&self) {
        let until = Instant::now() + Duration::from_secs(120);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "pgbouncer does not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Returns a connection string through the pooler.
    pub fn url(&self, side: Side) -> String {
        format!("postgresql://anyone@127.0.0.1:{}/{side}?sslmode=disable", self.port)
    }

    /// Returns its log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Sends a signal. A stopped pooler sends nothing more on any connection.
    pub fn signal(&self, name: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("pid")).expect("its number");
        let sent = Command::new("kill").args([&format!("-{name}"), pid.trim()]).status();
        assert!(sent.expect("kill").success());
    }

    /// Returns whether the process is still running.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    let named = std::env::var_os("PGRECONCILE_PGBOUNCER").map(PathBuf::from);
    let usual = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"];
    let mut places = named.into_iter().chain(usual.map(PathBuf::from));
    places.find(|place| Path::new(place).exists()).unwrap_or_else(|| PathBuf::from("pgbouncer"))
}
