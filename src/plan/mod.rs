//! What will be done: pairs, canons, key, strategy and order, decided before the first row is read.
//!
//! A plan is made of what the spec says and what both servers say of themselves. Everything here is
//! pure: facts in, plan or diagnostics out.

mod accept;
mod bound;
mod canonical_form;
mod changed_at;
mod changed_since;
mod column_pairs;
mod common_type;
mod facts;
mod key;
mod mapping;
mod pair;
mod partition;
mod rule;
#[cfg(test)]
pub(crate) mod sample;
mod self_test;
mod side;
mod strategy;
mod tolerance;
mod type_support;
mod zone;

pub use accept::{AcceptRule, AcceptRules};
pub use canonical_form::{Canon, DigestForm};
pub use changed_at::ChangedAt;
pub use changed_since::Since;
pub use common_type::{Refusal, meet};
pub use facts::{Facts, PlanOptions};
pub use mapping::{MappingPlan, plan_mapping};
pub use pair::{Expression, Pair, PairSide};
pub use partition::Partition;
pub use self_test::{CANARIES, Canary, judge as judge_canaries};
pub use side::SidePlan;
pub use strategy::Strategy;
pub use tolerance::Leeway;
pub use type_support::{Supported, supported};
pub use zone::{InZone, depends_on_zone, may_depend_on_zone};
