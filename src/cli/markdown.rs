//! Markdown as a page of a terminal: wrapped, indented, with colour or without.
//!
//! It renders what the manual uses: headings, paragraphs, lists, tables and blocks of code. A table
//! that is too wide for the page becomes a list, with the first cell of each row as its term.

use anstyle::{AnsiColor, Style};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::text::{coloured_width, wrap_indented};

/// The indent of a paragraph, and of each list within another.
const INDENT: &str = "  ";
/// The space between two columns of a table.
const GAP: usize = 2;

/// A blank at which lines are not broken. It is written as an ordinary blank.
const FIXED_BLANK: &str = "\u{a0}";
/// The longest code within a paragraph that is kept on one line.
const MAX_UNBROKEN: usize = 40;

/// Renders a text in lines of at most this width. The end of a line that cannot be broken may exceed it.
pub(super) fn page(markdown: &str, width: usize, coloured: bool) -> String {
    let mut page = Page { width, coloured, ..Page::default() };
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        page.add(event);
    }
    format!("{}\n", page.text.trim_end())
}

/// A page that is being written.
#[derive(Default)]
struct Page {
    width: usize,
    coloured: bool,
    /// The lines that are finished.
    text: String,
    /// The inline text of the block or cell that is open.
    inline: String,
    /// The number of the next item of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    /// The marker of an item of which no text has been written yet.
    marker: Option<String>,
    /// The text of the open block of code.
    code: Option<String>,
    /// The rows of the open table, its head first.
    rows: Vec<Vec<String>>,
}

impl Page {
    fn add(&mut self, event: Event) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Code(code) => {
                let code = if coloured_width(&code) <= MAX_UNBROKEN {
                    code.replace(' ', FIXED_BLANK)
                } else {
                    code.into_string()
                };
                let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
                let code = if self.coloured { styled(&code, cyan) } else { format!("`{code}`") };
                self.inline.push_str(&code);
            }
            Event::Text(text) => match &mut self.code {
                Some(code) => code.push_str(&text),
                None => self.inline.push_str(&text),
            },
            Event::SoftBreak | Event::HardBreak => self.inline.push(' '),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag) {
        match tag {
            Tag::List(number) => {
                self.write_paragraph();
                self.lists.push(number);
            }
            Tag::Item => {
                self.marker = Some(match self.lists.last_mut() {
                    Some(Some(number)) => {
                        *number += 1;
                        format!("{}. ", *number - 1)
                    }
                    _ => "- ".to_owned(),
                });
            }
            Tag::CodeBlock(_) => self.code = Some(String::new()),
            Tag::TableHead | Tag::TableRow => self.rows.push(Vec::new()),
            Tag::Strong if self.coloured => self.inline.push_str(&Style::new().bold().to_string()),
            Tag::Emphasis if self.coloured => {
                self.inline.push_str(&Style::new().underline().to_string());
            }
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(level) => {
                let text = std::mem::take(&mut self.inline);
                let text = if level as usize == 1 { text.to_uppercase() } else { text };
                let bold = Style::new().bold();
                self.line(&if self.coloured { styled(&text, bold) } else { text });
                self.blank_line();
            }
            TagEnd::Paragraph => {
                self.write_paragraph();
                self.blank_line();
            }
            TagEnd::Item => self.write_paragraph(),
            TagEnd::List(_) => {
                self.lists.pop();
                if self.lists.is_empty() {
                    self.blank_line();
                }
            }
            TagEnd::CodeBlock => {
                let code = self.code.take().unwrap_or_default();
                code.lines().for_each(|line| self.write_code(line));
                self.blank_line();
            }
            TagEnd::TableCell => {
                let cell = std::mem::take(&mut self.inline);
                if let Some(row) = self.rows.last_mut() {
                    row.push(cell);
                }
            }
            TagEnd::Table => {
                let rows = std::mem::take(&mut self.rows);
                self.write_table(&rows);
                self.blank_line();
            }
            TagEnd::Strong | TagEnd::Emphasis if self.coloured => {
                self.inline.push_str(&format!("{:#}", Style::new().bold()));
            }
            _ => {}
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(&line.trim_end().replace(FIXED_BLANK, " "));
        self.text.push('\n');
    }

    fn blank_line(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Writes the open inline text, with the marker of an item before its first paragraph.
    fn write_paragraph(&mut self) {
        let text = std::mem::take(&mut self.inline);
        if text.is_empty() {
            return;
        }
        let indent = INDENT.repeat(self.lists.len() + 1);
        match self.marker.take() {
            Some(marker) => {
                let first = format!("{}{marker}", INDENT.repeat(self.lists.len()));
                let rest = " ".repeat(first.len());
                self.wrap(&text, &first, &rest);
            }
            None => self.wrap(&text, &indent, &indent),
        }
    }

    fn wrap(&mut self, text: &str, first: &str, rest: &str) {
        for line in wrap_indented(first, rest, text, self.width) {
            self.line(&line);
        }
    }

    /// Writes a line of code. One that is too long is broken as a shell would read it.
    fn write_code(&mut self, line: &str) {
        let indent = INDENT.repeat(2);
        let command = line.starts_with("$ ");
        let end = if command { " \\" } else { "" };
        if indent.len() + coloured_width(line) <= self.width {
            return self.line(&format!("{indent}{line}"));
        }
        let rest = indent.repeat(2);
        let mut lines =
            wrap_indented(&indent, &rest, line, self.width - end.len()).into_iter().peekable();
        while let Some(line) = lines.next() {
            self.line(&format!("{line}{}", if lines.peek().is_some() { end } else { "" }));
        }
    }

    /// Writes a table in columns, of which the last one is wrapped, or else as a list.
    fn write_table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.first().map_or(0, Vec::len);
        let width = |at: usize| {
            let cells = rows.iter().filter_map(|row| row.get(at));
            cells.map(|cell| coloured_width(cell)).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let before = widths.iter().rev().skip(1).map(|width| width + GAP).sum::<usize>();
        if INDENT.len() + before > self.width / 2 {
            return self.write_list(rows);
        }
        for row in rows {
            let mut first = INDENT.to_owned();
            let cells = row.iter().zip(&widths).take(columns - 1);
            for (cell, width) in cells {
                first.push_str(cell);
                first.push_str(&" ".repeat(width + GAP - coloured_width(cell)));
            }
            let rest = " ".repeat(INDENT.len() + before);
            let last = row.last().map_or("", String::as_str);
            self.wrap(last, &first, &rest);
        }
    }

    /// Writes the rows of a table one below the other: the first cell, and below it the others. Cells
    /// of a table with more than two columns are labelled with the heads of their columns.
    fn write_list(&mut self, rows: &[Vec<String>]) {
        let Some((head, rows)) = rows.split_first() else { return };
        let (term, below) = (INDENT, INDENT.repeat(3));
        for row in rows {
            let mut cells = row.iter().zip(head);
            if let Some((first, _)) = cells.next() {
                self.wrap(first, term, term);
            }
            for (cell, label) in cells.filter(|(cell, _)| !cell.is_empty()) {
                let text = if head.len() > 2 { format!("{label}: {cell}") } else { cell.clone() };
                self.wrap(&text, &below, &below);
            }
        }
    }
}

fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn blocks_are_indented_and_wrapped() {
        let text = "# A title\n\nOne two `three three` [four](five.md) **six**.\n\n- seven\n  eight\n  - inner\n- nine\n\n\
                    1. ten\n\n```sh\n$ eleven twelve thirteen\n```\n";
        let expected = "A TITLE\n\n  One two\n  `three three` four\n  six.\n\n  - seven eight\n    - inner\n  - nine\n\n  1. ten\n\n\
                        \x20   $ eleven \\\n        twelve \\\n        thirteen\n";
        assert_eq!(page(text, 20, false), expected);
    }

    #[test]
    fn a_table_is_in_columns_if_they_fit() {
        let text = "| a | b |\n|---|---|\n| `x` | one two three |\n";
        assert_eq!(page(text, 20, false), "  a    b\n  `x`  one two three\n");
        assert_eq!(page(text, 16, false), "  a    b\n  `x`  one two\n       three\n");
        assert_eq!(page(text, 8, false), "  `x`\n      one\n      two\n      three\n");
        let wide = "| a | b | c |\n|---|---|---|\n| one two | three | four |\n";
        assert_eq!(page(wide, 20, false), "  one two\n      b: three\n      c: four\n");
    }

    #[test]
    fn colour_is_used_only_where_it_is_wanted() {
        assert!(page("# A\n\n`b` **c**\n", 20, true).contains('\x1b'));
        assert!(!page("# A\n\n`b` **c**\n", 20, false).contains('\x1b'));
    }
}
