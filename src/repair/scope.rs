//! What of a mapping can be written: which pair fills which column, and what stands in the way.
//!
//! Values go from the authority's side through the mapping's expressions, so the written side has to
//! say its pairs as plain columns. Into the source an expression would have to be turned round, which
//! nobody can: such mappings are refused, naming the columns.

use std::collections::BTreeSet;

use super::change::{Act, Exchange, ImageColumn, Shape, Standin};
use super::equality::{coarse, ordered};
use crate::plan::{Expression, MappingPlan};
use crate::schema::{
    Builtin, ColumnName, ForeignKey, Identity, IndexValueSql, PgType, RelationKind, Side,
    StoredColumn, StoredTable, TableName, UniqueIndex,
};
use crate::spec::Reads;

/// A column of the written table that a pair fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filled {
    /// The column, by its place among the stored ones.
    pub column: usize,
    /// The pair.
    pub pair: usize,
    /// Whether an update may set it.
    pub settable: bool,
}

/// What of a mapping can be written.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The table.
    pub table: TableName,
    /// Its columns.
    pub stored: StoredTable,
    /// Those that pairs fill, the key's first.
    pub filled: Vec<Filled>,
    key_width: usize,
    proven: bool,
    /// Pairs that are compared only, by name.
    pub compared_only: Vec<String>,
    /// The tables that a change could reach, each with those that refer to it.
    pub beyond: Vec<(TableName, Vec<ForeignKey>)>,
}

/// What the server has told of stand-ins in columns, by place among the stored ones.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Told indexes in which a row still has a value where the column is NULL.
    pub held: BTreeSet<(usize, usize)>,
    /// Columns where a CHECK constraint refuses NULL (`true`) or another stand-in.
    pub refused: BTreeSet<(usize, bool)>,
}

impl Scope {
    /// Judges a mapping for writing to a side.
    ///
    /// # Errors
    /// Everything that stands in the way, as sentences without a full stop.
    pub fn of(
        plan: &MappingPlan,
        written: Side,
        stored: StoredTable,
        beyond: Vec<(TableName, Vec<ForeignKey>)>,
    ) -> Result<Scope, Vec<String>> {
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
        let mut filled: Vec<Filled> = Vec::new();
        let mut compared_only = Vec::new();
        for (place, pair) in plan.pairs.iter().enumerate() {
            let is_sql = |side: &Side| matches!(pair.sides[*side].expression, Expression::Sql(_));
            // Into the source an expression of either side would have to be turned round.
            let turned = Side::BOTH.into_iter().filter(|_| written == Side::Source).find(is_sql);
            if let Some(side) = turned {
                refused.push(format!(
                    "pair \"{}\" is an expression of the {side}, and nothing says how to turn it round",
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
                refused.push(format!("column \"{name}\" of the {written} is gone"));
                continue;
            };
            if filled.iter().any(|other| other.column == column) {
                refused
                    .push(format!("two pairs say what column \"{name}\" of the {written} holds"));
                continue;
            }
            let found = &stored.columns[column];
            let settable =
                !found.generated && found.identity != Identity::Always && place >= plan.key_width;
            filled.push(Filled { column, pair: place, settable });
        }
        if !refused.is_empty() {
            return Err(refused);
        }
        let key_width = plan.key_width;
        let proven = side.key_proof.is_some() && !stored.deferrable;
        let mut scope = Scope { table, stored, filled, key_width, proven, compared_only, beyond };
        let uniques = std::mem::take(&mut scope.stored.uniques);
        scope.stored.uniques = uniques.into_iter().map(|unique| scope.judged(unique)).collect();
        Ok(scope)
    }

    /// An index as changes are judged by it. The server is asked where texts do not tell its values
    /// apart, where it is made of columns that no pair fills, and where nothing is sure to stand in for
    /// its values: then it takes each row's to leave out those that exchange them.
    fn judged(&self, unique: UniqueIndex) -> UniqueIndex {
        if unique.told.as_ref().is_none_or(|told| !told.plain) {
            return unique;
        }
        let columns = self.stored.columns.iter().enumerate();
        let columns =
            || columns.clone().filter(|(_, column)| unique.columns.contains(&column.name));
        let place_of = |column: usize| self.filled.iter().position(|f| f.column == column);
        let filled = || columns().map(|(column, _)| place_of(column));
        let needless = unique.late
            || columns().any(|(_, column)| !column.readable)
            || filled().all(|place| place.is_some_and(|place| place < self.key_width))
            || filled().all(|place| place.is_none());
        let by_text = UniqueIndex { told: None, ..unique.clone() };
        let places = self.places(Act::Update, unique.columns.iter()).unwrap_or_default();
        let set = places.iter().copied().filter(|place| self.settable(*place)).collect();
        let stands_in = !places.is_empty()
            && columns().all(|(_, column)| column.checks.is_none())
            && self.exchange(&by_text, &set, &Limits::default()).is_ok();
        if needless || stands_in { by_text } else { unique }
    }

    /// Whether an update may set a column of its images.
    fn settable(&self, place: usize) -> bool {
        let column = self.image(Act::Update)[place].0;
        self.filled.iter().any(|filled| filled.column == column && filled.settable)
    }

    /// What stands in the way of an act, as sentences without a full stop.
    pub fn refusals(&self, act: Act, triggers: bool) -> Vec<String> {
        // Uniqueness that is checked late is checked by a trigger.
        if !triggers && self.stored.deferrable && act != Act::Delete {
            return vec![
                "it has a deferrable unique constraint, which nobody checks with triggers off"
                    .into(),
            ];
        }
        let columns = self.stored.columns.iter().enumerate();
        let filled = |place: usize| self.filled.iter().any(|filled| filled.column == place);
        match act {
            Act::Update => self.unreadable().collect(),
            Act::Insert => {
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
            Act::Delete => columns
                .filter(|(_, column)| !column.readable)
                .map(|(_, column)| format!("column \"{}\" may not be read", column.name))
                .chain(self.generated_key())
                .collect(),
        }
    }

    /// Columns that make an index whose values only the server tells, and that the role may not read.
    fn unreadable(&self) -> impl Iterator<Item = String> {
        let columns = self.stored.columns.iter().filter(|column| !column.readable);
        columns.filter_map(|column| {
            let (unique, _) = self.told().find(|(u, _)| u.columns.contains(&column.name))?;
            let (name, index) = (&column.name, &unique.name);
            Some(format!("column \"{name}\" of unique index \"{index}\" may not be read"))
        })
    }

    /// Key columns that no INSERT can name: neither to put a row in, nor to take a DELETE back.
    fn generated_key(&self) -> impl Iterator<Item = String> {
        let keys = self.filled.iter().take(self.key_width);
        let columns = keys.map(|filled| &self.stored.columns[filled.column]);
        let generated = columns.filter(|column| column.generated);
        generated.map(|column| format!("key column \"{}\" is generated", column.name))
    }

    /// The stored columns of an act's images, by place, and the pair that fills each.
    pub fn image(&self, act: Act) -> Vec<(usize, Option<usize>)> {
        let pairs = self.filled.iter().enumerate().filter(|(at, filled)| {
            let generated = self.stored.columns[filled.column].generated;
            !generated || (act == Act::Update && *at < self.key_width)
        });
        let mut image: Vec<(usize, Option<usize>)> =
            pairs.map(|(_, filled)| (filled.column, Some(filled.pair))).collect();
        if act == Act::Delete {
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

    /// Where columns stand among those of an act's images; nothing if one is not there.
    pub fn places<'n>(
        &self,
        act: Act,
        mut names: impl Iterator<Item = &'n ColumnName>,
    ) -> Option<Vec<usize>> {
        let image = self.image(act);
        let place = |name: &ColumnName| {
            image.iter().position(|(column, _)| self.stored.columns[*column].name == *name)
        };
        names.try_fold(Vec::new(), |mut places, name| {
            places.push(place(name)?);
            Some(places)
        })
    }

    /// Unique indexes, but for those that the key alone makes: they part rows that are not one. Where
    /// only the server knows, even rows of different keys may be one to an index.
    pub fn uniques(&self) -> impl Iterator<Item = &UniqueIndex> {
        let key = self.filled.iter().take(self.key_width);
        let key: Vec<&ColumnName> =
            key.map(|filled| &self.stored.columns[filled.column].name).collect();
        let others = self.stored.uniques.iter();
        others.filter(move |unique| {
            unique.told.is_some() || !unique.columns.iter().all(|column| key.contains(&column))
        })
    }

    /// Those of which only the server knows what rows have in them.
    pub fn told(&self) -> impl Iterator<Item = (&UniqueIndex, &IndexValueSql)> {
        self.uniques().filter_map(|unique| Some((unique, unique.told.as_ref()?)))
    }

    /// What an index needs so that updates which set these columns may exchange its values within a
    /// statement; nothing if it is checked late, or they set none of its columns. Rows of an exclusion
    /// constraint may stand in the way of more than one: nothing is exchanged there.
    ///
    /// # Errors
    /// Why its values cannot be exchanged, as a sentence without a full stop.
    pub fn exchange(
        &self,
        unique: &UniqueIndex,
        set: &BTreeSet<usize>,
        limits: &Limits,
    ) -> Result<Option<Exchange>, String> {
        let image = self.image(Act::Update);
        let column = |place: &usize| &self.stored.columns[image[*place].0];
        let named = |name: &ColumnName| (0..image.len()).find(|place| column(place).name == *name);
        let places: Vec<usize> = unique.columns.iter().filter_map(named).collect();
        let moved: Vec<usize> =
            places.iter().copied().filter(|place| set.contains(place)).collect();
        let coarse = unique.told.as_ref().is_some_and(|told| told.coarse);
        if moved.is_empty() || unique.late && !coarse {
            return Ok(None);
        }
        let links = |place: &usize| {
            let name = column(place).name.clone();
            let of = move |link: &&ForeignKey| link.columns.iter().any(|(own, _)| *own == name);
            self.stored.referrers.iter().filter(of)
        };
        // Rows that refer to a value follow it to a stand-in and on, and not to NULL; or they do not
        // follow it at all.
        let followed = |place: &&usize| links(place).all(|link| link.on_update.is_some());
        let free = |place: &usize| match &unique.told {
            None => !unique.nulls_alike,
            Some(_) => {
                let at = self.told().position(|(other, _)| other.name == unique.name);
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
        let own = |place: &&usize| match &unique.told {
            None => true,
            Some(told) => told.own.contains(&column(place).name),
        };
        // A column that no update changes is set to what it was. Nobody has asked the server of it.
        let kept = places.iter().filter(|place| {
            !moved.contains(place) && self.settable(**place) && column(place).checks.is_none()
        });
        let null = |place: &usize| Some((*place, Standin::Null));
        let other = |place: &usize| Some((*place, standin(column(place))?));
        let suits = |place: &&usize| own(place) && followed(place) && passes(place, false);
        let found = (moved.iter().find(nullable).and_then(null))
            .or_else(|| moved.iter().filter(suits).find_map(other))
            .or_else(|| {
                kept.clone().filter(|_| unique.told.is_none()).find(nullable).and_then(null)
            })
            .or_else(|| kept.clone().filter(suits).find_map(other));
        let Some((column, standin)) = found.filter(|_| !coarse) else {
            return Err(format!(
                "rows exchange values of unique index \"{}\", and nothing can stand in for them meanwhile",
                unique.name
            ));
        };
        let all = places.len() == unique.columns.len();
        let index = if all && unique.told.is_none() { places } else { Vec::new() };
        Ok(Some(Exchange { index, column, standin, moved }))
    }

    /// An update's exchange among the columns of another act's images: what takes an insert back has to
    /// give values up, too.
    pub fn carried(&self, exchange: &Exchange, act: Act) -> Option<Exchange> {
        let image = self.image(Act::Update);
        let carry = |place: &usize| {
            self.image(act).iter().position(|(column, _)| *column == image[*place].0)
        };
        Some(Exchange {
            index: exchange.index.iter().map(carry).collect::<Option<_>>()?,
            column: carry(&exchange.column)?,
            standin: exchange.standin.clone(),
            moved: exchange.moved.iter().map(carry).collect::<Option<_>>()?,
        })
    }

    /// The shape of an act's changes; nothing is set yet.
    pub fn shape(&self, act: Act, allow_cascade: bool, redacted: impl Fn(usize) -> bool) -> Shape {
        let image = self.image(act);
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
        Shape {
            act,
            table: self.table.clone(),
            columns: columns.collect(),
            key: (0..self.key_width).collect(),
            set: Vec::new(),
            proven: self.proven,
            sequences: if act == Act::Insert { sequences.collect() } else { Vec::new() },
            exchanges: Vec::new(),
            parents: self.stored.parents.clone(),
            referrers: self.stored.referrers.clone(),
            beyond: self.beyond.clone(),
            cascade: allow_cascade,
        }
    }
}

/// What can stand in a column that refuses NULL.
pub fn standin(column: &StoredColumn) -> Option<Standin> {
    let PgType::Builtin(builtin) = column.pg_type.base() else { return None };
    Some(match builtin {
        // A value at the end of its type, infinity or NaN often stands for something: none is behind it.
        Builtin::Int2 => Standin::Number("30000".into()),
        Builtin::Int4 => Standin::Number("2146000000".into()),
        Builtin::Int8 => Standin::Number("9223372036850000000".into()),
        // Up to where each whole number is another one.
        Builtin::Float4 => Standin::Number("15000000".into()),
        Builtin::Float8 => Standin::Number("9007199250000000".into()),
        Builtin::Numeric => match column.length {
            None => Standin::Number("1e1000".into()),
            Some(..1) => return None,
            Some(digits) => Standin::Number(format!("9e{}", digits - 1)),
        },
        Builtin::Text | Builtin::Varchar | Builtin::Bpchar => Standin::Text(column.length),
        Builtin::Uuid => Standin::Uuid,
        Builtin::Date => Standin::Day,
        Builtin::Timestamp | Builtin::TimestampTz => Standin::Time,
        _ => return None,
    })
}

/// Whether a sequence counts in it.
fn whole_number(pg_type: &PgType) -> bool {
    let whole = [Builtin::Int2, Builtin::Int4, Builtin::Int8, Builtin::Numeric];
    whole.iter().any(|builtin| *pg_type == PgType::Builtin(*builtin))
}
