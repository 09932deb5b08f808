//! The canonical form of a pair: which one its types and its rule have, how far its values may differ, and
//! the self-test of the hashes that servers compute of it.

mod canonical_form;
mod common_type;
mod rule;
mod self_test;
mod tolerance;
mod type_support;

pub use canonical_form::{CanonicalForm, DigestForm};
pub(super) use rule::{check_key_pair, choose_form};
pub use self_test::{SELF_TEST_VECTORS, SelfTestVector, judge_self_test};
pub use tolerance::Tolerance;
pub use type_support::{TypeSupport, supported_types};
