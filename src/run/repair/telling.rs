//! What changes free and take of indexes whose values only the server knows: it tells them, of the row
//! before and after, while a repair is made.

use std::collections::BTreeSet;

use super::changes::ToldValues;
use super::holding::Draft;
use super::member::ANY;
use crate::pg::{Remedy, Row};
use crate::repair::{Act, Scope};
use crate::run::blocked::Blocked;
use crate::run::work::hands::Hands;
use crate::schema::{ColumnName, Side, StoredColumn};
use crate::sql;

/// A row of which an index's values are asked: which draft's, whether as it becomes, and a column, by
/// place among the stored ones, that is NULL in it.
struct Asked {
    draft: usize,
    new: bool,
    without: Option<usize>,
}

/// Tells the values of drafts, and puts down why one is none where an index refuses its row.
pub(in crate::run) async fn tell(
    hands: &Hands<'_>,
    written: Side,
    scope: &Scope,
    drafts: &[Draft<'_>],
    refused: &mut [Option<String>],
) -> Result<ToldValues, Blocked> {
    let width = scope.told().count();
    let mut told = ToldValues::default();
    if width == 0 || drafts.is_empty() {
        return Ok(told);
    }
    told.values = vec![[None; 2]; width * drafts.len()];
    let mut parts = vec![0..drafts.len()];
    while let Some(range) = parts.pop() {
        let asked: Vec<Asked> =
            range.clone().flat_map(|draft| rows_of(scope, draft, &drafts[draft])).collect();
        match hands.ask(written, statement(scope, drafts, &asked)).await {
            Ok(rows) => {
                for (asked, row) in asked.iter().zip(&rows) {
                    take(&mut told, asked, row, width).map_err(|error| (Some(written), error))?;
                }
            }
            // The server does not say which row it refuses.
            Err((_, error)) if error.remedy == Remedy::Isolate => match range.len() {
                0 | 1 => {
                    let why = format!("whose values a unique index of the {written} refuses");
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
    for (draft, values) in drafts.iter().zip(told.values.chunks_mut(width)) {
        for ((unique, index), value) in scope.told().zip(values) {
            let touched = unique.columns.iter().any(|column| draft.changes(scope, column));
            let same = value[0] == value[1] && !index.coarse;
            if draft.act == Act::Update && (same || !touched) {
                *value = [None; 2];
            }
            if draft.act == Act::Insert && unique.columns.iter().any(|c| filled_in(scope, c)) {
                value[1] = Some(ANY);
            }
        }
    }
    Ok(told)
}

fn take(
    told: &mut ToldValues,
    asked: &Asked,
    row: &Row,
    width: usize,
) -> Result<(), crate::pg::PgError> {
    for at in 0..width {
        let value: Option<i64> = row.get(at)?;
        match asked.without {
            Some(column) if value.is_some() => {
                told.held.insert((at, column));
            }
            Some(_) => {}
            None => told.values[asked.draft * width + at][usize::from(asked.new)] = value,
        }
    }
    Ok(())
}

/// The rows to ask about of a draft; with each column that may be NULL for a while, also without it.
fn rows_of(scope: &Scope, draft: usize, of: &Draft<'_>) -> Vec<Asked> {
    let mut asked = Vec::new();
    for new in [false, true] {
        let image = if new { &of.change.new } else { &of.change.old };
        if image.is_none() {
            continue;
        }
        asked.push(Asked { draft, new, without: None });
        let columns = needed(scope).into_iter().filter(|column| {
            let column = &scope.stored.columns[*column];
            of.act == Act::Update && !column.not_null && of.changes(scope, &column.name)
        });
        asked.extend(columns.map(|column| Asked { draft, new, without: Some(column) }));
    }
    asked
}

/// The columns that told indexes are made of, by place among the stored ones.
fn needed(scope: &Scope) -> Vec<usize> {
    let made: BTreeSet<&ColumnName> =
        scope.told().flat_map(|(unique, _)| &unique.columns).collect();
    let columns = scope.stored.columns.iter().enumerate();
    columns.filter(|(_, column)| made.contains(&column.name)).map(|(place, _)| place).collect()
}

fn statement(scope: &Scope, drafts: &[Draft<'_>], asked: &[Asked]) -> sql::Statement {
    let needed = needed(scope);
    let texts: Vec<Vec<Option<&str>>> = needed
        .iter()
        .map(|column| {
            let text = |asked: &Asked| match asked.without {
                Some(without) if without == *column => None,
                _ => drafts[asked.draft].text(scope, *column, asked.new),
            };
            asked.iter().map(text).collect()
        })
        .collect();
    let stored = &scope.stored.columns;
    let generated: Vec<&StoredColumn> = stored
        .iter()
        .filter(|column| scope.told().any(|(_, told)| told.generated.contains(&column.name)))
        .collect();
    let values: Vec<&str> = scope.told().map(|(_, told)| told.value.as_str()).collect();
    let columns: Vec<&StoredColumn> = needed.iter().map(|column| &stored[*column]).collect();
    sql::index_values(&values, &columns, &generated, &texts, asked.len())
}

/// Whether an insert leaves a column to its default.
fn filled_in(scope: &Scope, name: &ColumnName) -> bool {
    let Some(place) = scope.stored.columns.iter().position(|column| column.name == *name) else {
        return false;
    };
    let column = &scope.stored.columns[place];
    let server = column.has_default || column.identity != crate::schema::Identity::None;
    server && !scope.filled.iter().any(|filled| filled.column == place)
}

impl Draft<'_> {
    /// What a column holds, before or afterwards.
    fn text(&self, scope: &Scope, column: usize, new: bool) -> Option<&str> {
        let image = scope.image(self.act).iter().position(|(stored, _)| *stored == column);
        let images = if new { &self.change.new } else { &self.change.old };
        match (image, images) {
            (Some(at), Some(image)) => image[at].as_deref(),
            _ => self.stored.get(column).copied().flatten(),
        }
    }

    /// Whether it changes a column.
    fn changes(&self, scope: &Scope, name: &ColumnName) -> bool {
        let named = |place: &usize| scope.stored.columns[*place].name == *name;
        let place = (0..scope.stored.columns.len()).find(named);
        place.is_some_and(|at| self.text(scope, at, false) != self.text(scope, at, true))
    }
}
