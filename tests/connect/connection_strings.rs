//! Connection strings, variables, services and password files, read as psql reads them.

use std::os::unix::fs::PermissionsExt;

use crate::support::{CANARY, Guarded, PASSWORD, Program, Scratch, free_port, guarded};

/// Encodes everything but letters and digits, as a URL requires.
fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Puts a value between quotes, as key=value pairs require.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn socket(guarded: &Guarded) -> String {
    guarded.cluster.socket().display().to_string()
}

#[test]
fn every_form_of_a_url_leads_in() {
    let guarded = guarded();
    let (port, dead) = (guarded.cluster.port, free_port());
    let (password, folder) = (percent_encoded(PASSWORD), percent_encoded(&socket(guarded)));
    for url in [
        format!("postgresql://secret:{password}@127.0.0.1:{port}/app"),
        format!("postgres://secret@localhost:{port}/app?password={password}"),
        format!("postgres://127.0.0.1:{port}/app?user=%73ecret&password={password}"),
        format!("postgres://reader@{folder}:{port}/app"),
        format!("postgres:///app?host={folder}&port={port}&user=reader"),
        format!("postgres://reader@127.0.0.1:{dead},127.0.0.1:{port}/app"),
        format!("postgres://reader@{folder}:{dead},localhost:{port}/app"),
        format!("postgres://reader@127.0.0.1:{dead},127.0.0.1:{port}/app?connect_timeout=2"),
        format!("postgres://app@127.0.0.1:{port}"),
        format!("postgres://app@127.0.0.1:{port}/"),
    ] {
        guarded.admits(&url);
    }
}

#[test]
fn every_form_of_key_value_pairs_leads_in() {
    let guarded = guarded();
    let (port, dead) = (guarded.cluster.port, free_port());
    let (password, socket) = (quoted(PASSWORD), socket(guarded));
    let escaped = PASSWORD.replace('\\', r"\\").replace('\'', r"\'").replace(' ', r"\ ");
    for pairs in [
        format!("host=127.0.0.1 port={port} dbname=app user=secret password={password}"),
        format!("host = '127.0.0.1' port\t= {port}\n dbname ='app' user=secret password={escaped}"),
        format!("host={socket} port={port} dbname=app user=reader"),
        format!("hostaddr=127.0.0.1 port={port} dbname=app user=reader"),
        format!(
            "host=no.such.host hostaddr=127.0.0.1 port={port} dbname=app user=reader sslmode=require"
        ),
        format!("host=127.0.0.1,127.0.0.1 port={dead},{port} dbname=app user=reader"),
        format!("host={socket},localhost port={dead},{port} dbname=app user=reader"),
        format!("host=/nowhere,{socket} port={port} dbname=app user=reader"),
        format!("host=127.0.0.1 port={port} user=app application_name=mine gssencmode=disable"),
    ] {
        guarded.admits(&pairs);
    }
}

#[test]
fn an_address_of_six_leads_in() {
    if std::net::TcpListener::bind(("::1", 0)).is_err() {
        return;
    }
    let guarded = guarded();
    let port = guarded.cluster.port;
    guarded.admits(&format!("postgres://reader@[::1]:{port}/app"));
    guarded.admits(&format!("postgres://reader@127.0.0.1:{},[::1]:{port}/app", free_port()));
    guarded.admits(&format!("host=::1 port={port} dbname=app user=reader"));
}

#[test]
fn what_cannot_be_reached_is_named() {
    let guarded = guarded();
    let (first, second) = (free_port(), free_port());
    let told = guarded.turns_away(&format!("postgres://u@127.0.0.1:{first},localhost:{second}/d"));
    assert!(
        told.contains(&format!(
            "the source: cannot connect to 127.0.0.1:{first}, localhost:{second}: "
        )),
        "{told}"
    );
    assert!(told.ends_with("Connection refused (os error 111)"), "{told}");
    let told = guarded.turns_away(&format!("host=/nowhere port={first} user=u"));
    assert!(told.contains(&format!("cannot connect to /nowhere/.s.PGSQL.{first}: ")), "{told}");
    let told = guarded.turns_away(&format!("{} user=nobody", guarded.at("127.0.0.1")));
    assert!(told.contains("no pg_hba.conf entry"), "{told}");
    let told =
        guarded.turns_away(&format!("postgres://reader@127.0.0.1:{}/no", guarded.cluster.port));
    assert!(told.ends_with("database \"no\" does not exist"), "{told}");
}

/// Calls with a source that is named by variables alone. The target's string is complete.
fn from_variables(guarded: &Guarded, scratch: &Scratch, variables: &[(&str, &str)]) -> Program {
    let program = guarded.check(scratch, "postgresql://");
    variables.iter().fold(program, |program, (name, value)| program.env(name, value))
}

#[test]
fn variables_name_what_the_string_leaves_open() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let port = guarded.cluster.port.to_string();
    let place = [("PGHOST", "127.0.0.1"), ("PGPORT", port.as_str()), ("PGDATABASE", "app")];
    let root = scratch.file("root.crt", &guarded.authority.pem());
    let root = root.to_str().unwrap();
    for variables in [
        &[("PGUSER", "secret"), ("PGPASSWORD", PASSWORD)][..],
        &[("USER", "reader")],
        &[("PGUSER", "plain_only"), ("PGSSLMODE", "disable")],
        &[("PGUSER", "tls_only"), ("PGSSLMODE", "require")],
        &[("PGUSER", "tls_only"), ("PGSSLMODE", "verify-full"), ("PGSSLROOTCERT", root)],
        &[
            ("PGUSER", "reader"),
            ("PGHOSTADDR", "127.0.0.1"),
            ("PGHOST", "elsewhere"),
            ("PGSSLMODE", "prefer"),
        ],
    ] {
        from_variables(guarded, &scratch, &place)
            .env("LOGNAME", "nobody")
            .run_with(variables)
            .exits(0);
    }
    for (variables, why) in [
        (&[("PGUSER", "plain_only"), ("PGSSLMODE", "require")][..], "no pg_hba.conf entry"),
        (&[("PGUSER", "tls_only"), ("PGSSLMODE", "disable")], "no pg_hba.conf entry"),
        (&[("PGUSER", "secret"), ("PGPASSWORD", "other")], "password authentication failed"),
        (&[("PGUSER", "reader"), ("PGDATABASE", "no")], "database \"no\" does not exist"),
        (&[("PGUSER", "reader"), ("PGPORT", "1")], "127.0.0.1:1: "),
        (&[("PGUSER", "reader"), ("PGSSLMODE", "full")], "\"sslmode\" takes disable, allow"),
        (
            &[("PGUSER", "reader"), ("PGCONNECT_TIMEOUT", "soon")],
            "\"connect_timeout\" takes a whole number",
        ),
        (&[("USER", "")], "no role is named"),
    ] {
        let told = from_variables(guarded, &scratch, &place).run_with(variables).told();
        assert!(told.contains(why), "{told}");
    }
}

/// The program would connect to another server than psql does with the same settings.
#[test]
fn explicit_settings_win_over_services_then_variables() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let (port, dead) = (guarded.cluster.port, free_port());
    let file = format!(
        "# services\n[other]\nport={dead}\n[good]\nhost=127.0.0.1\nport={port}\ndbname=app\nuser=reader\n\
         \n[dead]\nhost = 127.0.0.1\nport = {dead}\ndbname=app\nuser=reader\n"
    );
    let file = scratch.file("services", &file);
    let call = |url: &str, variables: &[(&str, &str)]| {
        let program = guarded.check(&scratch, url).env("PGSERVICEFILE", file.to_str().unwrap());
        program.run_with(variables)
    };
    call("postgresql://", &[("PGSERVICE", "good")]).exits(0);
    call("service=good", &[]).exits(0);
    call("postgresql:///?service=good", &[("PGSERVICE", "dead")]).exits(0);
    call("service=good", &[("PGPORT", "1"), ("PGUSER", "nobody"), ("PGDATABASE", "no")]).exits(0);
    call(&format!("service=dead port={port}"), &[("PGPORT", "1")]).exits(0);
    let told = call("service=dead user=secret", &[("PGPORT", &port.to_string())]).told();
    assert!(told.contains(&format!("127.0.0.1:{dead}: ")), "{told}");
    // No setting is given: the port is 5432, and the database has the user's name.
    let told = call("host=/nowhere user=me", &[]).told();
    assert!(told.contains("/nowhere/.s.PGSQL.5432: "), "{told}");
    let told = call(&format!("host=127.0.0.1 port={port} user=reader"), &[]).told();
    assert!(told.contains("database \"reader\" does not exist"), "{told}");
    let told = call("service=missing", &[]).told();
    assert!(told.contains("names is not in any service file"), "{told}");
}

/// Creates a password file that only its owner can read.
fn password_file(scratch: &Scratch, text: &str) -> String {
    let path = scratch.file("pgpass", text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_first_line_of_a_password_file_that_fits_counts() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let port = guarded.cluster.port;
    let password = PASSWORD.replace('\\', r"\\").replace(':', r"\:");
    let socket = socket(guarded);
    let over_tcp = format!("{} user=secret", guarded.at("127.0.0.1"));
    let over_socket = format!("{} user=secret", guarded.at(&socket));
    for (line, url) in [
        (format!("127.0.0.1:{port}:app:secret:{password}"), &over_tcp),
        (format!("*:*:*:*:{password}"), &over_tcp),
        (
            format!(
                "# 127.0.0.1:*:*:*:no\n\nother:*:*:*:no\n127.0.0.1:*:app:secret:{password}\n*:*:*:*:no"
            ),
            &over_tcp,
        ),
        (format!("127.0.0.1:{port}:\\app:*:{password}\r\n"), &over_tcp),
        // The entry for a socket names its folder, as in libpq.
        (format!("{socket}:{port}:app:secret:{password}"), &over_socket),
        (format!("*:{port}:app:secret:{password}"), &over_socket),
    ] {
        let file = password_file(&scratch, &line);
        guarded.check(&scratch, url).env("PGPASSFILE", &file).run().exits(0);
        guarded.check(&scratch, &format!("{url} passfile={file}")).run().exits(0);
    }
    for line in ["127.0.0.1:1:app:secret:x", "*:*:*:other:x", "\\*:*:*:*:x", ""] {
        let file = password_file(&scratch, line);
        let told = guarded.check(&scratch, &over_tcp).env("PGPASSFILE", &file).run().told();
        assert!(told.ends_with("no password is known for this server"), "{told}");
    }
}

#[test]
fn a_password_file_stands_at_home() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let password = PASSWORD.replace('\\', r"\\").replace(':', r"\:");
    let file = password_file(&scratch, &format!("*:*:*:*:{password}"));
    std::fs::rename(file, scratch.path().join(".pgpass")).unwrap();
    let url = format!("{} user=secret", guarded.at("127.0.0.1"));
    guarded.check(&scratch, &url).env("HOME", scratch.path().to_str().unwrap()).run().exits(0);
}

#[test]
fn a_password_file_that_others_can_read_is_refused_and_named() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let file = password_file(&scratch, "*:*:*:*:x");
    for mode in [0o640, 0o604, 0o660, 0o644] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let why = format!(
            "password file {file} is not used because others can read it; run chmod 600 on it"
        );
        let url = format!("{} user=secret passfile={file}", guarded.at("127.0.0.1"));
        let outcome = guarded.check(&scratch, &url).run();
        assert!(outcome.stderr.contains(&why), "{}", outcome.stderr);
        assert!(outcome.told().ends_with("no password is known for this server"), "{outcome:?}");
        // If the server requires no password, only the warning is printed.
        let url = format!("{} user=reader passfile={file}", guarded.at("127.0.0.1"));
        let outcome = guarded.check(&scratch, &url).run();
        assert!(outcome.exits(0).stderr.contains(&format!("warning: {why}")), "{}", outcome.stderr);
    }
}

#[test]
fn options_and_unknown_keywords_are_refused() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let services = "[a]\noptions=-c x=y\n[b]\nhots=h\n[c]\nhost\n";
    let services = scratch.file("services", services);
    for (url, why) in [
        (
            "postgres://u@h/d?options=-csearch_path%3Dx",
            "\"options\" cannot be used: it would stay with a pooled connection",
        ),
        ("host=h options='-c search_path=x'", "\"options\" cannot be used"),
        ("service=a", "\"options\" cannot be used"),
        ("hots=h", "connection parameter 1 is unknown; did you mean \"host\"?"),
        (
            "postgres://u@h/d?sslmod=require",
            "connection parameter 1 is unknown; did you mean \"sslmode\"?",
        ),
        ("service=b", "connection parameter 1 is unknown; did you mean \"host\"?"),
        ("service=c", "line 6: it has no \"=\""),
        ("nonsense", "it is neither a URL nor key=value pairs"),
        ("host='h", "a quote is never closed"),
        ("postgres://u@[::1/d", "a \"[\" is never closed"),
        ("host=h sslmode=verify_full", "\"sslmode\" takes disable"),
        ("host=h port=none", "\"port\" takes a number from 1 to 65535"),
        ("host=a,b,c port=1,2", "2 ports are named for 3 hosts"),
        ("host=h hostaddr=nowhere", "\"hostaddr\" takes an IP address"),
        (
            "host=h target_session_attrs=any-standby",
            "\"target_session_attrs\" takes any, read-write",
        ),
    ] {
        let program = guarded.check(&scratch, url).env("PGSERVICEFILE", services.to_str().unwrap());
        let told = program.run().told();
        assert!(told.starts_with("error: the connection of the source cannot be used: "), "{told}");
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn no_password_is_ever_shown() {
    let (guarded, scratch) = (guarded(), Scratch::new());
    let (port, at) = (guarded.cluster.port, guarded.at("127.0.0.1"));
    for url in [
        format!("postgres://secret:{CANARY}@127.0.0.1:{port}/app"),
        format!("{at} user=secret password={CANARY}"),
        format!("{at} user=secret password='{CANARY}"),
        format!("{at} user=secret password={CANARY} sslmod=x"),
        // A password that should have been percent-encoded: its rest resembles other parts of the
        // URL.
        format!("postgres://secret:{CANARY}/rest@127.0.0.1:{port}/app"),
        format!("postgres://secret:{CANARY}?rest=@127.0.0.1:{port}/app"),
        format!("postgres://secret:first/{CANARY}@127.0.0.1:{port}/app"),
        format!("postgres://secret:first?{CANARY}@127.0.0.1:{port}/app"),
        format!("postgres://secret:first?{CANARY}=@127.0.0.1:{port}/app"),
        format!("postgres://secret:first%zz{CANARY}@127.0.0.1:{port}/app"),
        // A password that should have been quoted.
        format!("{at} user=secret password=first {CANARY}"),
        format!("{at} password=first {CANARY} user=secret"),
        format!("{at} password=first {CANARY}=last user=secret"),
    ] {
        let outcome = guarded.check(&scratch, &url).arg("-vv").run();
        outcome.told();
        assert!(!format!("{outcome:?}").contains("CANARY"), "{url}\n{}", outcome.stderr);
    }
    let outcome = guarded.check(&scratch, &format!("{at} user=secret")).env("PGPASSWORD", CANARY);
    assert!(!format!("{:?}", outcome.run()).contains(CANARY));
}
