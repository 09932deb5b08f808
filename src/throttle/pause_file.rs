//! The pause file: while it exists, nothing is started.

use std::path::PathBuf;

/// The path of the pause file, if the spec has one.
pub(crate) struct PauseFile(pub(crate) Option<PathBuf>);

impl PauseFile {
    /// Returns why to wait, if the file exists. A file that cannot be checked counts as existing,
    /// since it may have been put there.
    pub(crate) fn reason(&self) -> Option<String> {
        let file = self.0.as_ref()?;
        match file.try_exists() {
            Ok(false) => None,
            Ok(true) => Some(format!("pause file {} exists", file.display())),
            Err(error) => Some(format!("pause file {}: {error}", file.display())),
        }
    }
}
