//! The plan of a comparison: pairs, canonical forms, key, strategy and order, chosen before the first row
//! is read.
//!
//! A plan follows from the spec and from the facts about both servers. Everything here is pure: facts in,
//! plan or diagnostics out.

mod accept;
mod bound;
mod changed_at;
mod changed_since;
mod column_pairs;
mod facts;
mod form;
mod key;
mod mapping;
mod pair;
mod partition;
#[cfg(test)]
pub(crate) mod sample;
mod side;
mod strategy;
mod zone;

pub use accept::{AcceptRule, AcceptRules};
pub use changed_at::ChangedAt;
pub use changed_since::ChangedSince;
pub use facts::{Facts, PlanOptions};
pub use form::{
    CanonicalForm, DigestForm, SELF_TEST_VECTORS, SelfTestVector, Tolerance, TypeSupport,
    judge_self_test, supported_types,
};
pub use mapping::{MappingPlan, plan_mapping};
pub use pair::{Expression, Pair, PairSide};
pub use partition::Partition;
pub use side::SidePlan;
pub use strategy::Strategy;
pub use zone::{ZoneDependency, find_zone_dependency, may_depend_on_zone};
