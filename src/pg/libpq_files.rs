//! libpq's files: the password file and the service file.

use std::path::{Path, PathBuf};

use super::conninfo::{Conninfo, ConninfoError};

/// The user's own folder.
pub(super) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Looks a password up: the first line whose host, port, database and user fit. A file that others
/// can read is not used, as in libpq; the reason is then the error.
///
/// # Errors
/// Why a file that is there is not used, as a sentence.
pub(super) fn password(
    file: &Path,
    host: &str,
    port: u16,
    dbname: &str,
    user: &str,
) -> Result<Option<String>, String> {
    let Ok(metadata) = std::fs::metadata(file) else { return Ok(None) };
    if !metadata.is_file() {
        return Err(format!("password file {} is not a plain file", file.display()));
    }
    if readable_by_others(&metadata) {
        return Err(format!(
            "password file {} is not used because others can read it; run chmod 600 on it",
            file.display()
        ));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("password file {} cannot be read: {error}", file.display()))?;
    let port = port.to_string();
    // A socket goes by its folder, and the usual one by the name of the machine.
    let local = host.starts_with('/').then_some("localhost");
    let hosts = || std::iter::once(host).chain(local);
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines.find_map(|line| hosts().find_map(|host| fits(line, [host, &port, dbname, user]))))
}

#[cfg(unix)]
pub(super) fn readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
pub(super) fn readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// The password of a line `host:port:database:user:password`, if it fits; `*` fits anything, a
/// backslash keeps the next character.
fn fits(line: &str, wanted: [&str; 4]) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut starred = vec![true];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            ':' if last < 4 => {
                fields.push(String::new());
                starred.push(true);
            }
            '\\' => {
                starred[last] = false;
                fields[last].extend(chars.next());
            }
            c => fields[last].push(c),
        }
    }
    let password = fields.get(4)?.clone();
    let all_fit = wanted.iter().enumerate().all(|(place, wanted)| {
        fields[place] == *wanted || (starred[place] && fields[place] == "*")
    });
    all_fit.then_some(password)
}

/// Fills in what a service file says of a service.
///
/// # Errors
/// When the service is in no file, or its file is malformed.
pub(super) fn service(
    info: &mut Conninfo,
    name: &str,
    files: &[PathBuf],
) -> Result<(), ServiceError> {
    for file in files {
        let Ok(text) = std::fs::read_to_string(file) else { continue };
        let mut within = false;
        let mut found = false;
        for (at, line) in text.lines().map(str::trim).enumerate() {
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                within = section == name;
                found |= within;
            } else if within && !line.is_empty() && !line.starts_with('#') {
                let (keyword, value) = line
                    .split_once('=')
                    .ok_or_else(|| ServiceError::Malformed(file.clone(), at + 1))?;
                let mut one = Conninfo::default();
                one.set(1, keyword.trim(), value.trim().to_owned())
                    .map_err(|error| ServiceError::Parameter(file.clone(), at + 1, error))?;
                for keyword in one.keywords() {
                    info.fill(keyword, || one.get(keyword).map(str::to_owned));
                }
            }
        }
        if found {
            return Ok(());
        }
    }
    Err(ServiceError::Missing)
}

/// Why a service cannot be used. No text of the connection string or of the file is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServiceError {
    #[error(
        "the service that \"service\" or PGSERVICE names is not in any service file \
         (PGSERVICEFILE, ~/.pg_service.conf)"
    )]
    Missing,
    #[error("service file {file}, line {line}: it has no \"=\"", file = .0.display(), line = .1)]
    Malformed(PathBuf, usize),
    #[error("service file {file}, line {line}: {why}", file = .0.display(), line = .1, why = .2)]
    Parameter(PathBuf, usize, ConninfoError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: [&str; 4] = ["h", "5432", "d", "u"];

    #[test]
    fn a_password_line_fits_by_field() {
        assert_eq!(fits("h:5432:d:u:pw", WANTED).as_deref(), Some("pw"));
        assert_eq!(fits("*:*:*:*:p\\:w:x\\\\", WANTED).as_deref(), Some("p:w:x\\"));
        assert_eq!(fits("h:5432:d:other:pw", WANTED), None);
        assert_eq!(fits("\\*:*:*:*:pw", WANTED), None);
        assert_eq!(fits("h:5432:d:u", WANTED), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_password_file_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        std::fs::write(&file, "# comment\nlocalhost:1:d:u:pw\n").unwrap();
        let look = || password(&file, "/tmp", 1, "d", "u");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(look().unwrap_err().contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(), Ok(Some("pw".to_owned())));
        std::fs::write(&file, "/run:1:d:u:other\n/tmp:1:d:u:own\nlocalhost:1:d:u:pw\n").unwrap();
        assert_eq!(look(), Ok(Some("own".to_owned())));
        assert_eq!(password(Path::new("/nowhere"), "h", 1, "d", "u"), Ok(None));
    }

    #[test]
    fn a_service_fills_in_what_is_not_explicit() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service");
        std::fs::write(&file, "[a]\nhost=wrong\n# c\n[b]\nhost=h\nport = 5433\n").unwrap();
        let mut info = Conninfo::parse("port=1").unwrap();
        assert_eq!(service(&mut info, "b", std::slice::from_ref(&file)), Ok(()));
        assert_eq!((info.get("host"), info.get("port")), (Some("h"), Some("1")));
        let missing = service(&mut info, "c", &[file]).unwrap_err();
        assert_eq!(missing, ServiceError::Missing);
    }
}
