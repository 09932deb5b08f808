//! Where the rows of a batch are staged: in a temporary table, or in settings of the transaction.
//!
//! A temporary table accepts COPY and is read fastest. A role without the privilege TEMPORARY cannot
//! create one. Its rows are staged as arrays of texts in settings, which end with the transaction, and
//! every statement reads them as a relation with the same columns.

use super::change::{ApplyMode, ChangeShape, Operation, RowChange};
use super::quote::{format_array, push_copy_field, quote_literal, quote_nullable};
use crate::sql::{quoted, quoted_table};

/// The staged rows of one stage.
#[derive(Clone, Copy, Debug)]
pub(super) struct StagedRows<'s> {
    pub(super) shape: &'s ChangeShape,
    pub(super) mode: ApplyMode,
    /// The number of the stage within the batch, from 1; `None` if it is the only one.
    pub(super) number: Option<usize>,
    /// The number of rows.
    pub(super) count: usize,
}

/// Returns the fields of a staged row: `('o', 0)` is the first column before the change, `('n', 0)`
/// after it.
pub fn fields(shape: &ChangeShape) -> impl Iterator<Item = (char, usize)> {
    let all = 0..shape.columns.len();
    let (old, new) = match shape.operation {
        Operation::Insert => (0..0, all.collect()),
        Operation::Update => (all, shape.set.clone()),
        Operation::Delete => (all, Vec::new()),
    };
    old.map(|index| ('o', index)).chain(new.into_iter().map(|index| ('n', index)))
}

/// Returns the value of a field in a change.
pub fn field_value(change: &RowChange, (prefix, index): (char, usize)) -> Option<&str> {
    let image = if prefix == 'o' { &change.old } else { &change.new };
    image.as_ref()?.get(index)?.as_deref()
}

impl StagedRows<'_> {
    /// Writes each field, given its name (`o1`) and the quoted name of its column.
    pub(super) fn each(&self, write: impl Fn(&str, &str) -> String) -> Vec<String> {
        let field = |(prefix, index): (char, usize)| {
            write(&format!("{prefix}{}", index + 1), &quoted(&self.shape.columns[index].name.0))
        };
        fields(self.shape).map(field).collect()
    }

    fn name(&self) -> String {
        self.number.map_or("pgr_rows".to_owned(), |number| format!("pgr_rows{number}"))
    }

    /// Returns the relation that statements read.
    pub(super) fn relation(&self) -> String {
        if self.mode.temporary {
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

    /// Returns a query that turns arrays of texts, one per field, into rows with the columns' types.
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

    /// Returns the statement that creates the temporary table; empty if there is none.
    pub(super) fn create(&self) -> String {
        if !self.mode.temporary {
            return String::new();
        }
        let table = quoted_table(&self.shape.table);
        let columns = self.each(|field, name| format!("t.{name} AS {field}")).join(", ");
        format!(
            "CREATE TEMP TABLE {} ON COMMIT DROP AS\n  SELECT {columns}\n  FROM {table} AS t\n  WITH NO DATA;\n",
            self.name()
        )
    }

    /// Returns the statement that gives the planner the number of rows and the distribution of keys.
    pub(super) fn analyze(&self) -> Option<String> {
        let key = self.shape.key.iter().map(|index| format!("{}{}", self.key_prefix(), index + 1));
        let key = key.collect::<Vec<_>>().join(", ");
        self.mode.temporary.then(|| format!("ANALYZE {} ({key});\n", self.relation()))
    }

    /// Returns the statements that stage changes in a script: as one INSERT a row if `plain`, otherwise
    /// as COPY.
    pub(super) fn write(&self, changes: &[RowChange], plain: bool) -> String {
        let mut text = String::new();
        let names = self.each(|field, _| field.to_owned()).join(", ");
        if !self.mode.temporary {
            for field in fields(self.shape) {
                let name = self.setting(&format!("{}{}", field.0, field.1 + 1));
                let values = format_array(changes.iter().map(|change| field_value(change, field)));
                text.push_str(&format!("SET LOCAL {name} = {};\n", quote_literal(&values)));
            }
        } else if plain {
            for change in changes {
                let values =
                    fields(self.shape).map(|field| quote_nullable(field_value(change, field)));
                let (rows, values) = (self.relation(), values.collect::<Vec<_>>().join(", "));
                text.push_str(&format!("INSERT INTO {rows} ({names})\nVALUES ({values});\n"));
            }
        } else {
            text.push_str(&format!("COPY {} ({names}) FROM STDIN;\n", self.relation()));
            for change in changes {
                for (at, field) in fields(self.shape).enumerate() {
                    if at > 0 {
                        text.push('\t');
                    }
                    push_copy_field(&mut text, field_value(change, field));
                }
                text.push('\n');
            }
            text.push_str("\\.\n");
        }
        text
    }

    /// Returns the statement that stages rows from parameters: an array of texts for each field.
    pub(super) fn fill(&self) -> String {
        let parameter = |at: usize| format!("${}::text[]", at + 1);
        if self.mode.temporary {
            let parameters: Vec<String> = (0..fields(self.shape).count()).map(parameter).collect();
            let names = self.each(|field, _| field.to_owned()).join(", ");
            let rows = self.typed(&parameters);
            return format!("INSERT INTO {} ({names})\n{rows}", self.relation());
        }
        let settings = fields(self.shape).enumerate().map(|(at, (prefix, index))| {
            let name = self.setting(&format!("{prefix}{}", index + 1));
            format!("pg_catalog.set_config('{name}', {}::text, true)", parameter(at))
        });
        format!("SELECT {}", settings.collect::<Vec<_>>().join(",\n  "))
    }

    /// Returns the prefix of the fields that hold the key.
    pub(super) fn key_prefix(&self) -> char {
        if self.shape.operation == Operation::Insert { 'n' } else { 'o' }
    }

    /// Returns the field that holds a column's value after the change.
    pub(super) fn after(&self, index: usize) -> String {
        let kept = self.shape.operation == Operation::Update && !self.shape.set.contains(&index);
        let prefix = if kept || self.shape.operation == Operation::Delete { 'o' } else { 'n' };
        format!("{prefix}{}", index + 1)
    }

    /// Returns the condition that a row of the table and a staged row have the same key. If a column's
    /// equality is coarser than a comparison, their bytes have to be the same, too: otherwise it is the
    /// row of another key.
    pub(super) fn join(&self, alias: &str, staged: &str) -> String {
        let of = self.key_prefix();
        let fields = self.shape.key.iter().map(|index| {
            let column = &self.shape.columns[*index];
            let (name, number) = (quoted(&column.name.0), index + 1);
            let equal = format!("{alias}.{name} OPERATOR(pg_catalog.=) {staged}.{of}{number}");
            let same = format!(
                "ROW({alias}.{name})::record OPERATOR(pg_catalog.*=) ROW({staged}.{of}{number})::record"
            );
            match (column.ordered, column.coarse) {
                (true, false) => equal,
                (true, true) => format!("{equal} AND {same}"),
                (false, _) => same,
            }
        });
        fields.collect::<Vec<_>>().join(" AND ")
    }

    /// Returns the condition that row `t` of the table is byte for byte as before the change or, with
    /// `after`, as after it.
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

    /// Returns an ORDER BY of the key: two writers that lock rows in the same order cannot deadlock.
    pub(super) fn order(&self, indent: &str) -> String {
        let of = self.key_prefix();
        let keys = self.shape.key.iter().filter(|index| self.shape.columns[**index].ordered);
        let keys: Vec<String> = keys.map(|index| format!("u.{of}{}", index + 1)).collect();
        if keys.is_empty() {
            return String::new();
        }
        format!("\n{indent}ORDER BY {}", keys.join(", "))
    }
}
