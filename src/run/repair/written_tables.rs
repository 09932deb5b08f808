//! The tables that are written, as the catalog of their server describes them.

use std::collections::BTreeMap;

use crate::pg::{Catalog, Connection, PgError, RELATIONS_AT_ONCE, ReadSettings};
use crate::plan::MappingPlan;
use crate::prepare::Prepared;
use crate::problem::Problem;
use crate::repair::{RepairItem, TableIdentity};
use crate::repair_plan::{MappingProblem, RepairError, RepairOptions, WrittenTable, check_table};
use crate::schema::{BySide, Relation, Side, TableName};
use crate::spec::Reads;

/// Takes a connection of each side.
pub(super) async fn acquire_both(prepared: &Prepared) -> Result<BySide<Connection>, Problem> {
    let connection = async |side: Side| {
        let connection = prepared.pools[side].acquire().await;
        connection.map_err(|error| Problem::from((Some(side), error)))
    };
    Ok(BySide { source: connection(Side::Source).await?, target: connection(Side::Target).await? })
}

/// Reads the relation of a mapping's table.
pub(super) async fn read_relation(
    plan: &MappingPlan,
    side: Side,
    catalog: &Catalog<'_>,
) -> Result<Relation, Problem> {
    let Reads::Table(table) = &plan.sides[side].reads else {
        let message = format!(
            "mapping \"{}\": the {side} is a query; only a table can be repaired",
            plan.name
        );
        return Err(Problem::new(message));
    };
    let gone = || PgError::unexpected(format!("table {} is gone", table.value));
    let found = catalog
        .read_table(&table.value, plan.sides[side].only)
        .await
        .and_then(|found| found.ok_or_else(gone));
    found.map_err(|error| Problem::from((Some(side), error)))
}

/// Makes the catalog of one side.
pub(crate) fn catalog<'l>(
    prepared: &'l Prepared,
    connection: &'l Connection,
    side: Side,
) -> Catalog<'l> {
    let timeout = prepared.spec.compare.statement_timeout;
    Catalog {
        connection,
        own: ReadSettings::new(&[], timeout),
        operators: ReadSettings::new(&prepared.spec.sides[side].search_path, timeout),
        params: &prepared.spec.params,
        side,
        most: RELATIONS_AT_ONCE,
    }
}

/// Makes the sessions of both sides.
pub(super) fn sessions(prepared: &Prepared) -> BySide<ReadSettings> {
    let timeout = prepared.spec.compare.statement_timeout;
    BySide::new(|side| ReadSettings::new(&prepared.spec.sides[side].search_path, timeout))
}

/// Reads the definition of a table.
pub(super) async fn read_identity(
    table: &TableName,
    relation: &Relation,
    catalog: &Catalog<'_>,
) -> Result<TableIdentity, PgError> {
    let oid = relation.oid.unwrap_or(0);
    let definition = catalog.read_definition(oid).await?;
    Ok(TableIdentity { table: table.clone(), oid, definition })
}

/// Reads the tables of all mappings and checks whether they can be written.
///
/// # Errors
/// The problems of all mappings at once.
pub(super) async fn read_written_tables(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[RepairItem]>,
    connection: &Connection,
) -> Result<BTreeMap<usize, WrittenTable>, RepairError> {
    let written = options.authority.other();
    let catalog = catalog(prepared, connection, written);
    let (mut problems, mut tables) = (Vec::new(), BTreeMap::new());
    for (mapping, wanted) in wanted {
        let plan = &plans[*mapping];
        if matches!(plan.sides[written].reads, Reads::Query(_)) {
            let reason = format!("the {written} is a query; only a table can be repaired");
            let hint = "Leave it out with --mapping.";
            problems.push(MappingProblem::new(*mapping, reason, hint));
            continue;
        }
        let relation = read_relation(plan, written, &catalog).await?;
        let oid = relation.oid.unwrap_or(0);
        let at_written = |error| Problem::from((Some(written), error));
        let stored = catalog.read_stored_table(oid).await.map_err(at_written)?;
        let rights =
            catalog.read_privileges(oid, &prepared.servers[written]).await.map_err(at_written)?;
        let beyond = catalog.read_cascades(&stored.referrers).await.map_err(at_written)?;
        match check_table((*mapping, plan), wanted, (stored, beyond), options) {
            Ok(scope) => {
                let identity = read_identity(&scope.table, &relation, &catalog).await;
                let identity = identity.map_err(at_written)?;
                tables.insert(*mapping, WrittenTable { scope, identity, rights });
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(tables) } else { Err(RepairError::Mappings(problems)) }
}
