//! Facts about a server, and its transactions.

use super::statement::{Bind, Statement, Writer};

/// The name of the file that a primary writes its WAL to. It begins with the timeline.
pub(super) const WAL_FILE: &str = "case when not pg_catalog.pg_is_in_recovery()
and pg_catalog.has_function_privilege('pg_catalog.pg_walfile_name(pg_catalog.pg_lsn)', 'execute')
and pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_insert_lsn()', 'execute')
then pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn())
end as wal_file";

/// The start time of the server, and up to where a primary has flushed its WAL.
pub(super) const INSTANCE: &str =
    "pg_catalog.pg_postmaster_start_time()::pg_catalog.text as started,
case when not pg_catalog.pg_is_in_recovery()
and pg_catalog.has_function_privilege('pg_catalog.pg_current_wal_flush_lsn()', 'execute')
then pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::pg_catalog.int8
end as flushed";

/// Returns one row: version, database, role, whether the role can do more than read, encoding, whether it is
/// a standby, the cluster's identifier where the role may read it, whether the role sees the states of other
/// sessions and standbys, and the server's WAL file, start and WAL position.
pub fn server() -> Statement {
    Statement::constant(format!(
        "select pg_catalog.current_setting('server_version_num')::pg_catalog.int4 as version,
pg_catalog.current_database()::pg_catalog.text as database,
current_user::pg_catalog.text as role,
coalesce((
select r.rolsuper
or pg_catalog.pg_has_role(r.oid, 'pg_execute_server_program', 'member')
or pg_catalog.pg_has_role(r.oid, 'pg_write_server_files', 'member')
from pg_catalog.pg_roles as r
where r.rolname operator(pg_catalog.=) current_user
), true) as overprivileged,
pg_catalog.current_setting('server_encoding') as encoding,
pg_catalog.pg_is_in_recovery() as standby,
case when pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'execute')
then (select c.system_identifier::pg_catalog.text from pg_catalog.pg_control_system() as c)
end as system_identifier,
coalesce((
select pg_catalog.pg_has_role(r.oid, 'usage')
from pg_catalog.pg_roles as r
where r.rolname operator(pg_catalog.=) 'pg_read_all_stats'
), false) as monitors,
{WAL_FILE},
{INSTANCE}"
    ))
}

/// Whether a session is read only: `on` or `off`.
pub const IS_READ_ONLY: &str = "show transaction_read_only";

/// Returns the server's clock, in microseconds since 1970.
pub fn clock() -> Statement {
    Statement::constant(
        "select (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8 as micros",
    )
}

/// Returns the ID of the current transaction, as text. It assigns one if there is none.
pub fn transaction() -> Statement {
    Statement::constant("select pg_catalog.pg_current_xact_id()::pg_catalog.text")
}

/// Returns the status of a transaction: `committed`, `aborted` or `in progress`; NULL if the server no
/// longer has it. An ID in the future is an error.
pub fn transaction_status(transaction: &str) -> Statement {
    let mut writer = Writer::new(&[]);
    writer
        .push("select pg_catalog.pg_xact_status(")
        .bind(Bind::text(transaction))
        .push("::pg_catalog.xid8)");
    writer.finish()
}
