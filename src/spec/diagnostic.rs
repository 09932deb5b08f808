//! Problems in a spec file, shown in the manner of rustc: what, where, why and what to do.

use std::borrow::Cow;
use std::ops::Range;
use std::path::PathBuf;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, Title};

use super::passwords::{line_holds_connection, withhold};

/// A range of bytes in the spec file.
pub type Span = Range<usize>;

/// A value with the place that it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Nothing is read until it is mended.
    Error,
    /// Worth knowing.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong: lowercase, without a full stop, names in double quotes.
    pub message: String,
    /// Where, unless it is the file as a whole.
    pub span: Option<Span>,
    /// A sentence about what to do.
    pub hint: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: &Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            span: Some(span.clone()),
            hint: None,
        }
    }

    /// A warning at a place.
    pub fn warning(span: &Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(span, message) }
    }

    /// The same, with a sentence about what to do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Diagnostic {
        self.hint = Some(hint.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A spec file's path and text, kept to show problems in place.
#[derive(Clone, Debug)]
pub struct SpecText {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl SpecText {
    /// Shows a problem with its line and caret. A line that may hold a connection string is named only,
    /// and what is long is cut.
    pub fn render(&self, problem: &Diagnostic, styled: bool) -> String {
        let level = match problem.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let path = printable(&self.path.to_string_lossy());
        let title = level.primary_title(shortened(&problem.message));
        let mut group = match &problem.span {
            Some(span) => self.point_at(span, path, title),
            None => Group::with_title(title).element(Origin::path(path)),
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.with_name("hint").message(shortened(hint)));
        }
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }

    /// Shows the line where a span starts; a multi-line query is pointed at by its start.
    fn point_at<'t>(&self, span: &Span, path: String, title: Title<'t>) -> Group<'t> {
        let start = span.start.min(self.text.len());
        let (before, after) = self.text.split_at(start);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = after.find(['\r', '\n']).map_or(self.text.len(), |at| start + at);
        let number = before.matches('\n').count() + 1;
        let line = &self.text[line_start..line_end];
        if line.len() > LONGEST_LINE || line_holds_connection(&self.text[..line_start], line) {
            let column = self.text[line_start..start].chars().count() + 1;
            return title.element(Origin::path(path).line(number).char_column(column));
        }
        let marked = start - line_start..span.end.clamp(start, line_end) - line_start;
        title.element(
            Snippet::source(shielded(line))
                .line_start(number)
                .path(path)
                .annotation(AnnotationKind::Primary.span(marked)),
        )
    }
}

/// A longer line of a spec is named, and not shown.
const LONGEST_LINE: usize = 10_000;
/// A longer message goes on about something that is long itself.
const LONGEST_MESSAGE: usize = 1_000;

/// A message for the terminal.
fn shortened(text: &str) -> String {
    let shown = |text: &str| printable(&withhold(text));
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{}…", shown(&text[..at])),
        None => shown(text),
    }
}

/// A line with what drives a terminal replaced byte for byte, so that places stay. The renderer has
/// signs of its own for the control characters of ASCII.
fn shielded(line: &str) -> String {
    let replaced = |c: char| match c.len_utf8() {
        2 if drives_terminal(c) => '·',
        3 if drives_terminal(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    line.chars().map(replaced).collect()
}

/// Whether a character drives a terminal: control characters, and those that change the direction of a
/// text or end its line.
pub fn drives_terminal(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Shows control characters as escapes, so that no text from outside can drive a terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = drives_terminal(c).then(|| c.escape_unicode());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

/// Escapes what JSON itself allows in a string: DEL, C1, and what changes the direction of a text or
/// ends its line. Between strings there is none of it, only line feeds of a pretty document.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    let drives = |c: char| c != '\n' && drives_terminal(c);
    if !json.contains(drives) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match drives(c) {
            // All of them lie below U+10000.
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, problem: &Diagnostic) -> String {
        SpecText { path: "specs/a.toml".into(), text: text.into() }.render(problem, false)
    }

    #[test]
    fn a_problem_shows_file_line_caret_and_hint() {
        let problem =
            Diagnostic::error(&(12..18), "unknown key \"tabel\"").with_hint("Write \"table\".");
        insta::assert_snapshot!(shown("version = 1\ntabel = 'a.b'\n", &problem), @r#"
        error: unknown key "tabel"
         --> specs/a.toml:2:1
          |
        2 | tabel = 'a.b'
          | ^^^^^^
          |
          = hint: Write "table".
        "#);
    }

    #[test]
    fn a_line_with_a_connection_string_is_named_and_not_shown() {
        let text = "url = 'postgres://u:hunter2@h/d'\nurl = 'password=hunter2 host=h'\n";
        for (span, place) in [(0..3, "specs/a.toml:1:1"), (33..36, "specs/a.toml:2:1")] {
            let shown = shown(text, &Diagnostic::error(&span, "m"));
            assert!(shown.contains(place) && !shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn a_connection_string_in_a_message_or_a_hint_is_withheld() {
        let problem = Diagnostic::error(&(0..1), "\"postgres://u:hunter2@h\" is not set")
            .with_hint("Set postgres://u:hunter2@h.");
        let shown = shown("a", &problem);
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_span_over_several_lines_points_at_its_start() {
        let text = "query = '''\nselect 1\n'''\n";
        let shown = shown(text, &Diagnostic::error(&(8..24), "m"));
        assert!(shown.contains("1:9") && !shown.contains("select"), "{shown}");
    }

    #[test]
    fn nothing_from_outside_drives_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\u{202e}b\r"), "a\\u{1b}[31m\\u{202e}b\\u{d}");
    }
}
