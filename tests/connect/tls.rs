//! TLS: which connections each mode allows, and the messages when it does not.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Authority, Certificate, Guarded, PASSWORD, Scratch, guarded};

/// Writes a file with this text and returns its path.
fn file(scratch: &Scratch, name: &str, text: &str) -> String {
    scratch.file(name, text).to_str().unwrap().to_owned()
}

fn set_mode(path: &str, mode: u32) {
    std::fs::set_permissions(Path::new(path), std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn verify_full_takes_the_right_authority_and_the_hosts_own_name() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let root = file(&scratch, "root.crt", &guarded.authority.pem());
    let other = Authority::new("another authority").pem();
    let both = file(&scratch, "both.crt", &format!("{other}{}", guarded.authority.pem()));
    for host in ["localhost", "127.0.0.1", "db.example.com hostaddr=127.0.0.1"] {
        for root in [&root, &both] {
            let at = guarded.at(host);
            guarded.admits(&format!("{at} user=tls_only sslmode=verify-full sslrootcert={root}"));
        }
    }
    // The user's own root certificates are where libpq looks for them.
    std::fs::create_dir(scratch.path().join(".postgresql")).unwrap();
    std::fs::copy(&root, scratch.path().join(".postgresql/root.crt")).unwrap();
    let url = format!("{} user=tls_only sslmode=verify-full", guarded.at("localhost"));
    let home = scratch.path().to_str().unwrap();
    guarded.check(&scratch, &url).env("HOME", home).run().exits(0);
}

#[test]
fn verify_full_refuses_everything_else() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let at = guarded.at("localhost");
    let root = file(&scratch, "root.crt", &guarded.authority.pem());
    let wrong = file(&scratch, "wrong.crt", &Authority::new("another authority").pem());
    // A name proves nothing: this authority has the right name and another key.
    let impostor = file(&scratch, "impostor.crt", &Authority::new("the authority").pem());
    let garbage = file(
        &scratch,
        "garbage.crt",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let empty = file(&scratch, "empty.crt", "no certificate");
    let folder = scratch.path().to_str().unwrap();
    let elsewhere = guarded.at("db.example.org hostaddr=127.0.0.1");
    for (at, root, why) in [
        (&at, wrong.as_str(), "TLS failed: invalid peer certificate: UnknownIssuer"),
        (&at, &impostor, "TLS failed: invalid peer certificate: "),
        (&at, "/nowhere/root.crt", "check what sslrootcert names"),
        (&at, &garbage, "garbage.crt: "),
        (&at, &empty, "empty.crt: it holds no certificate"),
        (&at, folder, "root certificate file"),
        (&elsewhere, &root, "certificate not valid for name \"db.example.org\""),
    ] {
        let told = guarded
            .turns_away(&format!("{at} user=tls_only sslmode=verify-full sslrootcert={root}"));
        assert!(told.contains(why), "{told}");
    }
    // This authority is not among the system's.
    let told = guarded.turns_away(&format!("{at} user=tls_only sslmode=verify-full"));
    assert!(told.contains("TLS failed: invalid peer certificate: "), "{told}");
}

/// A connection would be accepted with a certificate that is no longer valid.
#[test]
fn an_expired_certificate_is_refused_if_verified() {
    let (scratch, authority) = (Scratch::new(), Authority::new("the authority"));
    let certificate = authority.sign_expired("server", &["localhost"]);
    let guarded = Guarded::start(authority, &certificate);
    let root = file(&scratch, "root.crt", &guarded.authority.pem());
    let at = guarded.at("localhost");
    for mode in ["verify-full", "verify-ca", "require"] {
        let told =
            guarded.turns_away(&format!("{at} user=tls_only sslmode={mode} sslrootcert={root}"));
        assert!(
            told.contains("TLS failed: invalid peer certificate: certificate expired"),
            "{told}"
        );
    }
    guarded.admits(&format!("{at} user=tls_only sslmode=require"));
}

#[test]
fn verify_ca_minds_the_authority_and_not_the_name() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let root = file(&scratch, "root.crt", &guarded.authority.pem());
    let wrong = file(&scratch, "wrong.crt", &Authority::new("another authority").pem());
    // With a root certificate in the settings, `require` verifies as much.
    for mode in ["verify-ca", "require"] {
        for host in ["localhost", "127.0.0.2 hostaddr=127.0.0.1", "elsewhere hostaddr=127.0.0.1"] {
            let at = format!("{} user=tls_only sslmode={mode}", guarded.at(host));
            guarded.admits(&format!("{at} sslrootcert={root}"));
            let told = guarded.turns_away(&format!("{at} sslrootcert={wrong}"));
            assert!(told.contains("TLS failed: invalid peer certificate: UnknownIssuer"), "{told}");
            let told = guarded.turns_away(&format!("{at} sslrootcert=/nowhere/root.crt"));
            assert!(told.contains("check what sslrootcert names"), "{told}");
        }
    }
}

#[test]
fn require_takes_any_certificate_but_not_none() {
    let (guarded, plain) = (guarded(), crate::support::shared());
    for host in ["localhost", "elsewhere hostaddr=127.0.0.1"] {
        guarded.admits(&format!("{} user=tls_only sslmode=require", guarded.at(host)));
    }
    let port = plain.source.port;
    for mode in ["require", "verify-ca", "verify-full"] {
        let told =
            guarded.turns_away(&format!("host=localhost port={port} user=postgres sslmode={mode}"));
        assert!(told.ends_with("TLS failed: server does not support TLS"), "{told}");
    }
}

#[test]
fn weaker_modes_take_what_there_is() {
    let (guarded, plain) = (guarded(), crate::support::shared());
    let at = guarded.at("localhost");
    for (mode, plain_only, tls_only) in [
        ("disable", true, false),
        ("allow", true, true),
        ("prefer", false, true),
        ("require", false, true),
    ] {
        for (user, admitted) in [("plain_only", plain_only), ("tls_only", tls_only)] {
            let url = format!("{at} user={user} sslmode={mode}");
            if admitted {
                guarded.admits(&url);
            } else {
                let told = guarded.turns_away(&url);
                assert!(
                    told.contains(&format!(
                        "no pg_hba.conf entry for host \"127.0.0.1\", user \"{user}\""
                    )),
                    "{told}"
                );
            }
        }
    }
    // A server without TLS.
    let scratch = Scratch::new();
    plain.source.sql("postgres", "create table if not exists t (id int primary key)");
    let port = plain.source.port;
    for mode in ["disable", "allow", "prefer"] {
        let url = format!("host=127.0.0.1 port={port} user=postgres sslmode={mode}");
        guarded.check(&scratch, &url).run().exits(0);
    }
    // The first failure is reported, not that of the fallback.
    let told = guarded.turns_away(&format!("host=127.0.0.1 port={port} user=nobody sslmode=allow"));
    assert!(told.ends_with("role \"nobody\" does not exist"), "{told}");
}

#[test]
fn remote_hosts_are_verified_by_default() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let root = file(&scratch, "root.crt", &guarded.authority.pem());
    let near = guarded.at("db.example.com hostaddr=127.0.0.1");
    let far = guarded.at("db.example.org hostaddr=127.0.0.1");
    guarded.admits(&format!("{near} user=tls_only sslrootcert={root}"));
    let told = guarded.turns_away(&format!("{far} user=tls_only sslrootcert={root}"));
    assert!(told.contains("certificate not valid for name \"db.example.org\""), "{told}");
    let told = guarded.turns_away(&format!("{near} user=tls_only"));
    assert!(told.contains("invalid peer certificate"), "{told}");
    // A role that may connect without TLS does not weaken the mode.
    let told = guarded.turns_away(&format!("{far} user=reader sslrootcert={root}"));
    assert!(told.contains("certificate not valid for name"), "{told}");
    guarded.admits(&format!("{far} user=tls_only sslmode=prefer"));
    guarded.admits(&format!("{far} user=plain_only sslmode=disable"));
    let plain = crate::support::shared().source.port;
    let told = guarded
        .turns_away(&format!("host=db.example.com hostaddr=127.0.0.1 port={plain} user=postgres"));
    assert!(told.ends_with("TLS failed: server does not support TLS"), "{told}");
}

#[test]
fn a_client_shows_its_certificate() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let write = |name: &str, certificate: &Certificate| {
        let chain = file(&scratch, &format!("{name}.crt"), &certificate.chain);
        let key = file(&scratch, &format!("{name}.key"), &certificate.key);
        set_mode(&key, 0o600);
        (chain, key)
    };
    let (chain, key) = write("good", &guarded.authority.sign("certified", &[]));
    let at = format!("{} user=certified sslmode=require", guarded.at("localhost"));
    guarded.admits(&format!("{at} sslcert={chain} sslkey={key}"));

    let told = guarded.turns_away(&at);
    assert!(told.ends_with("connection requires a valid client certificate"), "{told}");
    let (other_chain, other_key) = write("other", &guarded.authority.sign("somebody", &[]));
    let told = guarded.turns_away(&format!("{at} sslcert={other_chain} sslkey={other_key}"));
    assert!(told.ends_with("certificate authentication failed for user \"certified\""), "{told}");
    let (strange_chain, strange_key) =
        write("strange", &Authority::new("x").sign("certified", &[]));
    let told = guarded.turns_away(&format!("{at} sslcert={strange_chain} sslkey={strange_key}"));
    assert!(told.contains("received fatal alert"), "{told}");
    // The key of another certificate.
    let told = guarded.turns_away(&format!("{at} sslcert={chain} sslkey={other_key}"));
    assert!(told.contains("TLS cannot be set up: "), "{told}");

    // One without the other is a mistake; the connection is not made without a certificate.
    let told = guarded.turns_away(&format!("{at} sslcert={chain}"));
    assert!(told.contains("sslkey"), "{told}");
    let told = guarded.turns_away(&format!("{at} sslkey={key}"));
    assert!(told.contains("sslcert"), "{told}");
    for (chain, key) in [
        (chain.as_str(), "/nowhere/key"),
        ("/nowhere/crt", key.as_str()),
        (&key, &key),
        (&chain, &chain),
    ] {
        let told = guarded.turns_away(&format!("{at} sslcert={chain} sslkey={key}"));
        assert!(told.contains("client certificate"), "{told}");
    }
    for mode in [0o640, 0o604, 0o644] {
        set_mode(&key, mode);
        let told = guarded.turns_away(&format!("{at} sslcert={chain} sslkey={key}"));
        assert!(
            told.contains(&format!("client certificate {key}: others can read the key")),
            "{told}"
        );
    }
    // Where TLS is not used, none of this is checked.
    let at = format!("{} user=plain_only sslmode=disable", guarded.at("localhost"));
    guarded.admits(&format!("{at} sslcert={chain} sslkey={key} sslrootcert=/nowhere"));
    guarded.admits(&format!("{at} sslcert=/nowhere/crt sslkey=/nowhere/key"));
}

#[test]
fn a_clients_certificate_stands_at_home() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    std::fs::create_dir(scratch.path().join(".postgresql")).unwrap();
    let certificate = guarded.authority.sign("certified", &[]);
    file(&scratch, ".postgresql/postgresql.crt", &certificate.chain);
    set_mode(&file(&scratch, ".postgresql/postgresql.key", &certificate.key), 0o600);
    let url = format!("{} user=certified sslmode=require", guarded.at("localhost"));
    let home = scratch.path().to_str().unwrap();
    guarded.check(&scratch, &url).env("HOME", home).run().exits(0);
}

#[test]
fn a_password_is_bound_to_the_channel() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let (at, local) = (guarded.at("localhost"), guarded.at("localhost"));
    let call = |url: &str| guarded.check(&scratch, url).env("PGPASSWORD", PASSWORD).run();
    for binding in ["disable", "prefer", "require"] {
        call(&format!("{at} user=bound sslmode=require channel_binding={binding}")).exits(0);
    }
    call(&format!("{at} user=secret sslmode=disable")).exits(0);
    // Over a channel that cannot bind, or with a server that requires no password.
    for url in [
        format!("{local} user=secret sslmode=disable channel_binding=require"),
        format!("{local} user=tls_only sslmode=require channel_binding=require"),
    ] {
        let told = call(&url).told();
        assert!(told.ends_with("server did not use channel binding"), "{told}");
    }
    let told = guarded.turns_away(&format!("{at} user=bound sslmode=require"));
    assert!(told.ends_with("no password is known for this server"), "{told}");
}

#[test]
fn a_certificate_that_signed_itself_is_its_own_authority() {
    let (scratch, authority) = (Scratch::new(), || Authority::new("the authority"));
    let certificate = Certificate::self_signed(&["localhost"], false);
    let root = file(&scratch, "root.crt", &certificate.chain);
    let twin = file(&scratch, "twin.crt", &Certificate::self_signed(&["localhost"], false).chain);
    let guarded = Guarded::start(authority(), &certificate);
    let at = |host: &str| format!("{} user=tls_only sslmode=verify-full", guarded.at(host));
    guarded.admits(&format!("{} sslrootcert={root}", at("localhost")));
    for (host, root, why) in [
        ("127.0.0.1", &root, "certificate not valid for name \"127.0.0.1\""),
        ("localhost", &twin, "invalid peer certificate: "),
    ] {
        let told = guarded.turns_away(&format!("{} sslrootcert={root}", at(host)));
        assert!(told.contains(why), "{told}");
    }
    let certificate = Certificate::self_signed_expired(&["localhost"], false);
    let root = file(&scratch, "root.crt", &certificate.chain);
    let guarded = Guarded::start(authority(), &certificate);
    let at = guarded.at("localhost");
    let told =
        guarded.turns_away(&format!("{at} user=tls_only sslmode=verify-full sslrootcert={root}"));
    assert!(told.contains("certificate expired"), "{told}");
}
