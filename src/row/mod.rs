//! Rows as bytes: keys and their order, ranges of keys, row hashes and range checksums.
//!
//! SQL converts the values of both sides to one canonical form. From here on only bytes are compared, and
//! values are parsed only to order keys and to measure the difference of two values with a tolerance.

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
    ChecksumHasher, ChecksumKey, Fingerprint, Fingerprinter, Redactor, checksum, encryption_key,
    random_secret,
};
pub use group::{Group, GroupCounts, MOST_GROUPS};
pub use key::Key;
pub use order::{KeyField, KeyOrder};
pub use range::{Blocks, Bound, HashBuckets, KeyRange, Region};
pub use row_fields::{RowFields, equal_fields};
