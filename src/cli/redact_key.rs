//! PGRECONCILE_REDACT_KEY: the secret of redacted values. It has no flag, so that no list of processes
//! shows it.

use super::ui::Ui;

const VARIABLE: &str = "PGRECONCILE_REDACT_KEY";

/// A reader of a report can try shorter ones against its hashes.
const SHORTEST: usize = 16;

/// Returns the secret, if one is given. An empty one is none.
pub(super) fn given() -> Option<Vec<u8>> {
    let key = std::env::var_os(VARIABLE).filter(|key| !key.is_empty())?;
    Some(key.into_encoded_bytes())
}

/// Returns why encrypted bounds cannot be read, as a clause.
pub(super) fn why_unreadable(other: bool) -> String {
    match other {
        true => format!("its bounds are encrypted under another {VARIABLE}"),
        false => format!("its bounds are encrypted, and {VARIABLE} is not set"),
    }
}

/// Warns of a secret that could be found by trying.
pub(super) fn warn_if_short(ui: &Ui) {
    if given().is_some_and(|key| key.len() < SHORTEST) {
        let message = format!("{VARIABLE} has fewer than {SHORTEST} bytes");
        let hint = "Hashes and encryption are as hard to break as it is to guess: make one with \
                    openssl rand -base64 24.";
        ui.warning(&message, Some(hint));
    }
}
