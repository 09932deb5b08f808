//! The README as a book that a program can read: fenced blocks, sections, tables, words of code.

/// A fenced block.
pub struct Block {
    pub language: String,
    pub text: String,
    /// Where it opens, for messages.
    pub line: usize,
}

/// A command of a block with what is shown below it.
pub struct Command {
    pub line: String,
    pub output: String,
}

pub const README: &str = include_str!("../../README.md");

/// Every fenced block, in order.
pub fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (at, line) in README.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(language), false) => {
                let language = language.to_owned();
                blocks.push(Block { language, text: String::new(), line: at + 1 });
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
    assert!(!open, "a block is never closed");
    blocks
}

pub fn blocks_in(language: &str) -> Vec<Block> {
    blocks().into_iter().filter(|block| block.language == language).collect()
}

/// Everything but the fenced blocks.
pub fn prose() -> String {
    let parts = README.split("```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

impl Block {
    /// The lines that begin with `$ `, each with the lines below it.
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
                (None, None) => panic!("line {}: {line:?} stands before a command", self.line),
            }
        }
        commands
    }

    /// The file that a block is, by the comment at its top: `# name`, behind a `#!` line if any.
    pub fn file_name(&self) -> &str {
        let mut lines = self.text.lines().skip_while(|line| line.starts_with("#!"));
        let name = lines.next().and_then(|line| line.strip_prefix("# "));
        name.unwrap_or_else(|| panic!("the block of line {} does not name its file", self.line))
    }
}

/// The text below a heading, up to the next of its level or above.
pub fn section(heading: &str) -> String {
    let level = heading.split(' ').next().unwrap().len();
    let ends = |line: &str| {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        (1..=level).contains(&hashes) && line.as_bytes().get(hashes) == Some(&b' ')
    };
    let mut lines = README.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "there is no heading {heading:?}");
    lines.take_while(|line| !ends(line)).collect::<Vec<_>>().join("\n")
}

/// The rows of a section's tables, heads left out.
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

/// The words between backticks.
pub fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Words that begin with this and go on with letters, digits and these.
pub fn words<'t>(text: &'t str, start: &str, others: &str) -> Vec<&'t str> {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
    let starts = text.match_indices(start).map(|(at, _)| at);
    starts
        .filter(|at| !text[..*at].ends_with(goes_on))
        .map(|at| text[at..].split(|c| !goes_on(c)).next().unwrap())
        .filter(|word| word.len() > start.len())
        .collect()
}

/// A text without what is another in every run: run ids, times, durations, versions, rates.
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
