//! A server that authenticates its clients: TLS, passwords, client certificates, by role.

use std::sync::LazyLock;

use super::super::pair::Scratch;
use super::super::program::{Outcome, Program};
use super::authority::{Authority, Certificate};
use super::cluster::{Cluster, Settings};

/// A server with TLS, and the authority that signed its certificate.
pub struct Guarded {
    pub cluster: Cluster,
    pub authority: Authority,
}

/// The password of the roles `secret` and `bound`: every character that some form has to escape.
pub const PASSWORD: &str = "p@:/w d'\\?#&=%é";
/// The password of the role `canary`; it must never be seen anywhere.
pub const CANARY: &str = "hunter2-CANARY";

/// How each role authenticates; `postgres` and `reader` connect over the socket.
const DOORS: &str = "\
local   all postgres,reader          trust
local   all all                      scram-sha-256
host    all reader,app               all trust
host    all secret                   all scram-sha-256
hostssl all bound                    all scram-sha-256
hostssl all tls_only                 all trust
hostnossl all plain_only             all trust
hostssl all certified                all cert
";

/// The server of every test that needs no other certificate. It is known as `localhost`, 127.0.0.1
/// and `db.example.com`.
pub fn guarded() -> &'static Guarded {
    static GUARDED: LazyLock<Guarded> = LazyLock::new(|| {
        let authority = Authority::new("the authority");
        let hosts = ["localhost", "127.0.0.1", "db.example.com"];
        let certificate = authority.sign("server", &hosts);
        Guarded::start(authority, &certificate)
    });
    &GUARDED
}

impl Guarded {
    /// Starts a server with this certificate; clients' certificates are the authority's.
    pub fn start(authority: Authority, certificate: &Certificate) -> Guarded {
        let settings = "listen_addresses = '127.0.0.1,::1'\nssl = on\nssl_ca_file = 'clients.crt'\n\
                        password_encryption = 'scram-sha-256'";
        let files = [
            ("server.crt", certificate.chain.as_str()),
            ("server.key", &certificate.key),
            ("clients.crt", &authority.pem()),
            ("pg_hba.conf", DOORS),
        ];
        let cluster = Cluster::start_with(Settings(settings), &files);
        let password = PASSWORD.replace('\'', "''");
        let roles = format!(
            "create role reader login; create role app login; create role tls_only login;
             create role plain_only login; create role certified login;
             create role secret login password '{password}';
             create role bound login password '{password}';
             create role canary login password '{CANARY}';
             create database app;"
        );
        roles.split_inclusive(';').for_each(|sql| drop(cluster.sql("postgres", sql)));
        let table = "create table t (id int primary key); insert into t values (1);
                     grant select on t to public;";
        cluster.sql("app", table);
        Guarded { cluster, authority }
    }

    /// Returns a connection string of key=value pairs: a host, this server's port and its database.
    pub fn at(&self, host: &str) -> String {
        format!("host={host} port={} dbname=app", self.cluster.port)
    }

    /// Checks a spec with this connection string as source, and a valid target.
    pub fn check(&self, scratch: &Scratch, url: &str) -> Program {
        let spec = scratch.file(
            "spec.toml",
            "version = 1\nname = \"test\"\n[source]\nurl = \"${SOURCE_URL}\"\n\
             [target]\nurl = \"${TARGET_URL}\"\n\
             [[mapping]]\nsource.table = \"public.t\"\ntarget.table = \"public.t\"\n",
        );
        Program::new()
            .env("SOURCE_URL", url)
            .env("TARGET_URL", &self.cluster.url("reader", "app"))
            .current_dir(scratch.path())
            .args(&["check", spec.to_str().unwrap()])
    }

    /// Asserts that a connection string is accepted.
    pub fn admits(&self, url: &str) {
        let outcome = self.check(&Scratch::new(), url).run();
        assert_eq!(outcome.code, 0, "{url}\n{}", outcome.stderr);
    }

    /// Asserts that a connection string is refused. Returns the first line of the message.
    pub fn turns_away(&self, url: &str) -> String {
        self.check(&Scratch::new(), url).run().told()
    }
}

impl Outcome {
    /// Returns the one line with the reason why nothing could be read.
    pub fn told(&self) -> String {
        self.exits(2);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        let errors = self.stderr.lines().filter(|line| line.starts_with("error: "));
        let errors: Vec<&str> = errors.collect();
        assert_eq!(errors.len(), 1, "{}", self.stderr);
        errors[0].to_owned()
    }
}
