//! A row's key, which matches it with the row of the other side.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::RowFields;

/// The binary fields of a key in canonical form, each with its length as a prefix, none of them NULL.
///
/// Two keys are equal if and only if their bytes are. Up to 24 bytes (a uuid, two integers) are stored
/// inline, so that the scan allocates nothing for ordinary keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>")]
pub struct Key(SmallVec<[u8; 24]>);

/// Reads a serialized key, if the lengths of its fields are valid.
impl TryFrom<Vec<u8>> for Key {
    type Error = &'static str;

    fn try_from(bytes: Vec<u8>) -> Result<Key, &'static str> {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            rest = split_field(rest).ok_or("a key whose fields do not end where it ends")?.1;
        }
        Ok(Key(SmallVec::from_slice(&bytes)))
    }
}

/// Splits the first field off. Returns `None` if the bytes end before it does.
fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

impl Key {
    /// Makes a key of its fields.
    pub fn new<'a>(fields: impl IntoIterator<Item = &'a [u8]>) -> Key {
        let mut bytes = SmallVec::new();
        for field in fields {
            // A field is part of one protocol message, whose length is a 32-bit number.
            bytes.extend_from_slice(&(field.len() as u32).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Key(bytes)
    }

    /// Reads the first `width` fields of a row. Returns `None` if one of them is NULL.
    pub fn of(record: &impl RowFields, width: usize) -> Option<Key> {
        let mut bytes = SmallVec::new();
        for index in 0..width {
            let field = record.field(index)?;
            bytes.extend_from_slice(&(field.len() as u32).to_be_bytes());
            bytes.extend_from_slice(field);
        }
        Some(Key(bytes))
    }

    /// Iterates over its fields, in plan order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (field, after) = split_field(rest)?;
            rest = after;
            Some(field)
        })
    }

    /// Returns the bytes that it has allocated.
    pub fn heap_size(&self) -> usize {
        if self.0.spilled() { self.0.capacity() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_framed_and_returned() {
        let fields: [&[u8]; 3] = [b"a", b"", b"bc"];
        let key = Key::new(fields);
        assert_eq!(key.fields().collect::<Vec<_>>(), fields);
        assert_ne!(Key::new([&b"ab"[..], b"c"]), Key::new([&b"a"[..], b"bc"]));
        assert_ne!(Key::new([&b""[..]]), Key::new([&b""[..], b""]));
    }

    #[test]
    fn only_framed_fields_are_a_key() {
        let read = |bytes: &[u8]| Key::try_from(bytes.to_vec());
        assert_eq!(read(b"\0\0\0\x02ab\0\0\0\0"), Ok(Key::new([&b"ab"[..], b""])));
        assert_eq!(read(b""), Ok(Key::new([])));
        for damaged in [&b"\0\0\0\x03ab"[..], b"\0\0\0\x01ab", b"\0\0", b"\xff\xff\xff\xffab"] {
            assert!(read(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn a_row_with_a_null_in_its_key_has_no_key() {
        let row = vec![Some(b"1".to_vec()), None];
        assert_eq!(Key::of(&row, 1), Some(Key::new([&b"1"[..]])));
        assert_eq!(Key::of(&row, 2), None);
    }
}
