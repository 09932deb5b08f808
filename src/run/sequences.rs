//! Reads the target's sequences for the gate: their last values, and the largest keys in the columns that
//! they fill and a mapping writes. Read only, and from indexes where there are any.

use std::ops::RangeInclusive;

use super::repair::catalog;
use crate::gate::Sequence;
use crate::pg::{Catalog, LastKeyQuery, PgError, Remedy};
use crate::plan::{Expression, MappingPlan};
use crate::prepare::{Prepared, retry};
use crate::problem::Problem;
use crate::schema::{Numerals, SequenceLink, Side, TableName};

/// A sequence that fills a column which a mapping writes.
struct FilledSequence<'p> {
    plan: &'p MappingPlan,
    table: &'p TableName,
    link: SequenceLink,
    numerals: Numerals,
    holds: RangeInclusive<i64>,
    redacted: bool,
}

/// Reads the sequences of every mapping's target.
///
/// # Errors
/// What the target reports, or every sequence that the role may not read.
pub async fn sequences(prepared: &Prepared) -> Result<Vec<Sequence>, Vec<Problem>> {
    retry(async || ask_sequences(prepared).await).await
}

async fn ask_sequences(prepared: &Prepared) -> Result<Vec<Sequence>, Vec<Problem>> {
    let of_target = |error: PgError| vec![Problem::from((Some(Side::Target), error))];
    let connection = prepared.pools.target.acquire().await.map_err(of_target)?;
    let catalog = catalog(prepared, &connection, Side::Target);
    let found = ask(prepared, &catalog).await;
    connection.give_back().await;
    found
}

async fn ask(prepared: &Prepared, catalog: &Catalog<'_>) -> Result<Vec<Sequence>, Vec<Problem>> {
    let of_target = |error: PgError| vec![Problem::from((Some(Side::Target), error))];
    let plans = prepared.plans.iter().filter_map(|plan| {
        let side = &plan.sides.target;
        Some((plan, side.reads.table()?, side.shape.relation?))
    });
    let plans: Vec<(&MappingPlan, &TableName, u32)> = plans.collect();
    let tables: Vec<(&TableName, u32)> = plans.iter().map(|(_, name, oid)| (*name, *oid)).collect();
    let links = catalog.read_sequence_links(&tables).await.map_err(of_target)?;
    let mut filled = Vec::new();
    for ((plan, table, _), links) in plans.into_iter().zip(links) {
        filled.extend(links.into_iter().filter_map(|link| {
            let (numerals, holds) = written(plan, &link)?;
            let redacted = plan.pairs.iter().any(|pair| {
                pair.settings.redact && pair.sides.target.expression.reads(&link.column)
            });
            Some(FilledSequence { plan, table, link, numerals, holds, redacted })
        }));
    }
    let hidden = filled.iter().map(|filled| &filled.link).filter(|link| !link.readable);
    let hidden: Vec<Problem> = hidden.map(|link| unreadable(prepared, link)).collect();
    if !hidden.is_empty() {
        return Err(hidden);
    }
    let keys = filled.iter().map(|FilledSequence { table, link, numerals, .. }| LastKeyQuery {
        table,
        column: &link.column,
        numerals: *numerals,
        largest: link.increment >= 0,
        sequence: &link.sequence,
    });
    let keys = catalog.read_last_keys(&keys.collect::<Vec<_>>()).await.map_err(of_target)?;
    let standby = prepared.servers.target.standby;
    let sequences = filled.into_iter().zip(keys).map(|(filled, (last_key, state))| {
        let FilledSequence { plan, table, link, holds, redacted, .. } = filled;
        let SequenceLink { column, sequence, increment, end, .. } = link;
        let (last_value, is_called) = state?;
        let (last_key, unknown) = match last_key {
            Ok(last_key) => (last_key, None),
            // It could not be read in time.
            Err(error) if matches!(error.remedy, Remedy::Shrink | Remedy::Conflict) => {
                (None, Some(error.message))
            }
            Err(error) => return Err(error),
        };
        Ok(Sequence {
            mapping: plan.name.clone(),
            name: sequence,
            table: table.clone(),
            column,
            last_value,
            is_called,
            increment,
            end,
            holds,
            last_key,
            redacted,
            unknown,
            standby,
        })
    });
    sequences.collect::<Result<_, _>>().map_err(of_target)
}

/// Returns how the column writes whole numbers, and which it holds; `None` if the mapping does not
/// write it, or it has none.
fn written(plan: &MappingPlan, link: &SequenceLink) -> Option<(Numerals, RangeInclusive<i64>)> {
    let mut written = plan.pairs.iter().map(|pair| &pair.sides.target);
    let side = written.find(
        |side| matches!(&side.expression, Expression::Column(name) if *name == link.column),
    )?;
    Some((Numerals::of(&side.column_type)?, Numerals::held(&side.column_type)))
}

fn unreadable(prepared: &Prepared, link: &SequenceLink) -> Problem {
    let (name, role) = (&link.sequence, &prepared.servers.target.role);
    let message = format!("role \"{role}\" may not read sequence {name} of the target");
    Problem::new(message).with_hint(format!("GRANT SELECT ON SEQUENCE {name} TO {role};"))
}
