//! Who owns an entry of the file system: decides by owner, mode and links whether another user may have
//! written to a file or a folder.

use rustix::fs::{FileType, Mode, Stat};
use rustix::process::{getegid, geteuid, getgroups};

const ROOT: u32 = 0;

/// What a folder is for, and so who may create files in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Files that are opened again: the ledger, its lock, a repair. Only trusted users may create files
    /// in it.
    State,
    /// Files that are only renamed into it: reports, new repairs. Every user may create files in it if
    /// its sticky bit forbids them to replace those of others, as in `/tmp`.
    Output,
}

/// What an entry of the file system must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Folder(Purpose),
    /// A regular file of this process's user with one name.
    FileToWrite,
    /// A regular file of this process's user or of root.
    FileToRead,
}

/// The metadata of an entry of the file system.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryMetadata {
    pub(super) kind: FileType,
    pub(super) mode: Mode,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) has_one_name: bool,
}

/// The user and the groups of a process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) user: u32,
    pub(super) groups: Vec<u32>,
}

impl From<Stat> for EntryMetadata {
    fn from(stat: Stat) -> EntryMetadata {
        EntryMetadata {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: Mode::from_raw_mode(stat.st_mode),
            user: stat.st_uid,
            group: stat.st_gid,
            has_one_name: stat.st_nlink <= 1,
        }
    }
}

impl Process {
    pub(super) fn current() -> Process {
        let mut groups = getgroups().unwrap_or_default();
        groups.push(getegid());
        let groups = groups.into_iter().map(|group| group.as_raw()).collect();
        Process { user: geteuid().as_raw(), groups }
    }

    /// Returns why an entry cannot be used, as the words after its name; `None` if it can be.
    pub(super) fn objection(&self, entry: &EntryMetadata, expected: Expected) -> Option<String> {
        let is_folder = matches!(expected, Expected::Folder(_));
        match entry.kind {
            FileType::Symlink => return Some("is a symbolic link".to_owned()),
            FileType::Directory if is_folder => {}
            FileType::RegularFile if !is_folder => {}
            FileType::Directory => return Some("is a folder".to_owned()),
            _ if is_folder => return Some("is not a folder".to_owned()),
            _ => return Some("is not a regular file".to_owned()),
        }
        let is_trusted = match expected {
            Expected::Folder(_) => [self.user, ROOT].contains(&entry.user) || self.user == ROOT,
            Expected::FileToRead => [self.user, ROOT].contains(&entry.user),
            Expected::FileToWrite => entry.user == self.user,
        };
        if !is_trusted {
            let (owner, user) = (entry.user, self.user);
            return Some(format!("is owned by user {owner}, and this process runs as user {user}"));
        }
        let is_sticky =
            expected == Expected::Folder(Purpose::Output) && entry.mode.contains(Mode::SVTX);
        if entry.mode.contains(Mode::WOTH) && !is_sticky {
            return Some("can be written by every user".to_owned());
        }
        if entry.mode.contains(Mode::WGRP) && !is_sticky && !self.groups.contains(&entry.group) {
            let group = entry.group;
            return Some(format!(
                "can be written by group {group}, which this process is not a member of"
            ));
        }
        if expected == Expected::FileToWrite && !entry.has_one_name {
            return Some("has another name (a hard link)".to_owned());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::RawMode;

    use super::*;

    const FILE: FileType = FileType::RegularFile;
    const FOLDER: FileType = FileType::Directory;
    const STATE: Expected = Expected::Folder(Purpose::State);
    const OUTPUT: Expected = Expected::Folder(Purpose::Output);

    /// Returns the first words of the objection; empty if there is none.
    fn judge(
        (user, groups): (u32, &[u32]),
        expected: Expected,
        (kind, mode, owner, group): (FileType, RawMode, u32, u32),
    ) -> String {
        let mode = Mode::from_raw_mode(mode);
        let entry = EntryMetadata { kind, mode, user: owner, group, has_one_name: true };
        let process = Process { user, groups: groups.to_vec() };
        let objection = process.objection(&entry, expected).unwrap_or_default();
        objection.split([',', '(']).next().unwrap().to_owned()
    }

    #[test]
    fn owners_of_files_and_folders_are_checked() {
        let (own, other) = ((7, &[7][..]), "is owned by user 8");
        let (root, zero) = ((0, &[0][..]), "is owned by user 0");
        let file = |owner| (FILE, 0o600, owner, 7);
        let folder = |owner| (FOLDER, 0o755, owner, 7);
        for (process, expected, entry, objection) in [
            (own, Expected::FileToWrite, file(7), ""),
            (own, Expected::FileToWrite, file(8), other),
            (own, Expected::FileToWrite, file(0), zero),
            (root, Expected::FileToWrite, file(0), ""),
            (root, Expected::FileToWrite, file(8), other),
            (own, Expected::FileToRead, file(7), ""),
            (own, Expected::FileToRead, file(0), ""),
            (own, Expected::FileToRead, file(8), other),
            (root, Expected::FileToRead, file(8), other),
            (own, STATE, folder(7), ""),
            (own, STATE, folder(0), ""),
            (own, STATE, folder(8), other),
            (own, OUTPUT, folder(8), other),
            (root, STATE, folder(8), ""),
            (root, OUTPUT, folder(8), ""),
        ] {
            assert_eq!(judge(process, expected, entry), objection, "{process:?} {entry:?}");
        }
    }

    #[test]
    fn only_groups_of_the_process_may_write() {
        let foreign = "can be written by group 9";
        for (groups, expected, kind, mode, group, objection) in [
            (&[7][..], Expected::FileToWrite, FILE, 0o660, 7, ""),
            (&[7, 9], Expected::FileToWrite, FILE, 0o660, 9, ""),
            (&[7], Expected::FileToWrite, FILE, 0o660, 9, foreign),
            (&[7], Expected::FileToWrite, FILE, 0o640, 9, ""),
            (&[7], Expected::FileToRead, FILE, 0o660, 9, foreign),
            (&[7], STATE, FOLDER, 0o775, 9, foreign),
            (&[7, 9], STATE, FOLDER, 0o2775, 9, ""),
            (&[7], STATE, FOLDER, 0o1775, 9, foreign),
            (&[7], OUTPUT, FOLDER, 0o775, 9, foreign),
            (&[7], OUTPUT, FOLDER, 0o1775, 9, ""),
        ] {
            let entry = (kind, mode, 7, group);
            assert_eq!(judge((7, groups), expected, entry), objection, "{mode:o} {expected:?}");
        }
        // Root's groups are checked too.
        assert_eq!(judge((0, &[0]), STATE, (FOLDER, 0o770, 8, 9)), foreign);
    }

    #[test]
    fn what_every_user_may_write_needs_the_sticky_bit() {
        let every = "can be written by every user";
        for (expected, kind, mode, objection) in [
            (OUTPUT, FOLDER, 0o1777, ""),
            (OUTPUT, FOLDER, 0o777, every),
            (STATE, FOLDER, 0o1777, every),
            (STATE, FOLDER, 0o702, every),
            (Expected::FileToWrite, FILE, 0o606, every),
            (Expected::FileToRead, FILE, 0o1646, every),
            (Expected::FileToRead, FILE, 0o644, ""),
        ] {
            for user in [0, 7] {
                let entry = (kind, mode, user, user);
                assert_eq!(judge((user, &[user]), expected, entry), objection, "{mode:o}");
            }
        }
    }

    #[test]
    fn links_and_special_files_are_refused() {
        for (kind, expected, objection) in [
            (FileType::Symlink, Expected::FileToWrite, "is a symbolic link"),
            (FileType::Symlink, STATE, "is a symbolic link"),
            (FileType::Fifo, Expected::FileToRead, "is not a regular file"),
            (FileType::CharacterDevice, Expected::FileToWrite, "is not a regular file"),
            (FOLDER, Expected::FileToWrite, "is a folder"),
            (FILE, OUTPUT, "is not a folder"),
        ] {
            assert_eq!(judge((7, &[7]), expected, (kind, 0o600, 7, 7)), objection);
        }
        let process = Process { user: 7, groups: vec![7] };
        let mode = Mode::from_raw_mode(0o600);
        let entry = EntryMetadata { kind: FILE, mode, user: 7, group: 7, has_one_name: false };
        let objection = |expected| process.objection(&entry, expected);
        assert!(objection(Expected::FileToWrite).unwrap().contains("hard link"));
        assert_eq!(objection(Expected::FileToRead), None);
    }
}
