//! The parts of a file that are parsed one after the other: each `[[mapping]]` with the tables below it,
//! and everything else.
//!
//! The parser needs some fifty bytes for each word of its text, and a table needs many times the size of its
//! text. Parsed in parts, a file of ten thousand mappings needs little more memory than itself, however many
//! mistakes it has.
//!
//! ```text
//! version = 1 …       the head, which continues behind the mappings
//! [[mapping]]         a mapping
//! [mapping.source]    …
//! [[mapping]]         another
//! [gate]              the head
//! ```

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::Source;
use toml_parser::lexer::{Token, TokenKind};

/// The most words of a part; no spec has nearly as many in one. A word is a key, a value, a sign or a line
/// break.
const MOST_WORDS: usize = 250_000;

/// The places of the parts of a text.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// The place of each mapping, in order.
    pub(super) mappings: Vec<Range<usize>>,
    /// The start of the first part with too many words, if there is one.
    pub(super) too_long: Option<usize>,
}

impl Sections {
    /// Finds the parts of a text. What is not TOML belongs to the part around it.
    pub(super) fn of(text: &str) -> Sections {
        let mut sections = Sections::default();
        let mut mapping = None;
        let (mut words_of_head, mut words_of_mapping) = (0, 0);
        // Whether a line starts that is no part of a value, and how many brackets of a value are open.
        let (mut fresh, mut depth) = (true, 0_usize);
        let mut tokens = Source::new(text).lex().peekable();
        while let Some(token) = tokens.next() {
            let start = token.span().start();
            let words = if mapping.is_some() { &mut words_of_mapping } else { &mut words_of_head };
            *words += 1;
            if *words > MOST_WORDS {
                sections.too_long = Some(mapping.unwrap_or(0));
                return sections;
            }
            match token.kind() {
                TokenKind::Whitespace | TokenKind::Comment => {}
                TokenKind::Newline => fresh = fresh || depth == 0,
                TokenKind::LeftSquareBracket if fresh => {
                    let mut header = Vec::new();
                    let ends =
                        |token: &Token| matches!(token.kind(), TokenKind::Newline | TokenKind::Eof);
                    while let Some(token) = tokens.next_if(|token| !ends(token)) {
                        *words += 1;
                        if token.kind() != TokenKind::Whitespace && header.len() < 3 {
                            header.push(token);
                        }
                    }
                    let begins = match read_header(text, &header) {
                        Some(MappingHeader::Begins) => Some(start),
                        Some(MappingHeader::Below) => mapping,
                        None => None,
                    };
                    if begins != mapping {
                        sections.mappings.extend(mapping.map(|before| before..start));
                        (mapping, words_of_mapping) = (begins, 0);
                    }
                }
                kind => {
                    depth = match kind {
                        _ if fresh => 0,
                        TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => depth + 1,
                        TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => {
                            depth.saturating_sub(1)
                        }
                        _ => depth,
                    };
                    fresh = false;
                }
            }
        }
        sections.mappings.extend(mapping.map(|before| before..text.len()));
        sections
    }

    /// Returns the text with its mappings replaced by blanks, so that places stay.
    pub(super) fn head(&self, text: &str) -> String {
        let mut head = String::with_capacity(text.len());
        for mapping in &self.mappings {
            head.push_str(&text[head.len()..mapping.start]);
            head.extend(mapping.clone().map(|_| ' '));
        }
        head.push_str(&text[head.len()..]);
        head
    }
}

/// A table header of a mapping.
enum MappingHeader {
    /// The header of the mapping itself.
    Begins,
    /// The header of a table below it.
    Below,
}

/// Reads a table header from the tokens behind its first bracket. Returns `None` for a table outside
/// mappings.
fn read_header(text: &str, header: &[Token]) -> Option<MappingHeader> {
    let kind = |place: usize| header.get(place).map(Token::kind);
    let is_array = kind(0) == Some(TokenKind::LeftSquareBracket);
    let key = header.get(usize::from(is_array))?.span();
    let key = text.get(key.start()..key.end())?;
    if !["mapping", "\"mapping\"", "'mapping'"].contains(&key) {
        return None;
    }
    let single = kind(2) == Some(TokenKind::RightSquareBracket);
    Some(if is_array && single { MappingHeader::Begins } else { MappingHeader::Below })
}

/// Shifts the places in a part's table by the start of the part.
pub(super) fn shift_table<'t>(table: Spanned<DeTable<'t>>, by: usize) -> Spanned<DeTable<'t>> {
    let span = table.span();
    Spanned::new(span.start + by..span.end + by, shift_entries(table.into_inner(), by))
}

fn shift_entries(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = key.span();
        (Spanned::new(span.start + by..span.end + by, key.into_inner()), shift_value(value, by))
    });
    entries.collect()
}

fn shift_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| shift_value(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(shift_entries(table, by)),
        value => value,
    };
    Spanned::new(span.start + by..span.end + by, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the texts of the mappings, and the head.
    fn cut(text: &str) -> (Vec<&str>, String) {
        let sections = Sections::of(text);
        let head = sections.head(text);
        assert_eq!(head.len(), text.len());
        (sections.mappings.into_iter().map(|at| &text[at]).collect(), head.replace(' ', ""))
    }

    #[test]
    fn a_mapping_ends_where_another_table_starts() {
        let text = "a=1\n[[mapping]]\nb=1\n[mapping.source]\nc=1\n [[ mapping . accept ]]\n[[ 'mapping' ]] # d\n\
                    [gate]\ne=1\n[[\"mapping\"]]\nf=1";
        let (mappings, head) = cut(text);
        assert_eq!(
            mappings,
            [
                "[[mapping]]\nb=1\n[mapping.source]\nc=1\n [[ mapping . accept ]]\n",
                "[[ 'mapping' ]] # d\n",
                "[[\"mapping\"]]\nf=1"
            ]
        );
        assert_eq!(head, "a=1\n[gate]\ne=1\n");
    }

    #[test]
    fn a_header_within_a_value_is_ignored() {
        for value in [
            "'''\n[[mapping]]\n'''",
            "\"\"\"\n[gate]\n\"\"\"",
            "[\n[[\"mapping\"]],\n[\n[1]\n]\n]",
            "{ a = [\n[[1]]\n] }",
            "1 # [[mapping]]",
        ] {
            let text = format!("[[mapping]]\nv = {value}\nw = 1\n");
            assert_eq!(cut(&text).0, [&text], "{value}");
        }
    }

    #[test]
    fn tables_of_mapping_without_a_mapping_belong_to_the_head() {
        for text in ["[mapping]\na=1\n", "[mapping.source]\na=1\n", "mapping=[{}]\n", "[[mapping\n"]
        {
            assert_eq!(cut(text), (vec![], text.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_part_with_too_many_words_is_found() {
        let mapping = "[[mapping]]\nsource.table = 'a.b'\n";
        assert_eq!(Sections::of(&mapping.repeat(50_000)).too_long, None);
        assert_eq!(Sections::of(&"k=1\n".repeat(70_000)).too_long, Some(0));
        assert_eq!(Sections::of(&format!("{}\n", "[".repeat(300_000))).too_long, Some(0));
        let long = format!("{mapping}[[mapping]]\n{}", "k=1\n".repeat(70_000));
        assert_eq!(Sections::of(&long).too_long, Some(mapping.len()));
    }

    #[test]
    fn places_are_shifted_by_the_start_of_the_part() {
        let table = shift_table(DeTable::parse("a = [{ b = 1 }]").unwrap(), 100);
        let (key, value) = table.get_ref().iter().next().unwrap();
        assert_eq!((key.span(), value.span()), (100..101, 104..115));
        let inner = value.get_ref().as_array().unwrap().iter().next().unwrap();
        let (key, value) = inner.get_ref().as_table().unwrap().iter().next().unwrap();
        assert_eq!((key.span(), value.span()), (107..108, 111..112));
    }
}
