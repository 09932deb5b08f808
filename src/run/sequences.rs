//! What the gate asks the target: how far its sequences are, and how far the columns that they fill
//! and a mapping writes. Read only, and from indexes where there are any.

use std::ops::RangeInclusive;

use super::Prepared;
use super::blocked::Blocked;
use super::repair::target::{catalog, relation_of};
use super::retried::retried;
use crate::gate::Sequence;
use crate::pg::{Catalog, PgError, Remedy};
use crate::plan::{Expression, MappingPlan};
use crate::schema::{ColumnName, Numerals, SequenceLink, Side, TableName};
use crate::spec::Reads;

/// Asks for the sequences of every mapping's target.
///
/// # Errors
/// What the target says, or every sequence that the role may not read.
pub async fn sequences(prepared: &Prepared) -> Result<Vec<Sequence>, Vec<Blocked>> {
    retried(async || ask_sequences(prepared).await).await
}

async fn ask_sequences(prepared: &Prepared) -> Result<Vec<Sequence>, Vec<Blocked>> {
    let of_target = |error: PgError| vec![Blocked::from((Some(Side::Target), error))];
    let lease = prepared.pools.target.lease().await.map_err(of_target)?;
    let catalog = catalog(prepared, &lease, Side::Target);
    let mut sequences: Vec<Sequence> = Vec::new();
    let mut blocked = Vec::new();
    for plan in &prepared.plans {
        match of_mapping(prepared, plan, &catalog).await {
            Ok(found) => sequences.extend(found),
            Err(found) => blocked.extend(found),
        }
    }
    lease.give_back().await;
    if blocked.is_empty() { Ok(sequences) } else { Err(blocked) }
}

async fn of_mapping(
    prepared: &Prepared,
    plan: &MappingPlan,
    catalog: &Catalog<'_>,
) -> Result<Vec<Sequence>, Vec<Blocked>> {
    let of_target = |error: PgError| vec![Blocked::from((Some(Side::Target), error))];
    let Reads::Table(table) = &plan.sides.target.reads else { return Ok(Vec::new()) };
    let relation = relation_of(plan, Side::Target, catalog).await.map_err(|error| vec![error])?;
    let links = catalog.sequence_links(relation.oid.unwrap_or(0)).await.map_err(of_target)?;
    let judged = |link| written(plan, &link).map(|(numerals, held)| (link, numerals, held));
    let links: Vec<_> = links.into_iter().filter_map(judged).collect();
    let hidden = links.iter().map(|(link, ..)| link).filter(|link| !link.readable);
    let hidden: Vec<Blocked> = hidden.map(|link| unreadable(prepared, link)).collect();
    if !hidden.is_empty() {
        return Err(hidden);
    }
    let standby = prepared.servers.target.standby;
    let mut sequences = Vec::new();
    for (link, numerals, holds) in links {
        let SequenceLink { column, sequence, increment, end, .. } = link;
        // First the column: a number that is given meanwhile must not look like one too many.
        let last_key = last_key(catalog, &table.value, (&column, numerals), increment >= 0);
        let (last_key, unknown) = last_key.await.map_err(of_target)?;
        let state = catalog.sequence_state(&sequence).await;
        let (last_value, is_called) = state.map_err(of_target)?;
        sequences.push(Sequence {
            mapping: plan.name.clone(),
            name: sequence,
            table: table.value.clone(),
            column,
            last_value,
            is_called,
            increment,
            end,
            holds,
            last_key,
            unknown,
            standby,
        });
    }
    Ok(sequences)
}

/// The last number of a column, or why it could not be had in time.
async fn last_key(
    catalog: &Catalog<'_>,
    table: &TableName,
    column: (&ColumnName, Numerals),
    largest: bool,
) -> Result<(Option<i128>, Option<String>), PgError> {
    match catalog.last_key(table, column, largest).await {
        Ok(last_key) => Ok((last_key, None)),
        Err(error) if error.remedy == Remedy::Shrink => Ok((None, Some(error.message))),
        Err(error) => Err(error),
    }
}

/// How the column writes whole numbers, and which it holds; nothing if the mapping does not write it,
/// or it has none.
fn written(plan: &MappingPlan, link: &SequenceLink) -> Option<(Numerals, RangeInclusive<i64>)> {
    let mut written = plan.pairs.iter().map(|pair| &pair.sides.target);
    let side = written.find(
        |side| matches!(&side.expression, Expression::Column(name) if *name == link.column),
    )?;
    Some((Numerals::of(&side.column_type)?, Numerals::held(&side.column_type)))
}

fn unreadable(prepared: &Prepared, link: &SequenceLink) -> Blocked {
    let (name, role) = (&link.sequence, &prepared.servers.target.role);
    let message = format!("role \"{role}\" may not read sequence {name} of the target");
    Blocked::new(message).hinted(format!("GRANT SELECT ON SEQUENCE {name} TO {role};"))
}
