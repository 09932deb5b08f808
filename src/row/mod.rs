//! Rows as bytes: keys and their order, ranges of keys, fingerprints and digests.
//!
//! SQL makes both sides say a value in the same form (the canon); from here on only bytes are
//! compared, and no value is ever parsed except to put keys in order and to measure how far two values
//! with a tolerance are apart.

mod coverage;
mod decimal;
mod digest;
mod fingerprint;
mod group;
mod key;
mod numeric;
mod order;
mod range;
mod row_fields;

pub use coverage::{Coverage, CoveredRange, Shares, VerifiedBy};
pub use decimal::Decimal;
pub use digest::{Digest, DigestError};
pub use fingerprint::{
    ChecksumHasher, ChecksumKey, Fingerprint, Fingerprinter, Redactor, encryption_key,
    random_secret, seal,
};
pub use group::{Group, GroupCounts, MOST_GROUPS};
pub use key::Key;
pub use order::{KeyField, KeyOrder};
pub use range::{BlockRange, Bound, HashBuckets, KeyRange, Region};
pub use row_fields::{RowFields, equal_fields};
