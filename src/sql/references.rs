//! Rows of other tables that a row refers to, or that refer to it, by the values of a foreign key.

use super::holders::push_keys;
use super::statement::{Statement, Writer, column, table};
use crate::plan::MappingPlan;
use crate::schema::{ColumnName, End};

/// A column at the other end of a foreign key, and the type of the values that it is compared with.
pub type Counterpart<'c> = (&'c ColumnName, &'c str);

/// Returns a row for each key that rows of a table have: the key's place among the texts, from 1, and how
/// many rows have it. `texts` are the keys' values, column by column.
pub fn rows_with_keys(
    plan: &MappingPlan,
    end: &End,
    columns: &[Counterpart<'_>],
    texts: &[Vec<Option<&str>>],
) -> Statement {
    let mut writer = Writer::new(&plan.params);
    let only = if end.partitioned { "" } else { "only " };
    writer.push("select k.place, pg_catalog.count(*)\nfrom ");
    push_keys(&mut writer, texts);
    writer.push(&format!("\njoin {only}{} as r on ", table(&end.table)));
    writer.list(" and ", columns.iter().enumerate(), |writer, (index, (name, type_name))| {
        let value = format!("r.{}", column(name));
        writer.push(&format!("{value} operator(pg_catalog.=) cast(k.k{index} as {type_name})"));
    });
    writer.push("\ngroup by k.place");
    writer.finish()
}
