//! The settings that every transaction pins, so that no default of a role, database or pooler changes the
//! text of a value or how long a statement may run.
//!
//! `set local` ends with the transaction, so behind a pooler no setting outlives it.

use std::time::Duration;

use super::statement::{Bind, Statement, Writer, quoted};
use crate::schema::{Builtin, SchemaName};

/// Settings that affect texts, the meaning of expressions or the load, with the pinned values.
pub const PINNED: [(&str, &str); 17] = [
    ("row_security", "off"),
    ("timezone", "UTC"),
    ("datestyle", "ISO, YMD"),
    ("intervalstyle", "postgres"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("lc_monetary", "C"),
    ("xmlbinary", "base64"),
    ("array_nulls", "on"),
    ("transform_null_equals", "off"),
    ("quote_all_identifiers", "off"),
    ("standard_conforming_strings", "on"),
    ("jit", "off"),
    ("max_parallel_workers_per_gather", "0"),
    ("lock_timeout", "1s"),
    ("idle_in_transaction_session_timeout", "1min"),
    ("default_transaction_deferrable", "off"),
];

/// Raises `synchronous_commit` for the transaction: with `off` a crash loses reported commits, with `local`
/// a failover to a synchronous standby does. Stronger values stay. It is the operand of a SELECT or PERFORM.
pub const WAIT_FOR_COMMIT: &str = "pg_catalog.set_config('synchronous_commit', 'on', true)
  WHERE pg_catalog.current_setting('synchronous_commit') OPERATOR(pg_catalog.=) ANY ('{off,local}')";

/// Lets the server cancel a statement of this transaction whose client has disconnected, instead of running
/// it to its end. A value that the role already has stays. It is the operand of a SELECT or PERFORM.
///
/// It is no SET, because servers before version 14 lack the setting, and servers on systems that do not
/// report a closed connection accept only 0. Linux reports it.
pub const CHECK_CLIENT: &str =
    "pg_catalog.set_config('client_connection_check_interval', '1s', true)
  WHERE pg_catalog.current_setting('client_connection_check_interval', true) OPERATOR(pg_catalog.=) '0'
  AND pg_catalog.version() OPERATOR(pg_catalog.~~) '%linux%'";

/// Returns the start of a read transaction: one snapshot, read only, all settings pinned. An empty
/// `search_path` means `pg_catalog` only.
pub fn begin(search_path: &[SchemaName], statement_timeout: Duration) -> String {
    let path = match search_path {
        [] => "pg_catalog".to_owned(),
        names => names.iter().map(|name| quoted(&name.0)).collect::<Vec<_>>().join(", "),
    };
    let mut text = format!(
        "begin isolation level repeatable read read only;\n\
         set local search_path = {path};\n\
         set local statement_timeout = {};\n",
        statement_timeout.as_millis().max(1)
    );
    for (name, value) in PINNED {
        text.push_str(&format!("set local {name} = '{value}';\n"));
    }
    text.push_str(&format!("select {CHECK_CLIENT};\n"));
    text
}

/// Returns the values in effect: name and value of each pinned setting.
pub fn settings_in_effect() -> Statement {
    let mut writer = Writer::new(&[]);
    let names = PINNED.map(|(name, _)| name.as_bytes());
    writer
        .push("select s.name, pg_catalog.current_setting(s.name) as value\nfrom pg_catalog.unnest(")
        .bind(Bind::array(Builtin::Text, names.into_iter()))
        .push(") as s(name)");
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_begins_with_one_snapshot_and_pinned_settings() {
        let path = [SchemaName("public".into()), SchemaName("a\"b".into())];
        let text = begin(&path, Duration::from_secs(60));
        assert!(text.starts_with("begin isolation level repeatable read read only;\n"));
        assert!(text.contains("set local search_path = \"public\", \"a\"\"b\";\n"));
        assert!(text.contains("set local statement_timeout = 60000;\n"));
        assert!(text.contains("set local row_security = 'off';\n"));
        assert!(begin(&[], Duration::ZERO).contains("search_path = pg_catalog;"));
        assert!(text.ends_with(&format!("select {CHECK_CLIENT};\n")));
    }
}
