//! The documentation as data: fenced blocks, sections, tables, links, words of code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A Markdown file.
pub struct Document {
    /// Its path from the root of the repository.
    pub path: PathBuf,
    pub text: String,
}

/// A fenced block.
pub struct Block {
    pub language: String,
    pub text: String,
    /// The file and line where it opens, for messages.
    pub place: String,
}

/// A command of a block with what is shown below it.
pub struct Command {
    pub line: String,
    pub output: String,
}

/// The chapters in the order in which they are read: their blocks are run in this order.
const CHAPTERS: [&str; 14] = [
    "spec",
    "types",
    "commands",
    "how-it-works",
    "reports",
    "repairs",
    "ledger",
    "flipping-reads",
    "next-to-production",
    "connections",
    "many-machines",
    "scheduling",
    "limits",
    "glossary",
];

/// The README, then the chapters of the manual.
pub static MANUAL: LazyLock<Vec<Document>> = LazyLock::new(|| {
    let chapters = CHAPTERS.iter().map(|name| format!("src/manual/{name}.md"));
    std::iter::once("README.md".to_owned()).chain(chapters).map(document).collect()
});

/// The files for contributors.
pub static OTHERS: LazyLock<Vec<Document>> =
    LazyLock::new(|| ["CONTRIBUTING.md", "CHANGELOG.md"].map(document).into());

fn document(path: impl Into<PathBuf>) -> Document {
    let path = path.into();
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
    let text = std::fs::read_to_string(full).unwrap_or_else(|_| panic!("no {}", path.display()));
    Document { path, text }
}

pub fn documents() -> impl Iterator<Item = &'static Document> {
    MANUAL.iter().chain(OTHERS.iter())
}

impl Document {
    /// Returns the fenced blocks, in order.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut open = false;
        for (at, line) in self.text.lines().enumerate() {
            match (line.strip_prefix("```"), open) {
                (Some(language), false) => {
                    let place = format!("{}:{}", self.path.display(), at + 1);
                    let language = language.to_owned();
                    blocks.push(Block { language, text: String::new(), place });
                    open = true;
                }
                (Some(_), true) => open = false,
                (None, true) => {
                    let text = &mut blocks.last_mut().unwrap().text;
                    text.push_str(line);
                    text.push('\n');
                }
                (None, false) => {}
            }
        }
        assert!(!open, "{}: a block is never closed", self.path.display());
        blocks
    }

    /// Returns everything but the fenced blocks.
    pub fn prose(&self) -> String {
        let parts = self.text.split("```").step_by(2);
        parts.collect::<Vec<_>>().join("\n")
    }

    /// Returns the anchors that a forge gives to the headings.
    pub fn anchors(&self) -> Vec<String> {
        let prose = self.prose();
        let headings = prose.lines().filter(|line| line.starts_with('#'));
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// Returns the targets of the links.
    pub fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let ends = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        ends.map(|(target, _)| target.to_owned()).collect()
    }
}

/// The anchor of a heading: lower case, without punctuation, a dash for each blank.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Returns the manual's blocks of a language, in the order in which they are read.
pub fn blocks_in(language: &str) -> Vec<Block> {
    let blocks = MANUAL.iter().flat_map(Document::blocks);
    blocks.filter(|block| block.language == language).collect()
}

impl Block {
    /// Returns the lines that begin with `$ `, each with the lines below it.
    pub fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for line in self.text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => {
                    commands.push(Command { line: command.to_owned(), output: String::new() });
                }
                (None, Some(command)) => {
                    command.output.push_str(line);
                    command.output.push('\n');
                }
                (None, None) => panic!("{}: {line:?} is before any command", self.place),
            }
        }
        commands
    }

    /// Returns the name of the file that a block is, by the comment at its top: `# name`, behind a
    /// `#!` line if any.
    pub fn file_name(&self) -> &str {
        let mut lines = self.text.lines().skip_while(|line| line.starts_with("#!"));
        let name = lines.next().and_then(|line| line.strip_prefix("# "));
        name.unwrap_or_else(|| panic!("{}: the block does not name its file", self.place))
    }
}

/// Returns the text below a heading that only one document has, up to the next heading of its level
/// or above.
pub fn section(heading: &str) -> String {
    let level = heading.split(' ').next().unwrap().len();
    let ends = |line: &str| {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        (1..=level).contains(&hashes) && line.as_bytes().get(hashes) == Some(&b' ')
    };
    let has = |document: &&Document| document.text.lines().any(|line| line == heading);
    let found: Vec<&Document> = documents().filter(has).collect();
    assert_eq!(found.len(), 1, "documents with the heading {heading:?}");
    let lines = found[0].text.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| !ends(line)).collect::<Vec<_>>().join("\n")
}

/// Returns the rows of a section's tables without their heads.
pub fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = section(heading);
    let mut rows = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_head = lines.peek().is_some_and(|next| next.starts_with("|---"));
        if line.starts_with('|') && !line.starts_with("|---") && !is_head {
            let cells = line.trim_matches('|').split(" | ");
            rows.push(cells.map(|cell| cell.trim().to_owned()).collect());
        }
    }
    rows
}

/// Returns the words between backticks.
pub fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

pub type Words = BTreeSet<String>;

pub fn set<T: Into<String>>(words: impl IntoIterator<Item = T>) -> Words {
    words.into_iter().map(Into::into).collect()
}

/// Returns the words that start with `start` and continue with letters, digits and `others`.
pub fn words<'t>(text: &'t str, start: &str, others: &str) -> Vec<&'t str> {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let starts = text.match_indices(start).map(|(at, _)| at);
    starts
        .filter(|at| !text[..*at].ends_with(goes_on))
        .map(|at| text[at..].split(|c| !goes_on(c)).next().unwrap())
        .filter(|word| word.len() > start.len())
        .collect()
}

/// Masks what differs from run to run: run ids, times, durations, versions, rates.
pub fn masked(text: &str) -> String {
    let lines = text.trim_end().lines().map(masked_line);
    lines.collect::<Vec<_>>().join("\n")
}

fn masked_line(line: &str) -> String {
    let words: Vec<String> = line.split(' ').map(masked_word).collect();
    let mut line = words.join(" ").trim_end().to_owned();
    if let Some(at) = line.find("PostgreSQL ") {
        let at = at + "PostgreSQL ".len();
        let version = line[at..].find(|c: char| !c.is_ascii_digit() && c != '.');
        let end = version.map_or(line.len(), |end| at + end);
        line = format!("{}VERSION{}", &line[..at], masked_line(&line[end..]));
    }
    match line.strip_suffix("TIME") {
        // A row of the table: its columns are as wide as its numbers.
        Some(rest) if rest.contains('%') => {
            let mut cells: Vec<&str> = rest.split_whitespace().collect();
            cells.pop();
            format!("{} RATE TIME", cells.join(" "))
        }
        _ => line,
    }
}

fn masked_word(word: &str) -> String {
    let bare = word.trim_end_matches(',');
    let tail = &word[bare.len()..];
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '.' || c == 'm');
    if bare.len() == 26 && bare.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit()) {
        return format!("RUN{tail}");
    }
    if bare.strip_suffix('s').is_some_and(|rest| !rest.is_empty() && digits(rest)) {
        return format!("TIME{tail}");
    }
    // A moment within a line of CSV or JSON.
    let cells = word.split(',').map(|cell| {
        let moment = cell.len() >= 20 && cell.ends_with('Z') && cell.as_bytes()[10] == b'T';
        if moment { "MOMENT" } else { cell }
    });
    cells.collect::<Vec<_>>().join(",")
}
