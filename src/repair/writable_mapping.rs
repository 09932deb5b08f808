//! What a repair can write of a mapping: which pair fills which column, and what prevents a repair.
//!
//! Values come from the side that is the source of truth, through the mapping's expressions. The
//! written side therefore has to have plain columns as its pairs. To write the source an expression
//! would have to be inverted, which is not possible in general: such mappings are refused with the
//! names of the pairs.

use std::collections::BTreeSet;

use super::change::{ChangeShape, Exchange, ImageColumn, Operation, Placeholder};
use super::equality::{coarse, ordered};
use crate::plan::{Expression, MappingPlan};
use crate::problem::Problem;
use crate::schema::{
    Builtin, ColumnName, ForeignKey, Identity, IndexValueSql, PgType, RelationKind, Side,
    StoredColumn, StoredTable, TableName, UniqueIndex,
};
use crate::spec::Reads;

/// A column of the written table that a pair fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilledColumn {
    /// The column's position among the stored ones.
    pub column: usize,
    /// The pair.
    pub pair: usize,
    /// Whether an update may set it.
    pub settable: bool,
}

/// A mapping that can be written.
#[derive(Clone, Debug)]
pub struct WritableMapping {
    /// The written table.
    pub table: TableName,
    /// Its columns, indexes and foreign keys.
    pub stored: StoredTable,
    /// The columns that pairs fill, the key's first.
    pub filled: Vec<FilledColumn>,
    key_width: usize,
    proven: bool,
    /// The names of pairs that are compared and not written.
    pub compared_only: Vec<String>,
    /// The tables that a change could reach, each with the foreign keys that refer to it.
    pub beyond: Vec<(TableName, Vec<ForeignKey>)>,
}

/// Which placeholder values the server does not accept. Columns are positions among the stored ones.
#[derive(Clone, Debug, Default)]
pub struct PlaceholderLimits {
    /// Opaque indexes in which a row has a value although the column is NULL: (index, column).
    pub held: BTreeSet<(usize, usize)>,
    /// Columns in which a CHECK constraint refuses NULL (`true`) or another placeholder (`false`).
    pub refused: BTreeSet<(usize, bool)>,
}

impl WritableMapping {
    /// Determines what can be written to a side of a mapping.
    ///
    /// # Errors
    /// Returns every reason why the mapping cannot be written, as clauses.
    pub fn of(
        plan: &MappingPlan,
        written: Side,
        stored: StoredTable,
        beyond: Vec<(TableName, Vec<ForeignKey>)>,
    ) -> Result<WritableMapping, Vec<String>> {
        let mut refused = Vec::new();
        let side = &plan.sides[written];
        let table = match (&side.reads, side.kind) {
            (Reads::Table(table), RelationKind::Table | RelationKind::Partitioned) => {
                table.value.clone()
            }
            (_, kind) => {
                let kind = kind.name();
                return Err(vec![format!(
                    "the {written} is a {kind}; only a table can be repaired"
                )]);
            }
        };
        let mut filled: Vec<FilledColumn> = Vec::new();
        let mut compared_only = Vec::new();
        for (place, pair) in plan.pairs.iter().enumerate() {
            let is_sql = |side: &Side| matches!(pair.sides[*side].expression, Expression::Sql(_));
            // To write the source, an expression of either side would have to be inverted.
            let inverted = Side::BOTH.into_iter().filter(|_| written == Side::Source).find(is_sql);
            if let Some(side) = inverted {
                refused.push(format!(
                    "pair \"{}\" is an expression of the {side}, which cannot be inverted",
                    pair.name
                ));
                continue;
            }
            let name = match &pair.sides[written].expression {
                Expression::Column(name) => name,
                Expression::Sql(_) if place < plan.key_width => {
                    refused.push(format!(
                        "key pair \"{}\" is an expression of the {written}",
                        pair.name
                    ));
                    continue;
                }
                Expression::Sql(_) => {
                    compared_only.push(pair.name.clone());
                    continue;
                }
            };
            let Some(column) = stored.columns.iter().position(|stored| stored.name == *name) else {
                refused.push(format!("column \"{name}\" of the {written} does not exist any more"));
                continue;
            };
            if filled.iter().any(|other| other.column == column) {
                refused.push(format!("two pairs fill column \"{name}\" of the {written}"));
                continue;
            }
            let found = &stored.columns[column];
            let settable =
                !found.generated && found.identity != Identity::Always && place >= plan.key_width;
            filled.push(FilledColumn { column, pair: place, settable });
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let key_width = plan.key_width;
        let proven = side.key_proof.is_some() && !stored.deferrable;
        let mut mapping =
            WritableMapping { table, stored, filled, key_width, proven, compared_only, beyond };
        let uniques = std::mem::take(&mut mapping.stored.uniques);
        mapping.stored.uniques =
            uniques.into_iter().map(|unique| mapping.simplify(unique)).collect();
        Ok(mapping)
    }

    /// Returns an index as not opaque if its values need not be computed by the server. They have to be if
    /// texts do not distinguish them, if the index has columns that no pair fills, or if a placeholder
    /// could be refused: then each row's value is needed to leave out the rows that exchange values.
    fn simplify(&self, unique: UniqueIndex) -> UniqueIndex {
        if unique.value_sql.as_ref().is_none_or(|value_sql| !value_sql.plain) {
            return unique;
        }
        let columns = self.stored.columns.iter().enumerate();
        let columns =
            || columns.clone().filter(|(_, column)| unique.columns.contains(&column.name));
        let place_of = |column: usize| self.filled.iter().position(|f| f.column == column);
        let filled = || columns().map(|(column, _)| place_of(column));
        let unneeded = unique.late
            || columns().any(|(_, column)| !column.readable)
            || filled().all(|place| place.is_some_and(|place| place < self.key_width))
            || filled().all(|place| place.is_none());
        let by_text = UniqueIndex { value_sql: None, ..unique.clone() };
        let places = self.places(Operation::Update, unique.columns.iter()).unwrap_or_default();
        let set = places.iter().copied().filter(|place| self.settable(*place)).collect();
        let has_placeholder = !places.is_empty()
            && columns().all(|(_, column)| column.checks.is_none())
            && self.exchange(&by_text, &set, &PlaceholderLimits::default()).is_ok();
        if unneeded || has_placeholder { by_text } else { unique }
    }

    /// Returns whether an update may set a column of its images.
    fn settable(&self, place: usize) -> bool {
        let column = self.image(Operation::Update)[place].0;
        self.filled.iter().any(|filled| filled.column == column && filled.settable)
    }

    /// Returns the reasons why an operation cannot be done, as clauses.
    pub fn refusals(&self, operation: Operation, triggers: bool) -> Vec<String> {
        // Uniqueness that is checked late is checked by a trigger.
        if !triggers && self.stored.deferrable && operation != Operation::Delete {
            return vec![
                "it has a deferrable unique constraint, which is not checked with triggers off"
                    .into(),
            ];
        }
        let columns = self.stored.columns.iter().enumerate();
        let filled = |place: usize| self.filled.iter().any(|filled| filled.column == place);
        match operation {
            Operation::Update => self.unreadable().collect(),
            Operation::Insert => {
                let empty = columns.clone().filter(|(place, column)| {
                    let server =
                        column.has_default || column.generated || column.identity != Identity::None;
                    column.not_null && !server && !filled(*place)
                });
                let mut refused: Vec<String> = empty
                    .map(|(_, column)| {
                        format!(
                            "column \"{}\" is NOT NULL, has no default, and no pair fills it",
                            column.name
                        )
                    })
                    .collect();
                refused.extend(self.generated_key());
                refused.extend(self.unreadable());
                refused
            }
            // The guard and the undo of a DELETE hold the whole row, or data would be lost.
            Operation::Delete => columns
                .filter(|(_, column)| !column.readable)
                .map(|(_, column)| format!("column \"{}\" may not be read", column.name))
                .chain(self.generated_key())
                .collect(),
        }
    }

    /// Returns a reason for each column of an opaque index that the role may not read.
    fn unreadable(&self) -> impl Iterator<Item = String> {
        let columns = self.stored.columns.iter().filter(|column| !column.readable);
        columns.filter_map(|column| {
            let (unique, _) =
                self.opaque_uniques().find(|(u, _)| u.columns.contains(&column.name))?;
            let (name, index) = (&column.name, &unique.name);
            Some(format!("column \"{name}\" of unique index \"{index}\" may not be read"))
        })
    }

    /// Returns a reason for each generated key column: no INSERT can set it, which a DELETE needs for its
    /// undo.
    fn generated_key(&self) -> impl Iterator<Item = String> {
        let keys = self.filled.iter().take(self.key_width);
        let columns = keys.map(|filled| &self.stored.columns[filled.column]);
        let generated = columns.filter(|column| column.generated);
        generated.map(|column| format!("key column \"{}\" is generated", column.name))
    }

    /// Returns the columns of an operation's images: the position among the stored ones, and the pair that
    /// fills it.
    pub fn image(&self, operation: Operation) -> Vec<(usize, Option<usize>)> {
        let pairs = self.filled.iter().enumerate().filter(|(at, filled)| {
            let generated = self.stored.columns[filled.column].generated;
            !generated || (operation == Operation::Update && *at < self.key_width)
        });
        let mut image: Vec<(usize, Option<usize>)> =
            pairs.map(|(_, filled)| (filled.column, Some(filled.pair))).collect();
        if operation == Operation::Delete {
            let others = self.stored.columns.iter().enumerate().filter(|(_, c)| !c.generated);
            let others: Vec<usize> = others.map(|(place, _)| place).collect();
            image.extend(
                others
                    .into_iter()
                    .filter(|place| !self.filled.iter().any(|filled| filled.column == *place))
                    .map(|place| (place, None)),
            );
        }
        image
    }

    /// Returns the positions of columns in an operation's images; `None` if one is not in them.
    pub fn places<'n>(
        &self,
        operation: Operation,
        mut names: impl Iterator<Item = &'n ColumnName>,
    ) -> Option<Vec<usize>> {
        let image = self.image(operation);
        let place = |name: &ColumnName| {
            image.iter().position(|(column, _)| self.stored.columns[*column].name == *name)
        };
        names.try_fold(Vec::new(), |mut places, name| {
            places.push(place(name)?);
            Some(places)
        })
    }

    /// Returns the unique indexes, except those whose columns are all key columns: rows with different keys
    /// do not conflict in them. In an opaque index they may.
    pub fn uniques(&self) -> impl Iterator<Item = &UniqueIndex> {
        let key = self.filled.iter().take(self.key_width);
        let key: Vec<&ColumnName> =
            key.map(|filled| &self.stored.columns[filled.column].name).collect();
        let others = self.stored.uniques.iter();
        others.filter(move |unique| {
            unique.value_sql.is_some() || !unique.columns.iter().all(|column| key.contains(&column))
        })
    }

    /// Returns the opaque unique indexes: those whose values are queried from the server for each row,
    /// because the texts of their columns do not determine them.
    pub fn opaque_uniques(&self) -> impl Iterator<Item = (&UniqueIndex, &IndexValueSql)> {
        self.uniques().filter_map(|unique| Some((unique, unique.value_sql.as_ref()?)))
    }

    /// Returns how updates of these columns can exchange an index's values within a batch; `None` if the
    /// index is checked at the end of a statement or later, or if they set none of its columns. In an
    /// exclusion constraint a row can conflict with several rows, so its values cannot be exchanged.
    ///
    /// # Errors
    /// Returns why the index's values cannot be exchanged.
    pub fn exchange(
        &self,
        unique: &UniqueIndex,
        set: &BTreeSet<usize>,
        limits: &PlaceholderLimits,
    ) -> Result<Option<Exchange>, Problem> {
        let image = self.image(Operation::Update);
        let column = |place: &usize| &self.stored.columns[image[*place].0];
        let named = |name: &ColumnName| (0..image.len()).find(|place| column(place).name == *name);
        let places: Vec<usize> = unique.columns.iter().filter_map(named).collect();
        let moved: Vec<usize> =
            places.iter().copied().filter(|place| set.contains(place)).collect();
        let coarse = unique.value_sql.as_ref().is_some_and(|value_sql| value_sql.coarse);
        if moved.is_empty() || unique.late && !coarse {
            return Ok(None);
        }
        let links = |place: &usize| {
            let name = column(place).name.clone();
            let of = move |link: &&ForeignKey| link.columns.iter().any(|(own, _)| *own == name);
            self.stored.referrers.iter().filter(of)
        };
        // Rows that refer to a value are updated with it (ON UPDATE), also to a placeholder, but not to
        // NULL. Without ON UPDATE the value cannot change.
        let followed = |place: &&usize| links(place).all(|link| link.on_update.is_some());
        let free = |place: &usize| match &unique.value_sql {
            None => !unique.nulls_alike,
            Some(_) => {
                let at = self.opaque_uniques().position(|(other, _)| other.name == unique.name);
                at.is_some_and(|at| !limits.held.contains(&(at, image[*place].0)))
            }
        };
        let passes = |place: &usize, null: bool| !limits.refused.contains(&(image[*place].0, null));
        let nullable = |place: &&usize| {
            passes(place, true)
                && !column(place).not_null
                && free(place)
                && links(place).next().is_none()
        };
        let own = |place: &&usize| match &unique.value_sql {
            None => true,
            Some(value_sql) => value_sql.own.contains(&column(place).name),
        };
        // A column that no update changes gets its old value back. Its CHECK constraints were not tested
        // with a placeholder.
        let kept = places.iter().filter(|place| {
            !moved.contains(place) && self.settable(**place) && column(place).checks.is_none()
        });
        let null = |place: &usize| Some((*place, Placeholder::Null));
        let other = |place: &usize| Some((*place, placeholder_for(column(place))?));
        let suits = |place: &&usize| own(place) && followed(place) && passes(place, false);
        let found = (moved.iter().find(nullable).and_then(null))
            .or_else(|| moved.iter().filter(suits).find_map(other))
            .or_else(|| {
                kept.clone().filter(|_| unique.value_sql.is_none()).find(nullable).and_then(null)
            })
            .or_else(|| kept.clone().filter(suits).find_map(other));
        let Some((column, placeholder)) = found.filter(|_| !coarse) else {
            let message = format!(
                "rows exchange values of unique index \"{}\", and nothing can stand in for them meanwhile",
                unique.name
            );
            return Err(Problem::new(message).with_hint(
                "Make the constraint DEFERRABLE, or set one of the rows by hand and compare again.",
            ));
        };
        let all = places.len() == unique.columns.len();
        let index = if all && unique.value_sql.is_none() { places } else { Vec::new() };
        Ok(Some(Exchange { index, column, placeholder, moved }))
    }

    /// Converts an update's exchange to the columns of another operation's images: the undo of an insert
    /// has to give values up, too.
    pub fn carry_exchange(&self, exchange: &Exchange, operation: Operation) -> Option<Exchange> {
        let image = self.image(Operation::Update);
        let carry = |place: &usize| {
            self.image(operation).iter().position(|(column, _)| *column == image[*place].0)
        };
        Some(Exchange {
            index: exchange.index.iter().map(carry).collect::<Option<_>>()?,
            column: carry(&exchange.column)?,
            placeholder: exchange.placeholder.clone(),
            moved: exchange.moved.iter().map(carry).collect::<Option<_>>()?,
        })
    }

    /// Returns the shape of an operation's changes, without the columns that are set and the exchanges.
    pub fn shape(
        &self,
        operation: Operation,
        allow_cascade: bool,
        redacted: impl Fn(usize) -> bool,
    ) -> ChangeShape {
        let image = self.image(operation);
        let columns = image.iter().map(|(place, pair)| {
            let column = &self.stored.columns[*place];
            ImageColumn {
                name: column.name.clone(),
                type_name: column.type_name.clone(),
                ordered: ordered(&column.pg_type),
                coarse: coarse(column),
                redacted: pair.is_some_and(&redacted),
            }
        });
        let sequences = image.iter().enumerate().filter_map(|(at, (place, _))| {
            let column = &self.stored.columns[*place];
            let counts = whole_number(column.pg_type.base());
            column.sequence.clone().filter(|_| counts).map(|sequence| (at, sequence))
        });
        ChangeShape {
            operation,
            table: self.table.clone(),
            columns: columns.collect(),
            key: (0..self.key_width).collect(),
            set: Vec::new(),
            proven: self.proven,
            sequences: if operation == Operation::Insert {
                sequences.collect()
            } else {
                Vec::new()
            },
            exchanges: Vec::new(),
            parents: self.stored.parents.clone(),
            referrers: self.stored.referrers.clone(),
            beyond: self.beyond.clone(),
            cascade: allow_cascade,
        }
    }
}

/// Returns the placeholder for a column that refuses NULL; `None` if there is none for its type.
pub fn placeholder_for(column: &StoredColumn) -> Option<Placeholder> {
    let PgType::Builtin(builtin) = column.pg_type.base() else { return None };
    Some(match builtin {
        // The highest values of a type, infinity and NaN often have a meaning: placeholders stay below.
        Builtin::Int2 => Placeholder::Number("30000".into()),
        Builtin::Int4 => Placeholder::Number("2146000000".into()),
        Builtin::Int8 => Placeholder::Number("9223372036850000000".into()),
        // Up to here, every integer has a representation of its own.
        Builtin::Float4 => Placeholder::Number("15000000".into()),
        Builtin::Float8 => Placeholder::Number("9007199250000000".into()),
        Builtin::Numeric => match column.length {
            None => Placeholder::Number("1e1000".into()),
            Some(..1) => return None,
            Some(digits) => Placeholder::Number(format!("9e{}", digits - 1)),
        },
        Builtin::Text | Builtin::Varchar | Builtin::Bpchar => Placeholder::Text(column.length),
        Builtin::Uuid => Placeholder::Uuid,
        Builtin::Date => Placeholder::Day,
        Builtin::Timestamp | Builtin::TimestampTz => Placeholder::Time,
        _ => return None,
    })
}

/// Returns whether a sequence can fill a column of this type.
fn whole_number(pg_type: &PgType) -> bool {
    let whole = [Builtin::Int2, Builtin::Int4, Builtin::Int8, Builtin::Numeric];
    whole.iter().any(|builtin| *pg_type == PgType::Builtin(*builtin))
}
