//! Connection strings within other texts, such as a file name or a line of a spec: they are withheld.
//!
//! `pg::Conninfo` decides what may be shown of a connection string that it parsed. This file is the last
//! resort for connection strings where none is expected. Their end is not known, since a password may contain
//! any character; so everything from the start to the end of the line is withheld.

/// Finds the passwords in a connection string: `://user:HERE@` and `password=HERE`. It finds rather too much
/// than too little: a password may contain "/", "?" and "@", so it extends to the line's last "@".
pub(super) fn find_passwords(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut places = Vec::new();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        if let Some((scheme, rest)) = line.split_once("://")
            && let Some(host) = rest.rfind('@')
            && let Some(colon) = rest[..host].find(':')
        {
            let start = line_start + scheme.len() + 3;
            places.push(start + colon + 1..start + host);
        }
        line_start += line.len();
    }
    // The end of the last value without quotes, outside a URL and in one: what is within it is already
    // found, and reading it again would take quadratic time in a long line.
    let mut seen = [0, 0];
    for (equals, _) in text.match_indices('=') {
        let before = text[..equals].trim_end_matches(' ');
        let at = before.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '_').len();
        if !means_a_password(&before[at..]) {
            continue;
        }
        let value = text[equals + 1..].trim_start_matches(' ');
        let start = text.len() - value.len();
        let in_url = text[..at].ends_with(['?', '&']);
        let seen = &mut seen[usize::from(in_url)];
        let quoted = value.starts_with('\'');
        if !quoted && start < *seen {
            continue;
        }
        let end = start + value_length(value, in_url);
        if !quoted {
            *seen = end;
        }
        places.push(start..end);
    }
    places.retain(|place| !place.is_empty());
    places
}

/// Returns whether a keyword means a password, correctly spelt or not.
fn means_a_password(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let spelt = word.starts_with('p') && word.contains('w');
    (word.contains("pass") && word != "passfile") || spelt || word.contains("secret")
}

/// Returns the length of a value: to the closing quote or to a blank. A backslash escapes the next
/// character.
fn value_length(value: &str, in_url: bool) -> usize {
    let quoted = value.starts_with('\'');
    let mut chars = value.char_indices().skip(usize::from(quoted)).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return at,
            '\\' => drop(chars.next_if(|(_, c)| *c != '\n')),
            '\'' if quoted => return at + 1,
            ' ' | '"' | '\u{1b}' if !quoted => return at,
            '&' if in_url => return at,
            _ => {}
        }
    }
    value.len()
}

/// Removes the connection strings from a text, each with the rest of its line.
pub fn withhold(text: &str) -> String {
    let shown = |line: &str| match find_connection(line.trim_end_matches('\n')) {
        Some(start) if line.ends_with('\n') => format!("{}…\n", &line[..start]),
        Some(start) => format!("{}…", &line[..start]),
        None => line.to_owned(),
    };
    text.split_inclusive('\n').map(shown).collect()
}

/// Returns whether a text, such as an argument, looks like a connection string or contains one. A colon and
/// an "@" behind it are enough: a password between them may contain any character, blanks included.
pub fn holds_connection(text: &str) -> bool {
    let login = text.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    let words = || text.split(|c: char| c.is_whitespace() || "?&,".contains(c));
    let pair = |word: &str| {
        word.split_once('=').is_some_and(|(keyword, _)| KEYWORDS.contains(&keyword.trim()))
    };
    login || words().any(pair) || text.lines().any(|line| find_connection(line).is_some())
}

/// Keywords of a connection string.
const KEYWORDS: [&str; 8] =
    ["host", "hostaddr", "port", "dbname", "user", "service", "sslmode", "options"];

/// Returns where a connection string starts in a line: at a scheme with a slash, at `name:word@`, or at a
/// keyword that means a password and its "=".
fn find_connection(line: &str) -> Option<usize> {
    let word_start = |end: usize, within: fn(char) -> bool| {
        line[..end].char_indices().rev().take_while(|(_, c)| within(*c)).last().map(|(at, _)| at)
    };
    let scheme = line.match_indices(":/").filter_map(|(colon, _)| {
        let start = word_start(colon, |c| c.is_ascii_alphanumeric() || c == '+')?;
        let scheme = line[start..colon].to_ascii_lowercase();
        let rest = line[colon + 1..].trim_start_matches('/');
        let known = scheme.starts_with("postgres") && !rest.starts_with(['…', ' ', '"']);
        let other = !scheme.starts_with("http") && line[colon..].starts_with("://");
        (!rest.is_empty() && (known || other && rest.contains('@'))).then_some(start)
    });
    let login = line.match_indices(':').filter_map(|(colon, _)| {
        let start = word_start(colon, |c| !c.is_whitespace() && !"\"'`:@()".contains(c))?;
        let rest = line[colon + 1..].split(char::is_whitespace).next()?;
        (!rest.starts_with(':') && rest.contains('@')).then_some(start)
    });
    let pair = line.match_indices('=').filter_map(|(equals, _)| {
        let end = line[..equals].trim_end_matches(' ').len();
        let start = word_start(end, |c| c.is_ascii_alphabetic() || c == '_')?;
        means_a_password(&line[start..end]).then_some(start)
    });
    scheme.chain(login).chain(pair).min()
}

/// Returns whether a line of a spec may contain a connection string that is more than `${VARIABLE}`.
/// `before` is the file up to the line: within [source] and [target] every key but `search_path` counts.
pub(super) fn line_holds_connection(before: &str, line: &str) -> bool {
    if find_connection(line).is_some() {
        return true;
    }
    let bare = |text: &str| -> String {
        text.chars().filter(|c| !c.is_whitespace() && !"\"'".contains(*c)).collect()
    };
    let header = before.lines().rev().map(bare).find(|line| line.starts_with('['));
    let of_side = header
        .is_some_and(|line| ["[source]", "[target]"].iter().any(|side| line.starts_with(side)));
    let (key, value) = line.split_once('=').unwrap_or(("", line));
    let key = bare(key);
    let harmless = bare(&remove_variables(value)).is_empty() || bare(line).starts_with('[');
    let url = line.match_indices("url").any(|(at, _)| {
        bare(&line[at + 3..])
            .strip_prefix('=')
            .is_some_and(|value| !remove_variables(value).trim_matches(['}', ',']).is_empty())
    });
    url || of_side && !harmless && key != "search_path"
}

/// Removes the `${VARIABLE}`s from a text.
fn remove_variables(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("${") {
        kept.push_str(before);
        match after.split_once('}') {
            Some((name, after)) if is_variable(name) => rest = after,
            _ => return kept + after,
        }
    }
    kept + rest
}

/// Returns whether a text can name an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_and_the_rest_of_its_line_are_withheld() {
        for (text, shown) in [
            ("a postgres://u:p@ss@h/d b", "a …"),
            ("\"postgres:/u:hunter2 x\"", "\"…"),
            ("POSTGRES://hunter2", "…"),
            ("a\nmysql://u:p@h/d\nb", "a\n…\nb"),
            ("host=h password = 'p w' user=u", "host=h …"),
            ("x?pasword=pw&y", "x?…"),
            ("spec reader:123?hunter2=x@: no", "spec …"),
            ("u:pw@h", "…"),
        ] {
            assert_eq!(withhold(text), shown);
        }
        for text in [
            "ledger me@127.0.0.1:1/x: refused",
            "see https://toml.io",
            "--ledger postgres://….",
            "operator does not exist: text @> jsonb",
            "a::jsonb@>b",
            "no role is named; name one with \"user\" or PGUSER",
            "Write a PostgreSQL URL, a key=value string or \"${VARIABLE}\".",
        ] {
            assert_eq!(withhold(text), text);
        }
    }

    #[test]
    fn an_argument_with_a_keyword_of_a_connection_looks_like_one() {
        for text in ["host=h", "dbname=x user=y", "//h/d?sslmode=x", "u:p@h", "postgres:/h"] {
            assert!(holds_connection(text), "{text}");
        }
        for text in ["r:a pw@h/d", "postgres:r:a pw@h", "://r: pw@h", "http://r:a pw@h", "r::pw@h"]
        {
            assert!(holds_connection(text), "{text}");
        }
        for text in ["specs/a.toml", "/data/host=a/x.db", "C:/x", "a@b/c.toml", "https://x"] {
            assert!(!holds_connection(text), "{text}");
        }
    }

    #[test]
    fn a_line_of_a_side_is_shown_if_it_holds_variables_only() {
        for (before, line) in [
            ("[source]\n", "url = \"hunter2\""),
            ("[ \"target\" ] # x\nurl = '''\n", "hunter2"),
            ("[source]\n", "url = \"${A:-hunter2}\""),
            ("[source]\n", "url = \"${A}\" # hunter2"),
            ("[source]\n", "ulr = \"hunter2\""),
            ("", "source.url = 'hunter2'"),
            ("", "source = { url = 'hunter2' }"),
            ("", "name = \"postgres://u@h/d\""),
        ] {
            assert!(line_holds_connection(before, line), "{line}");
        }
        for (before, line) in [
            ("[source]\n", "url = \"${A}${B}\""),
            ("", "source.url = '${A}'"),
            ("", "source = { url = '${A}' }"),
            ("[source]\n", "search_path = \"public\""),
            ("[source]\n[[mapping]]\n", "name = \"x\""),
            ("", "[source]"),
            ("[source]\n", "[target] # x"),
            ("[mapping.source]\n", "table = \"t\""),
        ] {
            assert!(!line_holds_connection(before, line), "{line}");
        }
    }
}
