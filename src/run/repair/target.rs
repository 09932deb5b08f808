//! The table that is written, as its server describes it: what may be done to it, and by whom.

use std::collections::BTreeMap;

use super::refusal::{Refusal, Unmade};
use crate::pg::{Catalog, Connection, PgError, RELATIONS_AT_ONCE, ReadSettings};
use crate::plan::MappingPlan;
use crate::repair::{Act, Scope, TableIdentity, Wanted};
use crate::run::Prepared;
use crate::run::blocked::Blocked;
use crate::run::options::RepairOptions;
use crate::schema::{BySide, Relation, Side, TableName, TablePrivileges};
use crate::spec::Reads;

/// A connection of each side.
pub(in crate::run) async fn lease_both(prepared: &Prepared) -> Result<BySide<Connection>, Blocked> {
    let lease = async |side: Side| {
        let lease = prepared.pools[side].acquire().await;
        lease.map_err(|error| Blocked::from((Some(side), error)))
    };
    Ok(BySide { source: lease(Side::Source).await?, target: lease(Side::Target).await? })
}

/// What the written side's catalog says of a mapping's table.
pub(in crate::run) async fn relation_of(
    plan: &MappingPlan,
    side: Side,
    catalog: &Catalog<'_>,
) -> Result<Relation, Blocked> {
    let Reads::Table(table) = &plan.sides[side].reads else {
        let message = format!(
            "mapping \"{}\": the {side} is a query; only a table can be repaired",
            plan.name
        );
        return Err(Blocked::new(message));
    };
    let gone = || PgError::unexpected(format!("table {} is gone", table.value));
    let found = catalog
        .read_table(&table.value, plan.sides[side].only)
        .await
        .and_then(|found| found.ok_or_else(gone));
    found.map_err(|error| Blocked::from((Some(side), error)))
}

pub(in crate::run) fn catalog<'l>(
    prepared: &'l Prepared,
    lease: &'l Connection,
    side: Side,
) -> Catalog<'l> {
    let timeout = prepared.spec.compare.statement_timeout;
    Catalog {
        lease,
        own: ReadSettings::new(&[], timeout),
        operators: ReadSettings::new(&prepared.spec.sides[side].search_path, timeout),
        params: &prepared.spec.params,
        side,
        most: RELATIONS_AT_ONCE,
    }
}

pub(in crate::run) fn sessions(prepared: &Prepared) -> BySide<ReadSettings> {
    let timeout = prepared.spec.compare.statement_timeout;
    BySide::new(|side| ReadSettings::new(&prepared.spec.sides[side].search_path, timeout))
}

pub(in crate::run) async fn identity(
    table: &TableName,
    relation: &Relation,
    catalog: &Catalog<'_>,
) -> Result<TableIdentity, PgError> {
    let oid = relation.oid.unwrap_or(0);
    let definition = catalog.read_definition(oid).await?;
    Ok(TableIdentity { table: table.clone(), oid, definition })
}

/// A table that is to be written.
pub(in crate::run) struct Target {
    pub(in crate::run) scope: Scope,
    pub(in crate::run) identity: TableIdentity,
    pub(in crate::run) rights: TablePrivileges,
}

/// Judges each mapping that is to be written; every refusal at once.
pub(in crate::run) async fn judge(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[Wanted]>,
    lease: &Connection,
) -> Result<BTreeMap<usize, Target>, Unmade> {
    let written = options.authority.other();
    let catalog = catalog(prepared, lease, written);
    let mut refused = Vec::new();
    let mut targets = BTreeMap::new();
    for (place, wanted) in wanted {
        let plan = &plans[*place];
        if matches!(plan.sides[written].reads, Reads::Query(_)) {
            let why = format!("the {written} is a query; only a table can be repaired");
            let hint = "Leave it out with --mapping.".to_owned();
            refused.push(Refusal { place: *place, why, hint });
            continue;
        }
        let relation = relation_of(plan, written, &catalog).await?;
        let oid = relation.oid.unwrap_or(0);
        let at_side = |error| Blocked::from((Some(written), error));
        let stored = catalog.read_stored_table(oid).await.map_err(at_side)?;
        let rights =
            catalog.read_privileges(oid, &prepared.servers[written]).await.map_err(at_side)?;
        let beyond = catalog.read_cascades(&stored.referrers).await.map_err(at_side)?;
        let judged = Scope::of(plan, written, stored, beyond).and_then(|scope| {
            let asked = |act: &&Act| {
                wanted.iter().any(|wanted| wanted.act(options.authority) == Some(**act))
            };
            let refusals = |act: &Act| scope.refusals(*act, options.triggers);
            let why: Vec<String> = options.kinds.iter().filter(asked).flat_map(refusals).collect();
            if why.is_empty() { Ok(scope) } else { Err(why) }
        });
        match judged {
            Ok(scope) => {
                let identity =
                    identity(&scope.table, &relation, &catalog).await.map_err(at_side)?;
                targets.insert(*place, Target { scope, identity, rights });
            }
            Err(why) => refused.extend(why.into_iter().map(|why| {
                let hint =
                    "Leave it out with --mapping or --kinds, or change the spec or the table.";
                Refusal { place: *place, why, hint: hint.to_owned() }
            })),
        }
    }
    if refused.is_empty() { Ok(targets) } else { Err(Unmade::Refused(refused)) }
}

/// Privileges on a table that an act needs and the role has not. To lock a row is to update it.
pub(in crate::run) fn missing(act: Act, rights: &TablePrivileges) -> Vec<&'static str> {
    let needs = match act {
        Act::Insert => [(rights.insert, "INSERT"), (true, "")],
        Act::Update => [(rights.update, "UPDATE"), (true, "")],
        Act::Delete => [(rights.delete, "DELETE"), (rights.update, "UPDATE")],
    };
    needs.into_iter().filter(|(has, _)| !has).map(|(_, name)| name).collect()
}
