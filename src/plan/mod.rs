//! The plan of a comparison: pairs, canonical forms, key, strategy and order, chosen before the first row
//! is read.
//!
//! A plan follows from the spec and from the facts about both servers. Everything here is pure: facts in,
//! plan or diagnostics out.

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
pub use canonical_form::{CanonicalForm, DigestForm};
pub use changed_at::ChangedAt;
pub use changed_since::ChangedSince;
pub use facts::{Facts, PlanOptions};
pub use mapping::{MappingPlan, plan_mapping};
pub use pair::{Expression, Pair, PairSide};
pub use partition::Partition;
pub use self_test::{SELF_TEST_VECTORS, SelfTestVector, judge_self_test};
pub use side::SidePlan;
pub use strategy::Strategy;
pub use tolerance::Tolerance;
pub use type_support::{TypeSupport, supported_types};
pub use zone::{ZoneDependency, find_zone_dependency, may_depend_on_zone};
