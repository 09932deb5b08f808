//! What changes free and take of indexes whose values only the server knows: it tells them, of the row
//! before and after, while a repair is made.

use std::collections::BTreeMap;

use super::changes::ToldValues;
use super::holding::Draft;
use super::member::ANY;
use crate::pg::{PgError, Remedy, Row};
use crate::repair::{Operation, WritableMapping, placeholder_for, placeholder_sql};
use crate::run::blocked::Blocked;
use crate::run::work::hands::Hands;
use crate::schema::{ColumnName, Side, StoredColumn};
use crate::sql;

/// A row of which is asked: which draft's, whether as it becomes, and what stands in a column, by place
/// among the stored ones: a text, or NULL.
struct Asked<'s> {
    draft: usize,
    new: bool,
    instead: Option<(usize, Option<&'s str>)>,
}

/// Tells the values of drafts, and puts down why one is none where an index refuses its row.
pub(in crate::run) async fn tell(
    hands: &Hands<'_>,
    written: Side,
    scope: &WritableMapping,
    drafts: &[Draft<'_>],
    refused: &mut [Option<String>],
) -> Result<ToldValues, Blocked> {
    let width = scope.opaque_uniques().count();
    let mut told = ToldValues::default();
    let checked: Vec<usize> =
        checked(scope).filter(|column| drafts.iter().any(|d| d.sets(scope, *column))).collect();
    if width == 0 && checked.is_empty() || drafts.is_empty() {
        return Ok(told);
    }
    let standins = standins(hands, written, scope, &checked, drafts.len()).await?;
    told.values = vec![[None; 2]; width * drafts.len()];
    let mut parts: Vec<_> = std::iter::once(0..drafts.len()).collect();
    while let Some(range) = parts.pop() {
        let asked: Vec<Asked<'_>> = range
            .clone()
            .flat_map(|draft| rows_of(scope, draft, &drafts[draft], &checked, &standins))
            .collect();
        if asked.is_empty() {
            continue;
        }
        match hands.ask(written, statement(scope, drafts, &asked, &checked)).await {
            Ok(rows) => {
                for (asked, row) in asked.iter().zip(&rows) {
                    take(&mut told, asked, row, (width, &checked))
                        .map_err(|error| (Some(written), error))?;
                }
            }
            // The server does not say which row it refuses.
            Err((_, error)) if error.remedy == Remedy::Isolate => match range.len() {
                0 | 1 => {
                    let why = format!("whose values an index or a CHECK of the {written} refuses");
                    refused[range.start].get_or_insert(why);
                }
                length => {
                    let middle = range.start + length / 2;
                    parts.extend([middle..range.end, range.start..middle]);
                }
            },
            Err(error) => return Err(error.into()),
        }
    }
    for (draft, values) in drafts.iter().zip(told.values.chunks_mut(width.max(1))) {
        for ((unique, index), value) in scope.opaque_uniques().zip(values) {
            let touched = unique.columns.iter().any(|column| draft.changes(scope, column));
            let same = value[0] == value[1] && !index.coarse;
            if draft.act == Operation::Update && (same || !touched) {
                *value = [None; 2];
            }
            if draft.act == Operation::Insert && unique.columns.iter().any(|c| filled_in(scope, c))
            {
                value[1] = Some(ANY);
            }
        }
    }
    Ok(told)
}

fn take(
    told: &mut ToldValues,
    asked: &Asked<'_>,
    row: &Row,
    (width, checked): (usize, &[usize]),
) -> Result<(), PgError> {
    let limits = &mut told.limits;
    for at in 0..width {
        let value: Option<i64> = row.get(at)?;
        match asked.instead {
            Some((column, None)) if value.is_some() => {
                limits.held.insert((at, column));
            }
            Some(_) => {}
            None => told.values[asked.draft * width + at][usize::from(asked.new)] = value,
        }
    }
    for (at, column) in checked.iter().enumerate() {
        let passes: bool = row.get(width + at)?;
        if let Some((instead, text)) = asked.instead.filter(|(instead, _)| instead == column)
            && !passes
        {
            limits.refused.insert((instead, text.is_none()));
        }
    }
    Ok(())
}

/// The rows to ask about of a draft; with each column that something may stand in for, also with that.
fn rows_of<'s>(
    scope: &WritableMapping,
    draft: usize,
    of: &Draft<'_>,
    checked: &[usize],
    standins: &'s BTreeMap<usize, Option<String>>,
) -> Vec<Asked<'s>> {
    let mut asked = Vec::new();
    for new in [false, true] {
        let image = if new { &of.change.new } else { &of.change.old };
        if image.is_none() {
            continue;
        }
        if scope.opaque_uniques().next().is_some() {
            asked.push(Asked { draft, new, instead: None });
        }
        let nullable = (0..scope.stored.columns.len()).filter(|column| {
            let known = made_of(scope, *column) || checked.contains(column);
            known && !scope.stored.columns[*column].not_null && of.sets(scope, *column)
        });
        asked.extend(nullable.map(|c| Asked { draft, new, instead: Some((c, None)) }));
        let others = checked.iter().filter(|column| of.sets(scope, **column));
        let others = others.filter_map(|c| Some((*c, Some(standins.get(c)?.as_deref()?))));
        asked.extend(others.map(|instead| Asked { draft, new, instead: Some(instead) }));
    }
    asked
}

/// Columns of indexes that CHECK constraints look at: they may refuse what stands in.
fn checked(scope: &WritableMapping) -> impl Iterator<Item = usize> {
    let columns = scope.stored.columns.iter().enumerate();
    let checked = columns.filter(|(_, column)| column.checks.is_some());
    let made = checked.filter(|(_, c)| scope.uniques().any(|u| u.columns.contains(&c.name)));
    made.map(|(place, _)| place)
}

/// What would stand in these columns, for the last of so many rows.
async fn standins(
    hands: &Hands<'_>,
    written: Side,
    scope: &WritableMapping,
    columns: &[usize],
    rows: usize,
) -> Result<BTreeMap<usize, Option<String>>, Blocked> {
    let table = sql::quoted_table(&scope.table);
    let texts = columns.iter().filter_map(|place| {
        let column = &scope.stored.columns[*place];
        let text =
            placeholder_sql(&placeholder_for(column)?, &table, &column.name, &rows.to_string());
        Some((*place, text))
    });
    let (places, texts): (Vec<usize>, Vec<String>) = texts.unzip();
    if places.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = hands.ask(written, sql::texts(&texts)).await?;
    let Some(row) = found.first() else { return Ok(BTreeMap::new()) };
    let text = |(at, place): (usize, usize)| Ok((place, row.get(at)?));
    let texts: Result<_, PgError> = places.into_iter().enumerate().map(text).collect();
    Ok(texts.map_err(|error| (Some(written), error))?)
}

/// Whether a told index is made of a column.
fn made_of(scope: &WritableMapping, column: usize) -> bool {
    let name = &scope.stored.columns[column].name;
    scope.opaque_uniques().any(|(unique, _)| unique.columns.contains(name))
}

fn statement<'a>(
    scope: &'a WritableMapping,
    drafts: &'a [Draft<'_>],
    asked: &'a [Asked<'_>],
    checked: &[usize],
) -> sql::Statement {
    let stored = &scope.stored.columns;
    // A CHECK may look at any column.
    let wanted = |column: &usize| !checked.is_empty() || made_of(scope, *column);
    let needed: Vec<usize> =
        (0..stored.len()).filter(|at| !stored[*at].generated).filter(wanted).collect();
    let texts: Vec<Vec<Option<&str>>> = needed
        .iter()
        .map(|column| {
            let text = asked.iter().map(|asked| match asked.instead {
                Some((instead, text)) if instead == *column => text,
                _ => drafts[asked.draft].text(scope, *column, asked.new),
            });
            text.collect()
        })
        .collect();
    let told = |column: &&StoredColumn| {
        !checked.is_empty()
            || scope.opaque_uniques().any(|(_, t)| t.generated.contains(&column.name))
    };
    let generated: Vec<&StoredColumn> =
        stored.iter().filter(|c| c.generated).filter(told).collect();
    let mut values: Vec<&str> =
        scope.opaque_uniques().map(|(_, told)| told.value.as_str()).collect();
    values.extend(checked.iter().filter_map(|column| stored[*column].checks.as_deref()));
    let columns: Vec<&StoredColumn> = needed.iter().map(|column| &stored[*column]).collect();
    sql::index_values(&values, &columns, &generated, &texts, asked.len())
}

/// Whether an insert leaves a column to its default.
fn filled_in(scope: &WritableMapping, name: &ColumnName) -> bool {
    let Some(place) = scope.stored.columns.iter().position(|column| column.name == *name) else {
        return false;
    };
    let column = &scope.stored.columns[place];
    let server = column.has_default || column.identity != crate::schema::Identity::None;
    server && !scope.filled.iter().any(|filled| filled.column == place)
}

impl Draft<'_> {
    /// What a column holds, before or afterwards.
    pub(in crate::run) fn text(
        &self,
        scope: &WritableMapping,
        column: usize,
        new: bool,
    ) -> Option<&str> {
        let image = scope.image(self.act).iter().position(|(stored, _)| *stored == column);
        let images = if new { &self.change.new } else { &self.change.old };
        match (image, images) {
            (Some(at), Some(image)) => image[at].as_deref(),
            _ => self.stored.get(column).copied().flatten(),
        }
    }

    /// Whether it is an update that changes a column.
    fn sets(&self, scope: &WritableMapping, column: usize) -> bool {
        self.act == Operation::Update
            && self.text(scope, column, false) != self.text(scope, column, true)
    }

    /// Whether it changes a column.
    fn changes(&self, scope: &WritableMapping, name: &ColumnName) -> bool {
        let named = |place: &usize| scope.stored.columns[*place].name == *name;
        let place = (0..scope.stored.columns.len()).find(named);
        place.is_some_and(|at| self.text(scope, at, false) != self.text(scope, at, true))
    }
}
