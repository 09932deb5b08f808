//! Encrypts what a ledger stores of redacted keys: the only file that uses ring.
//!
//! ChaCha20-Poly1305 under a key that is derived from PGRECONCILE_REDACT_KEY, with a random nonce for
//! each value. The place of a value is its associated data, so that a value that was moved to another
//! row does not decrypt. ring is in the program already, under rustls. 96 random bits of nonce are
//! enough for 2^32 values under one secret, which is more than a ledger ever stores.

use std::fmt;

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::row::{Redactor, encryption_key};

/// The first byte of an encrypted value: the binary form of a range begins with 0 or 1.
const ENCRYPTED: u8 = 0xe1;

/// Encrypts and decrypts values under one secret.
#[derive(Clone)]
pub struct Cipher {
    key: [u8; 32],
    pseudonyms: Redactor,
}

impl Cipher {
    /// Returns the cipher of a secret: the same in every process that has the secret.
    pub fn of_secret(secret: &[u8]) -> Cipher {
        let key = encryption_key(secret);
        Cipher { key, pseudonyms: Redactor::of_secret(&key) }
    }

    /// Returns a keyed hash that is equal for ciphers with the same secret.
    pub fn id(&self) -> String {
        self.pseudonym(b"")
    }

    /// Returns a keyed hash that stands for a value where rows are looked up by it.
    pub(super) fn pseudonym(&self, value: &[u8]) -> String {
        self.pseudonyms.redact(value)
    }

    /// Returns whether bytes are an encrypted value.
    pub(super) fn is_encrypted(bytes: &[u8]) -> bool {
        bytes.first() == Some(&ENCRYPTED)
    }

    /// Encrypts a value for a place. Returns `None` if the system has no random numbers.
    pub(super) fn encrypt(&self, place: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        let mut text = value.to_vec();
        let nonce_of_text = Nonce::assume_unique_for_key(nonce);
        self.key()?.seal_in_place_append_tag(nonce_of_text, Aad::from(place), &mut text).ok()?;
        Some([&[ENCRYPTED], &nonce[..], &text].concat())
    }

    /// Decrypts the value of a place. Returns `None` if it was not encrypted under this secret and for
    /// this place, or has been changed since.
    pub(super) fn decrypt(&self, place: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = bytes.strip_prefix(&[ENCRYPTED])?.split_first_chunk::<NONCE_LEN>()?;
        let (nonce, mut text) = (Nonce::assume_unique_for_key(*nonce), text.to_vec());
        let value = self.key()?.open_in_place(nonce, Aad::from(place), &mut text).ok()?;
        Some(value.to_vec())
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.key).ok().map(LessSafeKey::new)
    }
}

/// The key is a secret.
impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_decrypts_with_its_secret_and_place_only() {
        let cipher = Cipher::of_secret(b"secret");
        let encrypted = cipher.encrypt(b"here", b"CANARY").unwrap();
        assert!(Cipher::is_encrypted(&encrypted));
        assert_eq!(cipher.decrypt(b"here", &encrypted).as_deref(), Some(&b"CANARY"[..]));
        let same = Cipher::of_secret(b"secret");
        assert_eq!(same.decrypt(b"here", &encrypted).as_deref(), Some(&b"CANARY"[..]));
        assert_eq!(same.id(), cipher.id());
        assert_eq!(cipher.decrypt(b"there", &encrypted), None);
        let other = Cipher::of_secret(b"other");
        assert_eq!(other.decrypt(b"here", &encrypted), None);
        assert_ne!(other.id(), cipher.id());
        assert_eq!(format!("{cipher:?}"), "Cipher");
    }

    #[test]
    fn each_encryption_differs_and_the_pseudonym_does_not() {
        let cipher = Cipher::of_secret(b"secret");
        let encrypted = || cipher.encrypt(b"here", b"CANARY").unwrap();
        assert_ne!(encrypted(), encrypted());
        assert!(!encrypted().windows(6).any(|part| part == b"CANARY"));
        assert_eq!(cipher.pseudonym(b"CANARY"), cipher.pseudonym(b"CANARY"));
        assert_ne!(cipher.pseudonym(b"CANARY"), Cipher::of_secret(b"other").pseudonym(b"CANARY"));
    }

    #[test]
    fn a_changed_or_cut_value_does_not_decrypt() {
        let cipher = Cipher::of_secret(b"secret");
        let encrypted = cipher.encrypt(b"here", b"CANARY").unwrap();
        for at in 0..encrypted.len() {
            assert_eq!(cipher.decrypt(b"here", &encrypted[..at]), None);
            for bit in 0..8 {
                let mut flipped = encrypted.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(cipher.decrypt(b"here", &flipped), None, "byte {at}, bit {bit}");
            }
        }
        assert_eq!(cipher.decrypt(b"here", b"\x00\x00"), None);
    }
}
