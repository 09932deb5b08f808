//! Keys of the rows that changed lately.

use super::canonical_form::in_key;
use super::region::Conditions;
use super::relation::from_changed;
use super::statement::{Statement, Writer};
use crate::plan::MappingPlan;
use crate::row::KeyRange;
use crate::schema::Side;

/// The moment so long ago by the server's clock, as a text that means the same to every session.
pub fn moment(ago: std::time::Duration) -> Statement {
    let seconds = ago.as_secs_f64();
    Statement::constant(format!(
        "select (pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => {seconds}))::pg_catalog.text"
    ))
}

/// The canonical forms of the keys in a range whose rows changed lately, in no particular order.
pub fn changed_keys(plan: &MappingPlan, side: Side, range: &KeyRange) -> Statement {
    let mut writer = Writer::new(&plan.params);
    writer.push("select ");
    writer.list(", ", plan.key().iter().enumerate(), |writer, (index, pair)| {
        writer.push(&in_key(pair, side, index));
    });
    from_changed(&mut writer, plan, side, true);
    let mut conditions = Conditions::new(&mut writer);
    conditions.range(plan, side, range);
    conditions.no_null_key(plan, side);
    writer.finish()
}
