//! Lines that fit a terminal. Widths are columns: a wide character of East Asian text takes two.

use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Wraps `first` with `text` behind it into lines of at most `width` columns; later lines are
/// indented below the text. A word longer than that stays whole, since it may be a key to copy.
pub fn wrap(first: &str, text: &str, width: usize) -> Vec<String> {
    wrap_indented(first, &" ".repeat(first.width()), text, width)
}

/// Wraps a text into lines of at most `width` columns, the first behind `first` and later ones behind
/// `rest`.
pub fn wrap_indented(first: &str, rest: &str, text: &str, width: usize) -> Vec<String> {
    let options = Options::new(width)
        .initial_indent(first)
        .subsequent_indent(rest)
        .break_words(false)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
}

/// Returns the width of a text in columns.
pub fn display_width(text: &str) -> usize {
    text.width()
}

/// Returns the width of a text in columns, without its escape sequences for colour.
pub fn coloured_width(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// Pads a text with blanks to `width` columns.
pub fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

/// Truncates a text to `width` columns.
pub fn truncate(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width {
            return &text[..at];
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_indented_below_the_text() {
        assert_eq!(wrap("  key  ", "a bb ccc", 11), ["  key  a bb", "       ccc"]);
        assert_eq!(wrap("  key  ", "a-long-word b", 11), ["  key  a-long-word", "       b"]);
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(wrap("", "漢字 漢字", 8), ["漢字", "漢字"]);
        assert_eq!(
            (display_width("漢字"), pad("漢", 4), truncate("漢字", 3)),
            (4, "漢  ".into(), "漢")
        );
    }
}
