//! The operator's own SQL: `where`, `query`, `sql` and `target_sql`.
//!
//! A fragment goes into a statement only between brackets of ours, `(\n…\n)`. It is read once, with
//! PostgreSQL's own rules for quotes and comments, so that it cannot leave them: brackets must pair,
//! `;` is refused, comments end with our line break. The server parses the rest; every fragment goes
//! to it alone before anything is read. A spec is code that runs with the role's rights.
//!
//! `:name` is a parameter outside quotes, dollar quotes and comments, and never after another colon.

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::CharIndices;

use super::diagnostic::{Placed, Span};

/// A piece of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FragmentPart {
    /// SQL, to be written as it stands.
    Sql(String),
    /// A parameter, to be bound.
    Param(String),
}

/// SQL from the spec that cannot leave its brackets. Only this file makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    parts: Vec<FragmentPart>,
    identifiers: BTreeSet<String>,
    span: Span,
}

impl Fragment {
    /// Reads a fragment.
    ///
    /// # Errors
    /// Why the text cannot stand between brackets, as a clause.
    pub fn read(text: &Placed<String>) -> Result<Fragment, String> {
        let (parts, identifiers) = Lexer::new(&text.value).run()?;
        Ok(Fragment { parts, identifiers, span: text.span.clone() })
    }

    /// Its SQL and parameters, in order.
    pub fn parts(&self) -> &[FragmentPart] {
        &self.parts
    }

    /// The names of its parameters.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            FragmentPart::Param(name) => Some(name.as_str()),
            FragmentPart::Sql(_) => None,
        })
    }

    /// Whether a word stands in it as an identifier.
    pub fn mentions(&self, name: &str) -> bool {
        self.identifiers.contains(name)
    }

    /// Where it stands in the spec.
    pub fn span(&self) -> &Span {
        &self.span
    }
}

struct Lexer<'t> {
    text: &'t str,
    chars: Peekable<CharIndices<'t>>,
    parts: Vec<FragmentPart>,
    identifiers: BTreeSet<String>,
    open: Vec<char>,
    copied: usize,
}

type Lexed = (Vec<FragmentPart>, BTreeSet<String>);

impl<'t> Lexer<'t> {
    fn new(text: &'t str) -> Lexer<'t> {
        Lexer {
            text,
            chars: text.char_indices().peekable(),
            parts: Vec::new(),
            identifiers: BTreeSet::new(),
            open: Vec::new(),
            copied: 0,
        }
    }

    fn run(mut self) -> Result<Lexed, String> {
        if self.text.trim().is_empty() {
            return Err("it is empty".into());
        }
        while let Some((at, c)) = self.chars.next() {
            match c {
                '\0' => return Err("it holds a NUL character".into()),
                ';' => return Err("it holds a \";\" outside quotes".into()),
                '\'' => self.quoted('\'', false)?,
                '"' => self.quoted_identifier(at)?,
                '-' if self.eat('-') => self.skip_while(|c| !matches!(c, '\n' | '\r')),
                '/' if self.eat('*') => self.block_comment()?,
                '$' => self.dollar(at)?,
                ':' => self.colon(at),
                '(' | '[' => self.open.push(c),
                ')' => self.close('(', c)?,
                ']' => self.close('[', c)?,
                c if c.is_ascii_digit() => {
                    self.skip_while(|c| c.is_ascii_alphanumeric() || c == '.')
                }
                c if starts_word(c) => self.word(at)?,
                _ => {}
            }
        }
        if let Some(bracket) = self.open.pop() {
            return Err(format!("its \"{bracket}\" is never closed"));
        }
        self.copy_to(self.text.len());
        Ok((self.parts, self.identifiers))
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().map(|(_, c)| *c)
    }

    fn eat(&mut self, c: char) -> bool {
        self.chars.next_if(|(_, next)| *next == c).is_some()
    }

    fn skip_while(&mut self, condition: impl Fn(char) -> bool) {
        while self.chars.next_if(|(_, c)| condition(*c)).is_some() {}
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.text.len(), |(at, _)| *at)
    }

    fn copy_to(&mut self, end: usize) {
        if self.copied < end {
            self.parts.push(FragmentPart::Sql(self.text[self.copied..end].to_owned()));
            self.copied = end;
        }
    }

    /// To the closing quote; a doubled quote stands for itself.
    fn quoted(&mut self, quote: char, backslashes: bool) -> Result<(), String> {
        while let Some((_, c)) = self.chars.next() {
            if c == '\\' && backslashes {
                self.chars.next();
            } else if c == quote && !self.eat(quote) {
                return Ok(());
            }
        }
        Err(format!("its {quote} is never closed"))
    }

    fn quoted_identifier(&mut self, at: usize) -> Result<(), String> {
        self.quoted('"', false)?;
        let end = self.position();
        self.identifiers.insert(self.text[at + 1..end - 1].replace("\"\"", "\""));
        Ok(())
    }

    fn block_comment(&mut self) -> Result<(), String> {
        let mut depth = 1;
        while depth > 0 {
            match self.chars.next() {
                Some((_, '/')) if self.eat('*') => depth += 1,
                Some((_, '*')) if self.eat('/') => depth -= 1,
                Some(_) => {}
                None => return Err("its /* is never closed".into()),
            }
        }
        Ok(())
    }

    /// `$tag$ … $tag$`; `$1` is refused, since positions are given out by us.
    fn dollar(&mut self, at: usize) -> Result<(), String> {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return Err(
                "it holds a positional parameter; declare it in [params] and write :name".into()
            );
        }
        let mut rest = self.chars.clone();
        while rest.next_if(|(_, c)| is_word(*c) && *c != '$').is_some() {}
        let Some((end, '$')) = rest.next() else {
            return Err("it holds a stray \"$\"".into());
        };
        let tag = &self.text[at..=end];
        let Some(length) = self.text[end + 1..].find(tag) else {
            return Err(format!("its {tag} is never closed"));
        };
        let after = end + 1 + length + tag.len();
        while self.chars.next_if(|(at, _)| *at < after).is_some() {}
        Ok(())
    }

    fn colon(&mut self, at: usize) {
        if self.eat(':') {
            // a cast; a third colon cannot start a parameter either
            self.skip_while(|c| c == ':');
        } else if self.peek().is_some_and(starts_word) {
            self.copy_to(at);
            self.skip_while(is_word);
            let end = self.position();
            self.parts.push(FragmentPart::Param(self.text[at + 1..end].to_owned()));
            self.copied = end;
        }
    }

    fn close(&mut self, opening: char, closing: char) -> Result<(), String> {
        match self.open.pop() {
            Some(open) if open == opening => Ok(()),
            _ => Err(format!("its \"{closing}\" closes nothing")),
        }
    }

    fn word(&mut self, at: usize) -> Result<(), String> {
        self.skip_while(is_word);
        let end = self.position();
        let word = &self.text[at..end];
        if word.eq_ignore_ascii_case("e") && self.eat('\'') {
            return self.quoted('\'', true);
        }
        self.identifiers.insert(word.to_lowercase());
        Ok(())
    }
}

fn starts_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char) -> bool {
    starts_word(c) || c.is_ascii_digit() || c == '$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Fragment, String> {
        Fragment::read(&Placed { value: text.to_owned(), span: 0..text.len() })
    }

    fn params(text: &str) -> Vec<String> {
        read(text).unwrap().params().map(str::to_owned).collect()
    }

    #[test]
    fn parameters_stand_outside_quotes_and_comments_only() {
        assert_eq!(params("a = any(:tenants) and b = :b"), ["tenants", "b"]);
        assert!(
            params("':a' || \":b\" || $$:c$$ || $t$:d$t$ -- :e\n || E'\\':f' /* :g /* */ :h */")
                .is_empty()
        );
        assert!(params("a::text || b:::c || x[1: n]").is_empty());
    }

    /// For PostgreSQL it does: what follows is SQL again.
    #[test]
    fn a_comment_ends_at_a_carriage_return() {
        assert_eq!(params("true -- why\r and a = :b"), ["b"]);
        assert!(read("true -- why\r) or (true").is_err());
        assert!(read("true -- why\r; delete from t").is_err());
    }

    #[test]
    fn the_pieces_put_together_are_the_text() {
        let text = "a = :x and b = ':y' -- :z";
        let whole: String = read(text)
            .unwrap()
            .parts()
            .iter()
            .map(|part| match part {
                FragmentPart::Sql(sql) => sql.clone(),
                FragmentPart::Param(name) => format!(":{name}"),
            })
            .collect();
        assert_eq!(whole, text);
    }

    #[test]
    fn nothing_can_leave_its_brackets() {
        for text in [
            "true) or (true",
            "a; drop table b",
            "'a",
            "\"a",
            "$$a",
            "$t$ $$",
            "/* a",
            "(a",
            "a]",
            "(a]",
            "",
            "  ",
            "a\0b",
            "E'\\'",
            "$1",
            "a $ b",
            "1$$a$$)",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_only_looks_dangerous_passes() {
        for text in
            ["';'", "\";)\"", "$$)$$", "a -- )", "/* ; */ a", "E'\\\\'", "'a''b'", "1e5 > x", "a$b"]
        {
            assert!(read(text).is_ok(), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn identifiers_are_noticed_as_postgresql_folds_them() {
        let fragment = read("Upper(\"Mixed\".\"a\"\"b\") || 'text' || 1e5 || é").unwrap();
        for name in ["upper", "Mixed", "a\"b", "é"] {
            assert!(fragment.mentions(name), "{name}");
        }
        for name in ["text", "e5", "Upper"] {
            assert!(!fragment.mentions(name), "{name}");
        }
    }
}
