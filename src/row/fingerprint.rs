//! Hashes: fingerprints of rows, checksums of files and texts, redacted values, keyed checksums of a
//! ledger. The only file that uses blake3.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use super::RowFields;

/// The hash of one row's values: 128 bits of blake3 over the binary fields of the canonical form, or, if
/// the server hashed the row, its 64-bit row hash. One comparison uses only one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// Makes the fingerprint of a row that the server hashed.
    pub fn of_row_hash(hash: i64) -> Fingerprint {
        Fingerprint(u128::from(hash.cast_unsigned()))
    }

    /// Returns its bytes, the inverse of [`Fingerprint::from_bytes`].
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Makes a fingerprint of its bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Fingerprint {
        Fingerprint(u128::from_le_bytes(bytes))
    }

    /// Returns what this row adds to the digest of its range.
    pub fn digest_term(self) -> i64 {
        // The low half: all of a row hash, and as good as any other half of blake3.
        (self.0 as u64).cast_signed()
    }
}

/// Computes fingerprints, with one buffer for all rows.
#[derive(Debug, Default)]
pub struct Fingerprinter {
    buffer: Vec<u8>,
}

/// Rows above this size are hashed field by field instead of being copied into one buffer first.
const COPIED_TOGETHER: usize = 64 * 1024;

impl Fingerprinter {
    /// Computes the fingerprint of some fields of a row. Each field has its length as a prefix, NULL a
    /// length that no field has, so that NULL and '' differ, and so do ('a','bc') and ('ab','c').
    pub fn of(&mut self, record: &impl RowFields, fields: Range<usize>) -> Fingerprint {
        let mut hasher = None;
        self.buffer.clear();
        for index in fields {
            let field = record.field(index);
            // A field's length is a signed 32-bit number on the wire, so u32::MAX is free.
            let length = field.map_or(u32::MAX, |bytes| bytes.len() as u32);
            self.buffer.extend_from_slice(&length.to_le_bytes());
            let bytes = field.unwrap_or_default();
            if self.buffer.len() + bytes.len() <= COPIED_TOGETHER {
                self.buffer.extend_from_slice(bytes);
            } else {
                let hasher = hasher.get_or_insert_with(blake3::Hasher::new);
                hasher.update(&self.buffer).update(bytes);
                self.buffer.clear();
            }
        }
        let hash = match hasher {
            Some(mut hasher) => hasher.update(&self.buffer).finalize(),
            None => blake3::hash(&self.buffer),
        };
        let mut low = [0; 16];
        low.copy_from_slice(&hash.as_bytes()[..16]);
        Fingerprint(u128::from_le_bytes(low))
    }
}

/// Returns the blake3 of a list of byte strings as hexadecimal digits: the hash of a spec, the checksum of a
/// manifest.
pub fn checksum(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    hasher.finalize().to_hex().to_string()
}

/// Computes the blake3 of a file while it is written or read, the same as `b3sum`.
#[derive(Clone, Debug, Default)]
pub struct ChecksumHasher(blake3::Hasher);

impl ChecksumHasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Returns the checksum of all bytes so far.
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// Replaces values that must not be displayed by a keyed hash. Equal values have equal hashes with one
/// redactor, and without its key guesses of a value cannot be tested.
#[derive(Clone, PartialEq, Eq)]
pub struct Redactor([u8; 32]);

impl Redactor {
    /// Makes the redactor of a secret: the same in every run that has it.
    pub fn of_secret(secret: &[u8]) -> Redactor {
        Redactor(blake3::derive_key("pgreconcile redacted values, version 1", secret))
    }

    /// Returns the redactor of this process, with a secret that no other process has.
    pub fn of_process() -> Redactor {
        static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
        Redactor::of_secret(SECRET.get_or_init(random_secret))
    }

    /// Returns what is displayed in the place of a value.
    pub fn redact(&self, value: &[u8]) -> String {
        let hash = blake3::keyed_hash(&self.0, value).to_hex();
        format!("redacted:{}", &hash[..32])
    }
}

/// Derives the key that encrypts what a ledger stores of redacted keys from the secret of redacted
/// values.
pub fn encryption_key(secret: &[u8]) -> [u8; 32] {
    blake3::derive_key("pgreconcile redacted keys in a ledger, version 1", secret)
}

/// The key of the checksums of a ledger's rows: derived from the ledger's own secret, so that a row of
/// another ledger, or one that was written by hand, is detected.
#[derive(Clone, PartialEq, Eq)]
pub struct ChecksumKey([u8; 32]);

impl ChecksumKey {
    /// Derives the key from a secret.
    pub fn of_secret(secret: &[u8]) -> ChecksumKey {
        ChecksumKey(blake3::derive_key("pgreconcile ledger checksums, version 1", secret))
    }

    /// Returns the keyed hash of these bytes: 128 bits, so that collisions by chance do not occur.
    pub fn checksum(&self, bytes: &[u8]) -> [u8; 16] {
        let hash = blake3::keyed_hash(&self.0, bytes);
        let mut low = [0; 16];
        low.copy_from_slice(&hash.as_bytes()[..16]);
        low
    }
}

/// Hides the key.
impl fmt::Debug for ChecksumKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChecksumKey")
    }
}

/// Returns 256 bits of the operating system's randomness.
///
/// # Panics
/// When the system has none, as every `HashMap` of the standard library does.
pub fn random_secret() -> [u8; 32] {
    let mut secret = [0; 32];
    let filled = getrandom::fill(&mut secret);
    assert!(filled.is_ok(), "the operating system has no random bytes: {filled:?}");
    secret
}

/// Hides the key.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(fields: &[Option<&[u8]>]) -> Fingerprint {
        let row: Vec<_> = fields.iter().map(|f| f.map(<[u8]>::to_vec)).collect();
        Fingerprinter::default().of(&row, 0..row.len())
    }

    #[test]
    fn fields_are_framed() {
        assert_ne!(fingerprint(&[None]), fingerprint(&[Some(b"")]));
        assert_ne!(
            fingerprint(&[Some(b"a"), Some(b"bc")]),
            fingerprint(&[Some(b"ab"), Some(b"c")])
        );
        assert_ne!(fingerprint(&[None, Some(b"")]), fingerprint(&[Some(b""), None]));
        assert_ne!(fingerprint(&[Some(b"")]), fingerprint(&[Some(b""), Some(b"")]));
    }

    #[test]
    fn a_long_row_is_hashed_as_if_it_were_short() {
        // The same bytes, whether copied into one buffer or hashed field by field.
        let long = vec![7u8; COPIED_TOGETHER];
        let row = vec![Some(b"k".to_vec()), Some(long.clone()), None, Some(b"tail".to_vec())];
        let mut framed = Vec::new();
        for field in &row {
            let length = field.as_ref().map_or(u32::MAX, |f| f.len() as u32);
            framed.extend_from_slice(&length.to_le_bytes());
            framed.extend_from_slice(field.as_deref().unwrap_or_default());
        }
        let expected = blake3::hash(&framed);
        let got = Fingerprinter::default().of(&row, 0..4);
        assert_eq!(got.0.to_le_bytes(), expected.as_bytes()[..16]);
    }

    #[test]
    fn parts_of_a_checksum_are_framed() {
        assert_ne!(checksum(&[b"ab", b"c"]), checksum(&[b"a", b"bc"]));
    }

    #[test]
    fn redacted_values_depend_on_value_and_secret() {
        let redactor = Redactor::of_secret(b"secret");
        assert_eq!(redactor.redact(b"a"), Redactor::of_secret(b"secret").redact(b"a"));
        assert_ne!(redactor.redact(b"a"), redactor.redact(b"b"));
        assert_ne!(redactor.redact(b"a"), Redactor::of_secret(b"other").redact(b"a"));
        assert_ne!(Redactor::of_process(), Redactor::of_secret(b""));
        assert_eq!(Redactor::of_process(), Redactor::of_process());
        assert_eq!(format!("{redactor:?}"), "Redactor");
        assert_eq!(redactor.redact(b"a").len(), "redacted:".len() + 32);
    }
}
