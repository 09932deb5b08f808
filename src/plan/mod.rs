//! What will be done: pairs, canons, key, strategy and order, decided before the first row is read.
//!
//! A plan is made of what the spec says and what both servers say of themselves. Everything here is
//! pure: facts in, plan or diagnostics out.

mod accept;
mod bound;
mod canary;
mod canon;
mod changed_at;
mod facts;
mod key;
mod leeway;
mod mapping;
mod meet;
mod pair;
mod pairing;
mod partition;
mod rule;
#[cfg(test)]
pub(crate) mod sample;
mod side;
mod since;
mod strategy;
mod supported;
mod zone;

pub use accept::{AcceptRule, AcceptRules};
pub use canary::{CANARIES, Canary, judge as judge_canaries};
pub use canon::{Canon, DigestForm};
pub use changed_at::ChangedAt;
pub use facts::{Facts, PlanOptions};
pub use leeway::Leeway;
pub use mapping::{MappingPlan, plan_mapping};
pub use meet::{Refusal, meet};
pub use pair::{Expression, Pair, PairSide};
pub use partition::Partition;
pub use side::SidePlan;
pub use since::Since;
pub use strategy::Strategy;
pub use supported::{Supported, supported};
pub use zone::{InZone, depends_on_zone, may_depend_on_zone};
