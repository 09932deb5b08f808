//! libpq's files: the password file and the service file.

use std::path::{Path, PathBuf};

use super::conninfo::{Conninfo, ConninfoError};
use crate::problem::Problem;

/// Returns the home directory.
pub(super) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}

/// Finds a password: that of the first line whose host, port, database and user match. A file that
/// other users can read is not used, as in libpq.
///
/// # Errors
/// Why a file that exists is not used.
pub(super) fn find_password(
    file: &Path,
    host: &str,
    port: u16,
    dbname: &str,
    user: &str,
) -> Result<Option<String>, Problem> {
    let Ok(metadata) = std::fs::metadata(file) else { return Ok(None) };
    if !metadata.is_file() {
        return Err(Problem::new(format!("password file {} is not a plain file", file.display())));
    }
    if is_readable_by_others(&metadata) {
        return Err(Problem::new(format!(
            "password file {} is not used because others can read it; run chmod 600 on it",
            file.display()
        )));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        Problem::new(format!("password file {} cannot be read", file.display())).with_source(error)
    })?;
    let port = port.to_string();
    // A socket is named by its directory, and the default one by "localhost".
    let local = host.starts_with('/').then_some("localhost");
    let hosts = || std::iter::once(host).chain(local);
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .find_map(|line| hosts().find_map(|host| match_line(line, [host, &port, dbname, user]))))
}

#[cfg(unix)]
pub(super) fn is_readable_by_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
pub(super) fn is_readable_by_others(_: &std::fs::Metadata) -> bool {
    false
}

/// Returns the password of a line `host:port:database:user:password`, if it matches. `*` matches
/// anything, a backslash escapes the next character.
fn match_line(line: &str, wanted: [&str; 4]) -> Option<String> {
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

/// Completes a connection string from the first service file that has the service.
///
/// # Errors
/// If no file has it, or its section is malformed.
pub(super) fn read_service(
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

/// Why a service cannot be used. It repeats no text of the connection string or of the file.
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
    fn a_password_line_is_matched_field_by_field() {
        assert_eq!(match_line("h:5432:d:u:pw", WANTED).as_deref(), Some("pw"));
        assert_eq!(match_line("*:*:*:*:p\\:w:x\\\\", WANTED).as_deref(), Some("p:w:x\\"));
        assert_eq!(match_line("h:5432:d:other:pw", WANTED), None);
        assert_eq!(match_line("\\*:*:*:*:pw", WANTED), None);
        assert_eq!(match_line("h:5432:d:u", WANTED), None);
    }

    #[cfg(unix)]
    #[test]
    fn a_password_file_that_others_can_read_is_not_used() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pgpass");
        std::fs::write(&file, "# comment\nlocalhost:1:d:u:pw\n").unwrap();
        let find = || find_password(&file, "/tmp", 1, "d", "u");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(find().unwrap_err().message.contains("chmod 600"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find().unwrap().as_deref(), Some("pw"));
        std::fs::write(&file, "/run:1:d:u:other\n/tmp:1:d:u:own\nlocalhost:1:d:u:pw\n").unwrap();
        assert_eq!(find().unwrap().as_deref(), Some("own"));
        assert_eq!(find_password(Path::new("/nowhere"), "h", 1, "d", "u").unwrap(), None);
    }

    #[test]
    fn a_service_does_not_replace_explicit_values() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("service");
        std::fs::write(&file, "[a]\nhost=wrong\n# c\n[b]\nhost=h\nport = 5433\n").unwrap();
        let mut info = Conninfo::parse("port=1").unwrap();
        assert_eq!(read_service(&mut info, "b", std::slice::from_ref(&file)), Ok(()));
        assert_eq!((info.get("host"), info.get("port")), (Some("h"), Some("1")));
        let missing = read_service(&mut info, "c", &[file]).unwrap_err();
        assert_eq!(missing, ServiceError::Missing);
    }
}
