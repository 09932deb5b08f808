//! What of a mapping can be written: which pair fills which column, and what stands in the way.
//!
//! Values go from the authority's side through the mapping's expressions, so the written side has to
//! say its pairs as plain columns. Into the source an expression would have to be turned round, which
//! nobody can: such mappings are refused, naming the columns.

use super::change::{Act, Cascade, ImageColumn, Shape};
use crate::plan::{Expression, MappingPlan};
use crate::schema::{Builtin, Identity, PgType, RelationKind, Side, Stored, TableName};
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
    pub stored: Stored,
    /// Those that pairs fill, the key's first.
    pub filled: Vec<Filled>,
    key_width: usize,
    proven: bool,
    /// Pairs that are compared only, by name.
    pub compared_only: Vec<String>,
}

impl Scope {
    /// Judges a mapping for writing to a side.
    ///
    /// # Errors
    /// Everything that stands in the way, as sentences without a full stop.
    pub fn of(plan: &MappingPlan, written: Side, stored: Stored) -> Result<Scope, Vec<String>> {
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
            let name = match &pair.sides[written].expression {
                Expression::Column(name) => name,
                Expression::Sql(_) if place < plan.key_width => {
                    refused.push(format!(
                        "key pair \"{}\" is an expression of the {written}",
                        pair.name
                    ));
                    continue;
                }
                Expression::Sql(_) if written == Side::Source => {
                    refused.push(format!(
                        "pair \"{}\" is an expression of the source, and nothing says how to turn it round",
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
        Ok(Scope { table, stored, filled, key_width, proven, compared_only })
    }

    /// What stands in the way of an act, as sentences without a full stop.
    pub fn refusals(&self, act: Act) -> Vec<String> {
        let columns = self.stored.columns.iter().enumerate();
        let filled = |place: usize| self.filled.iter().any(|filled| filled.column == place);
        match act {
            Act::Update => Vec::new(),
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
                let keys = self.filled.iter().take(self.key_width);
                let generated = keys.map(|filled| &self.stored.columns[filled.column]);
                refused.extend(
                    generated
                        .filter(|column| column.generated)
                        .map(|column| format!("key column \"{}\" is generated", column.name)),
                );
                refused
            }
            // The guard and the undo of a DELETE hold the whole row, or data would be lost.
            Act::Delete => columns
                .filter(|(_, column)| !column.readable)
                .map(|(_, column)| format!("column \"{}\" may not be read", column.name))
                .collect(),
        }
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

    /// The shape of an act's changes; nothing is set yet.
    pub fn shape(&self, act: Act, allow_cascade: bool) -> Shape {
        let image = self.image(act);
        let columns = image.iter().map(|(place, _)| {
            let column = &self.stored.columns[*place];
            ImageColumn {
                name: column.name.clone(),
                type_name: column.type_name.clone(),
                ordered: ordered(&column.pg_type),
            }
        });
        let sequences = image.iter().enumerate().filter_map(|(at, (place, _))| {
            Some((at, self.stored.columns[*place].sequence.clone()?))
        });
        let cascades = self.stored.referrers.iter().map(|referrer| Cascade {
            table: referrer.table.clone(),
            action: referrer.action.to_owned(),
            columns: referrer.columns.clone(),
        });
        Shape {
            act,
            table: self.table.clone(),
            columns: columns.collect(),
            key: (0..self.key_width).collect(),
            set: Vec::new(),
            proven: self.proven,
            sequences: if act == Act::Insert { sequences.collect() } else { Vec::new() },
            cascades: if allow_cascade { Vec::new() } else { cascades.collect() },
        }
    }
}

/// Whether `pg_catalog` has an equality and an order for a type that tell its values apart.
fn ordered(pg_type: &PgType) -> bool {
    match pg_type.base() {
        PgType::Builtin(builtin) => !matches!(builtin, Builtin::Json | Builtin::Xid | Builtin::Cid),
        PgType::Enum | PgType::Range => true,
        _ => false,
    }
}
