//! Passwords in a text, wherever a connection string may stand in it: none is ever shown.

/// Where passwords stand in a text: `://user:HERE@` and `password=HERE`. Rather too much than too little:
/// a password may hold "/", "?" and "@", so it lasts to the line's last "@".
pub(super) fn password_places(text: &str) -> Vec<std::ops::Range<usize>> {
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
    // Where the last value without quotes ends, outside a URL and in one: what stands within it is
    // seen to, and reading it again and again would take a long line's length squared.
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

/// Whether a keyword names a password, well spelt or not.
fn means_a_password(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let spelt = word.starts_with('p') && word.contains('w');
    (word.contains("pass") && word != "passfile") || spelt || word.contains("secret")
}

/// To the closing quote or to a blank; a backslash keeps the next character.
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

/// The same text, byte for byte as long, with every password in it made unreadable.
pub fn mask_passwords(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for place in password_places(text) {
        bytes[place].fill(b'*');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_masked_in_both_forms() {
        for (text, masked) in [
            ("postgres://u:p@ss@h/d", "postgres://u:****@h/d"),
            ("postgres://u@h/d?password=pw&x=1", "postgres://u@h/d?password=**&x=1"),
            ("host=h password=pw user=u", "host=h password=** user=u"),
            ("postgres://u@h/d?pasword=pw&x=1", "postgres://u@h/d?pasword=**&x=1"),
            ("host=h PASSWD = pw passfile=/p", "host=h PASSWD = ** passfile=/p"),
            ("host=h password = 'p w' user=u", "host=h password = ***** user=u"),
            (r"password='p\'w x' user=u", "password=******** user=u"),
            ("password=p'w&x user=u", "password=***** user=u"),
            ("postgres://u:p/w?x#@h/d", "postgres://u:******@h/d"),
            ("postgres://u:p@w/x@h/d\n@", "postgres://u:*****@h/d\n@"),
            ("postgres://u@h:5432/d", "postgres://u@h:5432/d"),
            ("password=apassword=b c", "password=*********** c"),
            ("?password=apassword=b&c d", "?password=************* d"),
            ("password=a'password='b c' d", "password=**************** d"),
            ("x://y\nx://u:p@h\nz:a@b", "x://y\nx://u:*@h\nz:a@b"),
        ] {
            assert_eq!(mask_passwords(text), masked);
        }
    }
}
