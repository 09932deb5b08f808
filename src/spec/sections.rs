//! The parts of a file that are parsed one after the other: each `[[mapping]]` with the tables below it,
//! and everything else.
//!
//! The parser takes some fifty bytes for each word of its text, and a table many times what it is written
//! as. Parsed part by part, a file of ten thousand mappings takes little more memory than itself, however
//! many mistakes it has.
//!
//! ```text
//! version = 1 …       the head, which goes on behind the mappings
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

/// Words of a part; no spec has nearly as many in one. A word is a key, a value, a sign or a line's end.
const MOST_WORDS: usize = 250_000;

/// Where the parts of a text stand.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// Each mapping's place, in order.
    pub(super) mappings: Vec<Range<usize>>,
    /// Where the first part begins that has more words than a spec has, if there is one.
    pub(super) too_long: Option<usize>,
}

impl Sections {
    /// Finds the parts of a text. What is no TOML belongs to the part in which it stands.
    pub(super) fn of(text: &str) -> Sections {
        let mut sections = Sections::default();
        let mut mapping = None;
        let (mut words_of_head, mut words_of_mapping) = (0, 0);
        // Whether a line begins that is no part of a value, and how many brackets of a value are open.
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
                    let begins = match of_mapping(text, &header) {
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

    /// The text without its mappings. What is left stands in its place.
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

/// What a header of a mapping is.
enum MappingHeader {
    /// The mapping itself.
    Begins,
    /// A table below it.
    Below,
}

/// What a header is for a mapping, by what follows its first bracket; `None` for any other table.
fn of_mapping(text: &str, header: &[Token]) -> Option<MappingHeader> {
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

/// A part's table with its places counted from where the part begins.
pub(super) fn moved<'t>(table: Spanned<DeTable<'t>>, by: usize) -> Spanned<DeTable<'t>> {
    let span = table.span();
    Spanned::new(span.start + by..span.end + by, moved_table(table.into_inner(), by))
}

fn moved_table(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let entries = table.into_iter().map(|(key, value)| {
        let span = key.span();
        (Spanned::new(span.start + by..span.end + by, key.into_inner()), moved_value(value, by))
    });
    entries.collect()
}

fn moved_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let value = match value.into_inner() {
        DeValue::Array(items) => {
            DeValue::Array(items.into_iter().map(|item| moved_value(item, by)).collect())
        }
        DeValue::Table(table) => DeValue::Table(moved_table(table, by)),
        value => value,
    };
    Spanned::new(span.start + by..span.end + by, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts of the mappings, and what is left.
    fn cut(text: &str) -> (Vec<&str>, String) {
        let sections = Sections::of(text);
        let head = sections.head(text);
        assert_eq!(head.len(), text.len());
        (sections.mappings.into_iter().map(|at| &text[at]).collect(), head.replace(' ', ""))
    }

    #[test]
    fn a_mapping_ends_where_another_table_begins() {
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
    fn what_looks_like_a_header_within_a_value_is_none() {
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
    fn a_part_of_more_words_than_a_spec_has_is_noticed() {
        let mapping = "[[mapping]]\nsource.table = 'a.b'\n";
        assert_eq!(Sections::of(&mapping.repeat(50_000)).too_long, None);
        assert_eq!(Sections::of(&"k=1\n".repeat(70_000)).too_long, Some(0));
        assert_eq!(Sections::of(&format!("{}\n", "[".repeat(300_000))).too_long, Some(0));
        let long = format!("{mapping}[[mapping]]\n{}", "k=1\n".repeat(70_000));
        assert_eq!(Sections::of(&long).too_long, Some(mapping.len()));
    }

    #[test]
    fn places_are_counted_from_where_the_part_begins() {
        let table = moved(DeTable::parse("a = [{ b = 1 }]").unwrap(), 100);
        let (key, value) = table.get_ref().iter().next().unwrap();
        assert_eq!((key.span(), value.span()), (100..101, 104..115));
        let inner = value.get_ref().as_array().unwrap().iter().next().unwrap();
        let (key, value) = inner.get_ref().as_table().unwrap().iter().next().unwrap();
        assert_eq!((key.span(), value.span()), (107..108, 111..112));
    }
}
