//! The pause file: while somebody has put it there, nothing new is started.

use std::path::PathBuf;

/// Where it would be, if the spec says.
pub(crate) struct PauseFile(pub(crate) Option<PathBuf>);

impl PauseFile {
    /// Why to wait, if it is there. One that cannot be looked for is there: somebody may have meant it.
    pub(crate) fn reason(&self) -> Option<String> {
        let file = self.0.as_ref()?;
        match file.try_exists() {
            Ok(false) => None,
            Ok(true) => Some(format!("pause file {} is there", file.display())),
            Err(error) => Some(format!("pause file {}: {error}", file.display())),
        }
    }
}
