//! How values that hold keys or hashes of rows are stored: in plain, encrypted, or not at all.
//!
//! Ranges, the differences found in them, and the state of a scan by hash buckets hold keys. If the key
//! of a mapping is redacted they are encrypted under PGRECONCILE_REDACT_KEY, and without it they are not
//! stored: the ledger's own secret is stored beside them and would hide nothing. Counts and times are
//! stored in plain.
//!
//! Differences and the state of a scan also hold unkeyed hashes of single rows, from which a value with
//! few possibilities can be guessed. So they are stored in the same way if any column of a mapping is
//! redacted.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::cipher::Cipher;
use super::problems::unreadable_checkpoint;
use crate::problem::Problem;

/// Which mappings of a run have a redacted key or column, and what encrypts them.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    /// Those with a redacted key.
    keys: BTreeSet<String>,
    /// Those with any redacted column.
    rows: BTreeSet<String>,
    pub(super) cipher: Option<Cipher>,
    /// Whether a run that is resumed compares them from their start.
    starts_over: bool,
}

/// How values of one mapping are stored.
#[derive(Clone, Copy, Debug)]
pub(super) enum Storage<'c> {
    /// In plain.
    Plain,
    /// Encrypted.
    Encrypted(&'c Cipher),
    /// Not at all.
    Nothing,
}

impl Redaction {
    /// Makes the redaction of a run. `keys` are the mappings with a redacted key, `rows` those with any
    /// redacted column.
    pub fn new(
        keys: BTreeSet<String>,
        rows: BTreeSet<String>,
        cipher: Option<Cipher>,
    ) -> Redaction {
        Redaction { keys, rows, cipher, starts_over: false }
    }

    /// Makes a resumed run compare these mappings from their start, since their checkpoints do not
    /// decrypt.
    #[must_use]
    pub fn starting_over(self) -> Redaction {
        Redaction { starts_over: true, ..self }
    }

    /// Returns whether a run that is resumed compares a mapping from its start.
    pub(super) fn starts_over(&self, mapping: &str) -> bool {
        self.starts_over && self.keys.contains(mapping)
    }

    /// Returns how values of a mapping are stored that hold keys and no hashes of rows.
    pub(super) fn of(&self, mapping: &str) -> Storage<'_> {
        self.storage(self.keys.contains(mapping))
    }

    /// Returns how values of a mapping are stored that hold hashes of rows.
    pub(super) fn of_rows(&self, mapping: &str) -> Storage<'_> {
        self.storage(self.keys.contains(mapping) || self.rows.contains(mapping))
    }

    fn storage(&self, redacted: bool) -> Storage<'_> {
        match (redacted, &self.cipher) {
            (false, _) => Storage::Plain,
            (true, Some(cipher)) => Storage::Encrypted(cipher),
            (true, None) => Storage::Nothing,
        }
    }
}

impl Storage<'_> {
    /// Returns the stored form of a value that belongs to a place: its table, run, mapping and number.
    /// Returns `None` if it must not be stored.
    pub(super) fn encode(self, place: &impl Serialize, value: &impl Serialize) -> Option<Vec<u8>> {
        match self {
            Storage::Plain => Some(encode(value)),
            Storage::Encrypted(cipher) => cipher.encrypt(&encode(place), &encode(value)),
            Storage::Nothing => None,
        }
    }

    /// Reads the stored form of a value that belongs to a place.
    pub(super) fn decode<T: DeserializeOwned>(
        self,
        place: &impl Serialize,
        bytes: &[u8],
    ) -> Result<T, Problem> {
        match self {
            Storage::Plain => decode(bytes),
            Storage::Encrypted(cipher) => {
                decode(&cipher.decrypt(&encode(place), bytes).ok_or_else(unreadable_checkpoint)?)
            }
            Storage::Nothing => Err(unreadable_checkpoint()),
        }
    }

    /// Returns bytes that replace a key in a primary key, the same each time.
    pub(super) fn stand_in(self, key: &impl Serialize) -> Option<Vec<u8>> {
        match self {
            Storage::Plain => Some(encode(key)),
            Storage::Encrypted(cipher) => Some(cipher.pseudonym(&encode(key)).into_bytes()),
            Storage::Nothing => None,
        }
    }
}

pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    // Every type that is stored can be encoded: lengths are known.
    postcard::to_stdvec(value).unwrap_or_default()
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(unreadable_checkpoint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redacted_key_is_stored_with_a_secret_only() {
        let of = |cipher| Redaction::new(["t".to_owned()].into(), ["v".to_owned()].into(), cipher);
        let (with, without) = (of(Some(Cipher::of_secret(b"secret"))), of(None));
        assert!(matches!(with.of_rows("v"), Storage::Encrypted(_)));
        assert!(matches!(without.of_rows("v"), Storage::Nothing));
        assert!(matches!(without.of_rows("t"), Storage::Nothing));
        assert!(matches!(without.of_rows("u"), Storage::Plain));
        assert!(matches!(without.of("v"), Storage::Plain));
        for redaction in [&with, &without] {
            let plain = redaction.of("u").encode(&1, &"CANARY").unwrap();
            assert_eq!(plain, encode(&"CANARY"));
            assert_eq!(
                redaction.of("u").decode::<String>(&1, &plain).unwrap(),
                "CANARY".to_owned()
            );
        }
        let hidden = with.of("t").encode(&1, &"CANARY").unwrap();
        assert_eq!(with.of("t").decode::<String>(&1, &hidden).unwrap(), "CANARY".to_owned());
        assert!(with.of("t").decode::<String>(&2, &hidden).is_err());
        assert!(with.of("t").decode::<String>(&1, &encode(&"CANARY")).is_err());
        assert_eq!(without.of("t").encode(&1, &"CANARY"), None);
        assert_eq!(without.of("t").stand_in(&"CANARY"), None);
        assert!(without.of("t").decode::<String>(&1, &hidden).is_err());
        let stand_in = with.of("t").stand_in(&"CANARY").unwrap();
        assert_eq!(with.of("t").stand_in(&"CANARY"), Some(stand_in.clone()));
        assert!(!stand_in.windows(6).any(|part| part == b"CANARY"));
    }
}
