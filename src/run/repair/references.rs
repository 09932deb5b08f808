//! Looks up parents and children of rows where mappings are left out of a repair: a parent may then not be
//! inserted, and a child may not be deleted. The written side is queried, because findings contain only the
//! keys of their own rows.
//!
//! Values are compared with operators of `pg_catalog` only. Foreign keys over other types, and tables that
//! the role may not read, are not looked up; the server refuses a batch that would break such a key.

use std::collections::BTreeMap;

use super::holding::Draft;
use crate::repair::{Act, Scope, ordered};
use crate::run::blocked::Blocked;
use crate::run::work::hands::Hands;
use crate::schema::{Link, Side};
use crate::sql;

/// The server's code for a privilege that the role lacks.
const NO_PRIVILEGE: &str = "42501";

/// Foreign keys of drafts on the written side, by the draft's index. A key is given by its index among the
/// keys of the table.
#[derive(Default)]
pub(in crate::run) struct References {
    /// For rows that are inserted or updated: the keys whose parent does not exist.
    pub(in crate::run) missing: BTreeMap<usize, Vec<usize>>,
    /// For rows that are deleted or updated: the keys by which other rows refer to them, and how many do.
    pub(in crate::run) referred: BTreeMap<usize, Vec<(usize, u64)>>,
}

/// Queries the foreign keys of drafts on the written side. `cascades` allows that rows are deleted or changed
/// together with the row to which they refer.
pub(in crate::run) async fn references(
    hands: &Hands<'_>,
    written: Side,
    scope: &Scope,
    drafts: &[Draft<'_>],
    cascades: bool,
) -> Result<References, Blocked> {
    let mut found = References::default();
    for (place, link) in scope.stored.parents.iter().enumerate() {
        let of_all = drafts.iter().map(|draft| values(scope, draft, link, false));
        let known = ask(hands, written, (scope, link), of_all).await?;
        for (at, rows) in known {
            if rows == 0 {
                found.missing.entry(at).or_default().push(place);
            }
        }
    }
    for (place, link) in scope.stored.referrers.iter().enumerate() {
        let follows = |act: Act| match act {
            Act::Insert => true,
            Act::Update => cascades && link.on_update.is_some(),
            Act::Delete => cascades && link.on_delete.is_some(),
        };
        let of_all = drafts.iter().map(|draft| match follows(draft.act) {
            true => None,
            false => values(scope, draft, link, true),
        });
        let known = ask(hands, written, (scope, link), of_all).await?;
        for (at, rows) in known {
            if rows > 0 {
                found.referred.entry(at).or_default().push((place, rows));
            }
        }
    }
    Ok(found)
}

/// The values of a foreign key's columns here that a draft takes, or gives up (`old`); `None` where it does
/// neither, or where one of them is NULL or not known.
fn values<'d>(scope: &Scope, draft: &'d Draft<'_>, link: &Link, old: bool) -> Option<Vec<&'d str>> {
    let places = scope.places(draft.act, link.columns.iter().map(|(own, _)| own))?;
    let changes = draft.act != Act::Update || places.iter().any(|at| draft.set.contains(at));
    let image = if old { &draft.change.old } else { &draft.change.new };
    let image = image.as_ref().filter(|_| changes)?;
    places.iter().map(|at| image.get(*at)?.as_deref()).collect()
}

/// How many rows at the other end have the values of each draft that has some, by the draft's place.
async fn ask(
    hands: &Hands<'_>,
    written: Side,
    (scope, link): (&Scope, &Link),
    of_all: impl Iterator<Item = Option<Vec<&str>>>,
) -> Result<BTreeMap<usize, u64>, Blocked> {
    let mut columns = Vec::new();
    for (own, theirs) in &link.columns {
        let stored = scope.stored.columns.iter().find(|column| column.name == *own);
        match stored.filter(|column| ordered(&column.pg_type)) {
            Some(column) => columns.push((theirs, column.type_name.as_str())),
            None => return Ok(BTreeMap::new()),
        }
    }
    let asked = of_all.enumerate().filter_map(|(at, values)| Some((at, values?)));
    let asked: Vec<(usize, Vec<&str>)> = asked.collect();
    if asked.is_empty() {
        return Ok(BTreeMap::new());
    }
    let texts: Vec<Vec<Option<&str>>> = (0..columns.len())
        .map(|column| asked.iter().map(|(_, values)| values.get(column).copied()).collect())
        .collect();
    let statement = sql::rows_with_keys(hands.plan, &link.there, &columns, &texts);
    let rows = match hands.ask(written, statement).await {
        Ok(rows) => rows,
        Err((_, error)) if error.sqlstate.as_deref() == Some(NO_PRIVILEGE) => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error.into()),
    };
    let mut known: BTreeMap<usize, u64> = asked.iter().map(|(at, _)| (*at, 0)).collect();
    for row in rows {
        let at_side = |error| Blocked::from((Some(written), error));
        let place: i64 = row.get(0).map_err(at_side)?;
        let count: i64 = row.get(1).map_err(at_side)?;
        let asked = usize::try_from(place - 1).ok().and_then(|place| asked.get(place));
        if let Some((at, _)) = asked {
            known.insert(*at, count.cast_unsigned());
        }
    }
    Ok(known)
}
