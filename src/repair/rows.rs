//! Where the rows of a batch wait: a temporary table, or settings of the transaction.
//!
//! A temporary table takes COPY and is read fastest. A role without the privilege TEMPORARY cannot make
//! one; its rows stand as arrays of texts in settings of our own, which end with the transaction, and
//! every statement reads them as a table of the same columns.

use super::change::{Act, Change, Manner, Shape};
use super::quote::{array, copy_field, literal, nullable};
use crate::sql::{quoted, quoted_table};

/// The rows of one stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'s> {
    pub(super) shape: &'s Shape,
    pub(super) manner: Manner,
    /// Which stage of the batch, from 1; nothing if it is the only one.
    pub(super) number: Option<usize>,
    /// How many.
    pub(super) count: usize,
}

/// Which fields a row has: `o1` is the first column as it was, `n1` as it becomes.
pub fn fields(shape: &Shape) -> impl Iterator<Item = (char, usize)> {
    let all = 0..shape.columns.len();
    let (old, new) = match shape.act {
        Act::Insert => (0..0, all.collect()),
        Act::Update => (all, shape.set.clone()),
        Act::Delete => (all, Vec::new()),
    };
    old.map(|index| ('o', index)).chain(new.into_iter().map(|index| ('n', index)))
}

/// What a change says in a field.
pub fn value(change: &Change, (prefix, index): (char, usize)) -> Option<&str> {
    let image = if prefix == 'o' { &change.old } else { &change.new };
    image.as_ref()?.get(index)?.as_deref()
}

impl Rows<'_> {
    /// Each field, written by its name (`o1`) and its column.
    pub(super) fn each(&self, write: impl Fn(&str, &str) -> String) -> Vec<String> {
        let field = |(prefix, index): (char, usize)| {
            write(&format!("{prefix}{}", index + 1), &quoted(&self.shape.columns[index].name.0))
        };
        fields(self.shape).map(field).collect()
    }

    fn name(&self) -> String {
        self.number.map_or("pgr_rows".to_owned(), |number| format!("pgr_rows{number}"))
    }

    /// The rows as something to select from.
    pub(super) fn relation(&self) -> String {
        if self.manner.temporary {
            return format!("pg_temp.{}", self.name());
        }
        let settings = self.each(|field, _| {
            format!("pg_catalog.current_setting('{}')::text[]", self.setting(field))
        });
        format!("(\n{}\n)", self.typed(&settings))
    }

    fn setting(&self, field: &str) -> String {
        format!("pgreconcile.{}_{field}", self.name())
    }

    /// Arrays of texts, one a field, as rows of the columns' own types.
    fn typed(&self, arrays: &[String]) -> String {
        let names = self.each(|field, _| field.to_owned()).join(", ");
        let columns: Vec<String> = fields(self.shape)
            .map(|(prefix, index)| {
                let field = format!("{prefix}{}", index + 1);
                format!("x.{field}::{} AS {field}", self.shape.columns[index].type_name)
            })
            .collect();
        format!("SELECT {}\nFROM unnest({}) AS x({names})", columns.join(", "), arrays.join(", "))
    }

    /// Makes room for them.
    pub(super) fn make(&self) -> String {
        if !self.manner.temporary {
            return String::new();
        }
        let table = quoted_table(&self.shape.table);
        let columns = self.each(|field, name| format!("t.{name} AS {field}")).join(", ");
        format!(
            "CREATE TEMP TABLE {} ON COMMIT DROP AS\n  SELECT {columns}\n  FROM {table} AS t\n  WITH NO DATA;\n",
            self.name()
        )
    }

    /// Tells the planner how many there are, and what their keys are like.
    pub(super) fn analyze(&self) -> Option<String> {
        let key = self.shape.key.iter().map(|index| format!("{}{}", self.keyed(), index + 1));
        let key = key.collect::<Vec<_>>().join(", ");
        self.manner.temporary.then(|| format!("ANALYZE {} ({key});\n", self.relation()))
    }

    /// Puts them there, as psql reads it: few of them as statements of one line each.
    pub(super) fn written(&self, changes: &[Change], plain: bool) -> String {
        let mut text = String::new();
        let names = self.each(|field, _| field.to_owned()).join(", ");
        if !self.manner.temporary {
            for field in fields(self.shape) {
                let name = self.setting(&format!("{}{}", field.0, field.1 + 1));
                let values = array(changes.iter().map(|change| value(change, field)));
                text.push_str(&format!("SET LOCAL {name} = {};\n", literal(&values)));
            }
        } else if plain {
            for change in changes {
                let values = fields(self.shape).map(|field| nullable(value(change, field)));
                let (rows, values) = (self.relation(), values.collect::<Vec<_>>().join(", "));
                text.push_str(&format!("INSERT INTO {rows} ({names})\nVALUES ({values});\n"));
            }
        } else {
            text.push_str(&format!("COPY {} ({names}) FROM STDIN;\n", self.relation()));
            for change in changes {
                for (place, field) in fields(self.shape).enumerate() {
                    if place > 0 {
                        text.push('\t');
                    }
                    copy_field(&mut text, value(change, field));
                }
                text.push('\n');
            }
            text.push_str("\\.\n");
        }
        text
    }

    /// Puts them there from parameters, an array of texts for each field.
    pub(super) fn fill(&self) -> String {
        let place = |at: usize| format!("${}::text[]", at + 1);
        if self.manner.temporary {
            let places: Vec<String> = (0..fields(self.shape).count()).map(place).collect();
            let names = self.each(|field, _| field.to_owned()).join(", ");
            return format!("INSERT INTO {} ({names})\n{}", self.relation(), self.typed(&places));
        }
        let settings = fields(self.shape).enumerate().map(|(at, (prefix, index))| {
            let name = self.setting(&format!("{prefix}{}", index + 1));
            format!("pg_catalog.set_config('{name}', {}::text, true)", place(at))
        });
        format!("SELECT {}", settings.collect::<Vec<_>>().join(",\n  "))
    }

    /// The image that holds the rows' key.
    pub(super) fn keyed(&self) -> char {
        if self.shape.act == Act::Insert { 'n' } else { 'o' }
    }

    /// A field of the rows that holds a column as it is afterwards.
    pub(super) fn after(&self, index: usize) -> String {
        let kept = self.shape.act == Act::Update && !self.shape.set.contains(&index);
        let prefix = if kept || self.shape.act == Act::Delete { 'o' } else { 'n' };
        format!("{prefix}{}", index + 1)
    }

    /// The row of the table and the row of ours have one key. Where a column's equality takes two keys for
    /// one that compare tells apart, their bytes have to be the same as well: the row of the other key is
    /// another row.
    pub(super) fn join(&self, alias: &str, ours: &str) -> String {
        let of = self.keyed();
        let fields = self.shape.key.iter().map(|index| {
            let column = &self.shape.columns[*index];
            let (name, place) = (quoted(&column.name.0), index + 1);
            let equal = format!("{alias}.{name} OPERATOR(pg_catalog.=) {ours}.{of}{place}");
            let same = format!(
                "ROW({alias}.{name})::record OPERATOR(pg_catalog.*=) ROW({ours}.{of}{place})::record"
            );
            match (column.ordered, column.coarse) {
                (true, false) => equal,
                (true, true) => format!("{equal} AND {same}"),
                (false, _) => same,
            }
        });
        fields.collect::<Vec<_>>().join(" AND ")
    }

    /// The row of the table is as it was, or as it is to be, to the last bit.
    pub(super) fn image(&self, after: bool) -> String {
        let names = self.shape.columns.iter().map(|column| format!("t.{}", quoted(&column.name.0)));
        let values = (0..self.shape.columns.len()).map(|index| match after {
            true => format!("u.{}", self.after(index)),
            false => format!("u.o{}", index + 1),
        });
        format!(
            "ROW({})::record OPERATOR(pg_catalog.*=) ROW({})::record",
            names.collect::<Vec<_>>().join(", "),
            values.collect::<Vec<_>>().join(", ")
        )
    }

    /// The order of the key, so that two writers wait for each other and never in a circle.
    pub(super) fn order(&self, indent: &str) -> String {
        let of = self.keyed();
        let keys = self.shape.key.iter().filter(|index| self.shape.columns[**index].ordered);
        let keys: Vec<String> = keys.map(|index| format!("u.{of}{}", index + 1)).collect();
        if keys.is_empty() {
            return String::new();
        }
        format!("\n{indent}ORDER BY {}", keys.join(", "))
    }
}
