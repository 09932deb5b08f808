//! `[pace]`: the limits for the load of the servers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connection::{Environment, expand};
use super::diagnostic::Span;
use super::reader::Reader;

/// `[pace]`. A setting that is left out is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaceSettings {
    /// The most replay lag: of a standby itself, or of the slowest standby of a primary.
    pub max_replica_lag: Option<Duration>,
    /// The most active sessions of other clients on a server.
    pub max_active_sessions: Option<u64>,
    /// While this file exists, no new statement is started.
    pub pause_file: Option<PathBuf>,
    /// The place of the section.
    pub span: Span,
}

/// Reads `[pace]`. `folder` is the spec's: a relative pause file is relative to it.
pub(super) fn read_pace(
    document: &mut Reader<'_>,
    folder: &Path,
    environment: Environment<'_>,
) -> PaceSettings {
    let mut settings = PaceSettings::default();
    let Some(mut table) = document.table("pace", "[pace]") else { return settings };
    settings.span = table.span.clone();
    settings.max_replica_lag = table.time("max_replica_lag");
    settings.max_active_sessions = table.number("max_active_sessions", 1);
    let file = table.string("pause_file");
    let file = file.and_then(|file| expand(&file, environment, table.problems()));
    settings.pause_file = file.map(|file| folder.join(file.value));
    table.finish();
    settings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::spec::{SpecText, read};

    const HEAD: &str = "version = 1\nname = \"s\"\n[source]\nurl = \"a\"\n[target]\nurl = \"b\"\n\
        [[mapping]]\nsource.table = \"a.b\"\ntarget.table = \"a.b\"\n";

    fn pace(lines: &str) -> Result<PaceSettings, Vec<String>> {
        let text = SpecText { path: "specs/x.toml".into(), text: format!("{HEAD}[pace]\n{lines}") };
        let environment = |name: &str| (name == "RUN").then(|| "/run".to_owned());
        let spec = read(text, &BTreeMap::new(), &environment);
        spec.map(|spec| spec.pace)
            .map_err(|problems| problems.first.into_iter().map(|problem| problem.message).collect())
    }

    #[test]
    fn limits_are_read_and_have_no_defaults() {
        let all = "max_replica_lag = \"10s\"\nmax_active_sessions = 50\npause_file = \"${RUN}/p\"";
        let all = pace(all).unwrap();
        assert_eq!(all.max_replica_lag, Some(Duration::from_secs(10)));
        assert_eq!(all.max_active_sessions, Some(50));
        assert_eq!(all.pause_file.as_deref(), Some(Path::new("/run/p")));
        let none = pace("").unwrap();
        assert_eq!((none.max_replica_lag, none.max_active_sessions), (None, None));
        let beside = pace("pause_file = \"pause\"").unwrap();
        assert_eq!(beside.pause_file.as_deref(), Some(Path::new("specs/pause")));
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        assert_eq!(
            pace(
                "max_replica_lag = \"0s\"\nmax_active_sessions = 0\npause_file = \"${NO}\"\nx = 1"
            ),
            Err(vec![
                "\"max_replica_lag\" must be more than zero".to_owned(),
                "\"max_active_sessions\" must be at least 1".to_owned(),
                "the environment variable \"NO\" is not set".to_owned(),
                "unknown key \"x\" in [pace]".to_owned(),
            ])
        );
    }
}
