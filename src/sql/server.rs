//! What a server is asked about itself.

use super::statement::Statement;

/// One row: version, database, role, whether the role can do more than read, encoding, whether it
/// is a standby, and the cluster's identifier where the role may ask.
pub fn server() -> Statement {
    Statement::constant(
        "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4,
pg_catalog.current_database()::pg_catalog.text,
current_user::pg_catalog.text,
coalesce((
select r.rolsuper
or pg_catalog.pg_has_role(r.oid, 'pg_execute_server_program', 'member')
or pg_catalog.pg_has_role(r.oid, 'pg_write_server_files', 'member')
from pg_catalog.pg_roles as r
where r.rolname operator(pg_catalog.=) current_user
), true),
pg_catalog.current_setting('server_encoding'),
pg_catalog.pg_is_in_recovery(),
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
then (select c.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() as c)
end",
    )
}

/// One row: the hashes of a constant row that has every natively hashed type and every form in
/// which other types enter the row hash. Two servers whose answers differ (another byte order,
/// another major version that hashes otherwise, a look-alike) cannot digest for each other.
///
/// The text stays within ASCII: databases of different encodings are told apart by name.
pub fn digest_probe() -> Statement {
    Statement::constant(
        "select pg_catalog.concat_ws(' ',
pg_catalog.hashtextextended(pg_catalog.hash_record_extended(p.whole, 1)::pg_catalog.text, 1)::pg_catalog.text,
pg_catalog.hash_record_extended(p.whole, 0)::pg_catalog.text)
from (select row(
true,
'-7'::pg_catalog.int2,
'-70000'::pg_catalog.int4,
'2026-11-22'::pg_catalog.date,
'0188a1f2-3c4d-7e5f-8a6b-9c0d1e2f3a4b'::pg_catalog.uuid,
'\\x00ff10'::pg_catalog.bytea,
'a longer text, so that every block of the hash is used'::pg_catalog.text collate pg_catalog.\"C\",
null::pg_catalog.text,
pg_catalog.int8send('-5'::pg_catalog.int8),
pg_catalog.numeric_send('-12345.6789'::pg_catalog.numeric),
pg_catalog.float8send('-1.5'::pg_catalog.float8),
pg_catalog.timestamptz_send('2026-11-22 06:00:00.123456+00'::pg_catalog.timestamptz),
pg_catalog.interval_send('1 mon 2 days 03:04:05'::pg_catalog.interval),
'{\"b\": [1, 2.50], \"a\": null}'::pg_catalog.jsonb::pg_catalog.text
) as whole) as p",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_row_is_constant() {
        insta::assert_snapshot!(digest_probe().text.lines().count(), @"19");
        assert!(server().binds.is_empty() && digest_probe().binds.is_empty());
    }
}
