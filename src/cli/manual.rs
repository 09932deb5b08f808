//! The manual: chapters of Markdown from `src/manual/`, compiled into the program.
//!
//! The same files are read on a forge, so their links are relative. A chapter must not have the name of
//! a verb, because `help NAME` shows either.

/// A chapter of the manual.
pub(super) struct Chapter {
    /// The name of its file, and what `help` takes.
    pub(super) name: &'static str,
    /// What it is about, in a few words.
    pub(super) about: &'static str,
    /// Its Markdown.
    pub(super) text: &'static str,
}

/// Declares chapters by the names of their files.
macro_rules! chapters {
    ($($name:literal: $about:literal;)*) => {
        /// All chapters, in the order in which they are read.
        pub(super) const CHAPTERS: &[Chapter] = &[$(Chapter {
            name: $name,
            about: $about,
            text: include_str!(concat!("../manual/", $name, ".md")),
        }),*];
    };
}

chapters! {
    "spec": "every key of a spec; rules, tolerances, redaction, SQL";
    "types": "which types are compared, and when values are equal";
    "commands": "commands, flags, variables, signals, exit codes";
    "how-it-works": "from chunks and checksums to confirmed findings";
    "reports": "formats, every field, hints about the cause";
    "repairs": "the scripts, their guards, undo, apply";
    "ledger": "stored runs: resume, slices, history, recheck, locks";
    "flipping-reads": "what gate checks before reads are switched";
    "next-to-production": "privileges, transactions, load, standbys, PgBouncer";
    "connections": "connection strings, passwords, TLS";
    "many-machines": "one comparison shared by several processes";
    "scheduling": "cron, systemd, Kubernetes, Slurm";
    "limits": "what it cannot do, and which faults are tested";
    "glossary": "words that have a meaning of their own";
}

/// Returns the list of chapters for the help of the program.
pub(super) fn list() -> String {
    let mut list = "Chapters of the manual, for pgreconcile help CHAPTER:\n".to_owned();
    let width = CHAPTERS.iter().map(|chapter| chapter.name.len()).max().unwrap_or_default();
    for Chapter { name, about, .. } in CHAPTERS {
        list.push_str(&format!("  {name:width$}  {about}\n"));
    }
    list
}
