//! Throwaway PostgreSQL servers, started from the server binaries that the machine has.
//!
//! `initdb` runs once per test process; each server gets a copy. A server dies with the process
//! that started it: a shell beside it waits for its end of a pipe to close.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::super::pair::READER;
use super::super::wait;
use pgreconcile::schema::{BySide, Side};

/// A server that can be stopped, killed and started again.
pub struct Cluster {
    server: PathBuf,
    folder: tempfile::TempDir,
    pub port: u16,
    keeper: Mutex<Option<Child>>,
}

/// Lines added to postgresql.conf.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings<'s>(pub &'s str);

/// Returns one server a side, for every test that does not harm its server.
pub fn shared() -> &'static BySide<Cluster> {
    static SHARED: LazyLock<BySide<Cluster>> = LazyLock::new(|| {
        BySide::new(|side| {
            let cluster = Cluster::start_on(server(side), Settings::default(), &[]);
            cluster.sql("postgres", &format!("create role {READER} login"));
            cluster
        })
    });
    &SHARED
}

/// Returns the folder of the server binaries: `PGRECONCILE_PG_BIN`, `pg_config --bindir`, the usual
/// folders.
pub fn binaries() -> &'static Path {
    static BINARIES: LazyLock<PathBuf> = LazyLock::new(|| {
        let named = std::env::var_os("PGRECONCILE_PG_BIN").map(PathBuf::from);
        let configured = Command::new("pg_config")
            .arg("--bindir")
            .output()
            .ok()
            .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
        let versioned = ["/usr/lib/postgresql", "/usr/pgsql", "/opt/homebrew/opt"];
        let versioned = versioned.iter().filter_map(|folder| std::fs::read_dir(folder).ok());
        let mut versioned: Vec<PathBuf> =
            versioned.flatten().flatten().map(|entry| entry.path().join("bin")).collect();
        versioned.sort();
        let places = named.into_iter().chain(configured).chain(versioned.into_iter().rev());
        let mut places = places.filter(|folder| folder.join("initdb").exists());
        places.next().expect("PostgreSQL server binaries; tests/run.sh finds or installs them")
    });
    &BINARIES
}

/// Returns the folder of a side's server. `PGRECONCILE_PG_BIN_TARGET` names another version's for
/// the target; `tests/majors.sh` does so.
fn server(side: Side) -> &'static Path {
    static TARGET: LazyLock<Option<PathBuf>> =
        LazyLock::new(|| std::env::var_os("PGRECONCILE_PG_BIN_TARGET").map(PathBuf::from));
    match (side, &*TARGET) {
        (Side::Target, Some(folder)) => folder,
        _ => binaries(),
    }
}

/// Returns the strategies that both servers allow by name: a server before version 14 cannot
/// digest.
pub fn strategies() -> &'static [&'static str] {
    static DIGESTS: LazyLock<bool> = LazyLock::new(|| {
        Side::BOTH.into_iter().all(|side| {
            let output = Command::new(server(side).join("postgres")).arg("--version").output();
            !String::from_utf8_lossy(&output.expect("postgres").stdout).contains(") 13.")
        })
    });
    if *DIGESTS { &["digest", "stream"] } else { &["auto", "stream"] }
}

/// PostgreSQL does not run as root; as root the servers run as this user.
fn server_user() -> Option<(u32, u32)> {
    static USER: LazyLock<Option<(u32, u32)>> = LazyLock::new(|| {
        let id = Command::new("id").arg("-u").output().expect("id");
        if String::from_utf8_lossy(&id.stdout).trim() != "0" {
            return None;
        }
        let passwd = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
        let find = |name: &str| {
            passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| {
                (fields[0] == name).then(|| (fields[2].parse().ok(), fields[3].parse().ok()))
            })
        };
        match find("postgres").or_else(|| find("nobody")) {
            Some((Some(uid), Some(gid))) => Some((uid, gid)),
            _ => panic!("running as root needs a user \"postgres\" or \"nobody\""),
        }
    });
    *USER
}

/// Returns a command that runs as the server's user.
pub fn as_server_user(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    // Where a server's `lc_messages` is not C, its messages are German.
    command.current_dir(folder).env("LC_ALL", "C").env("LANGUAGE", "de");
    if let Some((uid, gid)) = server_user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Creates a folder that the server's user owns, in `PGRECONCILE_TEST_FOLDER` or else in `/tmp`.
pub fn owned_folder() -> tempfile::TempDir {
    let parent = std::env::var_os("PGRECONCILE_TEST_FOLDER").unwrap_or_else(|| "/tmp".into());
    let folder = tempfile::Builder::new().prefix("pgr").tempdir_in(parent).expect("a folder");
    if let Some((uid, gid)) = server_user() {
        std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).expect("chown");
    }
    folder
}

/// Writes a file that only its owner can read, as servers require of a key.
fn private_file(path: &Path, text: &str, owner: Option<(u32, u32)>) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("chmod");
    if let Some((uid, gid)) = owner {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("chown");
    }
}

/// Returns the data folder of a new server of these binaries, which `initdb` creates once.
fn template(server: &Path) -> PathBuf {
    static TEMPLATES: Mutex<Vec<(PathBuf, Child, PathBuf)>> = Mutex::new(Vec::new());
    let mut templates = TEMPLATES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((.., data)) = templates.iter().find(|(known, ..)| known == server) {
        return data.clone();
    }
    let folder = owned_folder();
    let data = folder.path().join("data");
    let output = as_server_user(&server.join("initdb"), folder.path())
        .args(["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C", "-D"])
        .arg(&data)
        .output()
        .expect("initdb");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // Statics are never dropped: a shell removes the files when the test process has ended.
    let keeper = as_server_user(Path::new("/bin/sh"), Path::new("/tmp"))
        .args(["-c", &format!("read _; rm -rf '{}'", folder.keep().display())])
        .stdin(Stdio::piped())
        .spawn()
        .expect("a shell");
    templates.push((server.to_owned(), keeper, data.clone()));
    data
}

impl Cluster {
    /// Starts a server on a free port.
    pub fn start(settings: Settings<'_>) -> Cluster {
        Cluster::start_with(settings, &[])
    }

    /// The same with files of its own among its data: names and texts.
    pub fn start_with(settings: Settings<'_>, files: &[(&str, &str)]) -> Cluster {
        Cluster::start_on(binaries(), settings, files)
    }

    fn start_on(server: &Path, settings: Settings<'_>, files: &[(&str, &str)]) -> Cluster {
        let folder = owned_folder();
        let copied = as_server_user(Path::new("cp"), folder.path())
            .arg("-a")
            .arg(template(server))
            .arg(folder.path().join("data"))
            .status()
            .expect("cp");
        assert!(copied.success());
        let port = free_port();
        let socket = folder.path().display();
        let text = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{socket}'\n\
             fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_connections = 100\n\
             shared_buffers = 64MB\nmax_wal_size = 1GB\nlogging_collector = off\n{}\n",
            settings.0
        );
        let file = folder.path().join("data/postgresql.auto.conf");
        std::fs::write(&file, text).expect("settings");
        for (name, text) in files {
            private_file(&folder.path().join("data").join(name), text, server_user());
        }
        let server = server.to_owned();
        let cluster = Cluster { server, folder, port, keeper: Mutex::new(None) };
        cluster.restart();
        cluster
    }

    /// Starts a standby that follows this server over the network. It has this server's settings,
    /// and these behind them.
    pub fn standby(&self, settings: Settings<'_>) -> Cluster {
        let folder = owned_folder();
        let data = folder.path().join("data");
        let made = as_server_user(&self.server.join("pg_basebackup"), folder.path())
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-D"])
            .arg(&data)
            .args(["-R", "-X", "stream", "-c", "fast", "--no-sync"])
            .output()
            .expect("pg_basebackup");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let file = data.join("postgresql.auto.conf");
        let before = std::fs::read_to_string(&file).expect("settings");
        let socket = folder.path().display();
        let text = format!(
            "{before}\nport = {port}\nunix_socket_directories = '{socket}'\n{}\n",
            settings.0
        );
        std::fs::write(&file, text).expect("settings");
        let (server, keeper) = (self.server.clone(), Mutex::new(None));
        let cluster = Cluster { server, folder, port, keeper };
        cluster.restart();
        cluster
    }

    /// Starts a server on a copy of this one's files, as a snapshot of its disk would be.
    pub fn copy(&self) -> Cluster {
        self.kill();
        let folder = owned_folder();
        let copied = as_server_user(Path::new("cp"), folder.path())
            .arg("-a")
            .args([self.folder.path().join("data"), folder.path().join("data")])
            .status()
            .expect("cp");
        assert!(copied.success());
        let port = free_port();
        let file = folder.path().join("data/postgresql.auto.conf");
        let before = std::fs::read_to_string(&file).expect("settings");
        let socket = folder.path().display();
        let text = format!("{before}\nport = {port}\nunix_socket_directories = '{socket}'\n");
        std::fs::write(&file, text).expect("settings");
        let (server, keeper) = (self.server.clone(), Mutex::new(None));
        let copy = Cluster { server, folder, port, keeper };
        copy.restart();
        self.restart();
        copy
    }

    /// Promotes a standby, and waits until it is a primary.
    pub fn promote(&self) {
        assert_eq!(self.sql("postgres", "select pg_promote()"), "t");
    }

    /// Starts the server again after a stop or a kill.
    pub fn restart(&self) {
        // A killed postmaster's process id exists until the shell has waited for it, and blocks the
        // socket for the next one.
        if let Some(mut old) = self.keeper.lock().unwrap().take() {
            let mut pipe = old.stdin.take().expect("a pipe");
            writeln!(pipe, "keep").expect("the keeper listens");
            drop(pipe);
            let _ = old.wait();
        }
        // A killed postmaster leaves this file behind.
        let _ = std::fs::remove_file(self.folder.path().join("data/postmaster.pid"));
        // The shell waits until the test process has ended or closed the pipe, and then ends the
        // server. It removes the files too, unless it reads "keep".
        let script = format!(
            "'{}/postgres' -D '{1}/data' </dev/null >>'{1}/log' 2>&1 & server=$!; \
             read word; kill -QUIT $server; wait $server; [ \"$word\" = keep ] || rm -rf '{1}'",
            self.server.display(),
            self.folder.path().display()
        );
        let keeper = as_server_user(Path::new("/bin/sh"), self.folder.path())
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        *self.keeper.lock().unwrap() = Some(keeper);
        self.await_ready();
    }

    fn await_ready(&self) {
        let until = Instant::now() + Duration::from_secs(120);
        while Instant::now() < until {
            let mut ask = Command::new(binaries().join("pg_isready"));
            ask.args(["-q", "-h"]).arg(self.folder.path()).args(["-p", &self.port.to_string()]);
            if ask.status().is_ok_and(|status| status.success()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not start:\n{}", self.log());
    }

    /// Kills the server, as a power failure would.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("data/postmaster.pid"));
        let pid = pid.expect("a running server").lines().next().unwrap().to_owned();
        let killed = Command::new("kill").args(["-9", &pid]).status().expect("kill");
        assert!(killed.success());
    }

    /// Returns the server's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Returns the folder of the server's socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a connection string over the socket.
    pub fn url(&self, user: &str, database: &str) -> String {
        let socket = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgresql://{user}@{socket}:{}/{database}", self.port)
    }

    /// Runs SQL and returns its output, with `|` between fields.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        self.sql_as("postgres", database, sql)
    }

    /// Waits until a query has this result.
    #[track_caller]
    pub fn await_answer(&self, database: &str, query: &str, result: &str) {
        let what = format!("{result} from {query}");
        wait::until(&what, || self.sql(database, query) == result);
    }

    /// Runs SQL over a connection string.
    pub fn sql_through(&self, url: &str, sql: &str) -> String {
        let output = psql_through(url, sql);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Runs SQL over a connection string. Returns `None` if the server refuses it.
    pub fn try_sql(&self, url: &str, sql: &str) -> Option<String> {
        let output = psql_through(url, sql);
        let answer = String::from_utf8(output.stdout).expect("UTF-8");
        output.status.success().then(|| answer.trim_end().to_owned())
    }

    /// Runs SQL, and then other SQL in a session with the defaults.
    pub fn sql_then(&self, database: &str, sql: &str, then: &str) {
        self.psql("postgres", database, sql, &["-c", "discard all", "-c", then]);
    }

    /// Runs SQL as another role.
    pub fn sql_as(&self, user: &str, database: &str, sql: &str) -> String {
        self.psql(user, database, sql, &[])
    }

    fn psql(&self, user: &str, database: &str, sql: &str, then: &[&str]) -> String {
        let mut psql = Command::new(binaries().join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"])
            .arg(self.folder.path())
            .args(["-p", &self.port.to_string(), "-U", user, "-d", database, "-f", "-"])
            .args(then)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("psql");
        psql.stdin.take().unwrap().write_all(sql.as_bytes()).expect("psql reads");
        let output = psql.wait_with_output().expect("psql");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}\nin: {sql}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }
}

fn psql_through(url: &str, sql: &str) -> std::process::Output {
    let mut psql = Command::new(binaries().join("psql"));
    psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]);
    psql.output().expect("psql runs")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.lock().unwrap().take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

/// Returns an unused port, another one each time. It is below the range of ephemeral ports: a
/// connection could take one of these before the caller listens on it.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(97).wrapping_add(step) % 22_000;
        let port = 10_000 + u16::try_from(place).expect("a small number");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
