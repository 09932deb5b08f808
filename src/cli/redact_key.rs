//! PGRECONCILE_REDACT_KEY: the secret of redacted values. It has no flag, so that no process list
//! shows it.

use super::ui::Ui;

const VARIABLE: &str = "PGRECONCILE_REDACT_KEY";

/// The fewest bytes: shorter secrets can be found by trying them against the hashes of a report.
const MIN_BYTES: usize = 16;

/// Returns the secret, if one is given. An empty variable counts as none.
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

/// Warns of a short secret.
pub(super) fn warn_if_short(ui: &Ui) {
    if given().is_some_and(|key| key.len() < MIN_BYTES) {
        let message = format!("{VARIABLE} has fewer than {MIN_BYTES} bytes");
        let hint = "Hashes and encryption are as hard to break as it is to guess: make one with \
                    openssl rand -base64 24.";
        ui.warning(&message, Some(hint));
    }
}
