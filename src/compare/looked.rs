//! What one more look at some keys has found: the rows of each key on both sides, side by side.

use hashbrown::HashMap;

use super::leeway::agree;
use crate::finding::DivergenceKind;
use crate::plan::Pair;
use crate::row::{
    Digest, Fingerprint, Fingerprinter, Group, Key, Redactor, RowFields, equal_fields,
};
use crate::schema::{BySide, Side};
use crate::sql::Lookup;

/// The rows of some keys, as they come in.
#[derive(Debug)]
pub struct LookedUp<'p, R> {
    layout: Lookup,
    pairs: &'p [Pair],
    key_width: usize,
    veil: &'p Redactor,
    /// Where the rows of each key are kept.
    places: HashMap<Key, usize>,
    /// The places of the keys that were asked for, in their order: one may be asked for twice.
    asked: Vec<usize>,
    seen: Vec<BySide<Vec<R>>>,
    fingerprinter: Fingerprinter,
}

/// What a look found of one key.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Rows and their hashes on each side.
    pub image: BySide<Digest>,
    /// In which way the sides differ; nothing if they agree.
    pub kind: Option<DivergenceKind>,
    /// Whether they agree only within a pair's leeway.
    pub cleared: bool,
    /// The key's fields as people read them, if a side has the row.
    pub key: Vec<String>,
    /// The pairs that differ, by place, with both values.
    pub columns: Vec<(usize, BySide<Option<String>>)>,
    /// The group of each row of each side, where there are groups, the least first.
    pub groups: BySide<Vec<Group>>,
    /// The places of the accept rules whose conditions hold.
    pub rules: Vec<usize>,
    /// When the row of each side was last changed, as its column says.
    pub changed_at: BySide<Option<String>>,
}

impl<'p, R: RowFields> LookedUp<'p, R> {
    /// Waits for the rows of these keys. Redacted values are told under the veil.
    pub fn new<'k>(
        layout: Lookup,
        pairs: &'p [Pair],
        key_width: usize,
        veil: &'p Redactor,
        keys: impl Iterator<Item = &'k Key>,
    ) -> LookedUp<'p, R> {
        let mut places: HashMap<Key, usize> = HashMap::new();
        let place = |key: &Key| {
            let next = places.len();
            *places.entry_ref(key).or_insert(next)
        };
        let asked = keys.map(place).collect();
        let seen = places.iter().map(|_| BySide::new(|_| Vec::new())).collect();
        let fingerprinter = Fingerprinter::default();
        LookedUp { layout, pairs, key_width, veil, places, asked, seen, fingerprinter }
    }

    /// Takes a row in; rows of other keys, which a loose equality let through, are passed over.
    pub fn take(&mut self, side: Side, row: R) {
        let key = Key::of(&row, self.key_width);
        if let Some(place) = key.and_then(|key| self.places.get(&key)) {
            self.seen[*place][side].push(row);
        }
    }

    /// What was found, in the order of the keys.
    pub fn finish(mut self) -> Vec<Looked> {
        let seen = std::mem::take(&mut self.seen);
        let asked = std::mem::take(&mut self.asked);
        asked.into_iter().filter_map(|place| Some(self.judge(seen.get(place)?))).collect()
    }

    fn judge(&mut self, rows: &BySide<Vec<R>>) -> Looked {
        let image = BySide::new(|side| {
            let mut digest = Digest::default();
            for row in &rows[side] {
                digest.add(self.fingerprint(row));
            }
            digest
        });
        let first = |side: Side| Some((side, rows[side].first()?));
        let any_row = first(Side::Source).or_else(|| first(Side::Target));
        let key = any_row.map_or(Vec::new(), |(side, row)| {
            let text = |index| self.key_text(side, row, index).unwrap_or_default();
            (0..self.key_width).map(text).collect()
        });
        let mut columns = Vec::new();
        let mut cleared = false;
        let kind = match (rows.source.as_slice(), rows.target.as_slice()) {
            ([], []) => None,
            ([_], []) => Some(DivergenceKind::OnlyInSource),
            ([], [_]) => Some(DivergenceKind::OnlyInTarget),
            ([source], [target]) => {
                columns = self.differences(source, target);
                let agree = columns.is_empty();
                cleared =
                    agree && !equal_fields(source, target, self.layout.canons..self.layout.texts);
                (!agree).then_some(DivergenceKind::Mismatch)
            }
            _ => Some(DivergenceKind::DuplicateKey),
        };
        let groups = BySide::new(|side| self.groups(&rows[side]));
        let rules = Side::BOTH.iter().flat_map(|side| self.rules(*side, &rows[*side])).collect();
        let changed_at =
            BySide::new(|side| changed_at(&rows[side], &self.layout, self.pairs.len()));
        Looked { image, kind, cleared, key, columns, groups, rules, changed_at }
    }

    fn groups(&self, rows: &[R]) -> Vec<Group> {
        let Some(field) = self.layout.group else { return Vec::new() };
        let text = |row: &R| row.field(field).map(|t| String::from_utf8_lossy(t).into_owned());
        let mut groups: Vec<Group> = rows.iter().map(text).collect();
        groups.sort();
        groups
    }

    /// A condition holds of the row that stands on its side; of no row it does not.
    fn rules(&self, side: Side, rows: &[R]) -> impl Iterator<Item = usize> {
        let holds = |field: usize| {
            let [row] = rows else { return false };
            row.field(field) == Some(&[1])
        };
        let rules = self.layout.rules[side].iter();
        rules.filter(move |(field, _)| holds(*field)).map(|(_, place)| *place)
    }

    /// The server's row hash where the scan saw one too, else a fingerprint of the canons.
    fn fingerprint(&mut self, row: &R) -> Fingerprint {
        let canons = self.layout.canons..self.layout.texts;
        let hash = self.layout.row_hash.and_then(|index| row.field(index));
        match hash.and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => Fingerprint::of_row_hash(i64::from_be_bytes(bytes)),
            None => self.fingerprinter.of(row, canons),
        }
    }

    fn differences(&self, source: &R, target: &R) -> Vec<(usize, BySide<Option<String>>)> {
        (self.layout.canons..self.layout.texts)
            .filter(|index| !agree(&self.pairs[*index], source.field(*index), target.field(*index)))
            .map(|index| {
                let values =
                    BySide { source: self.text(source, index), target: self.text(target, index) };
                (index, values)
            })
            .collect()
    }

    /// Returns a part of the key in the form that both sides have in common.
    fn key_text(&self, side: Side, row: &R, pair: usize) -> Option<String> {
        let text = String::from_utf8_lossy(told(row, &self.layout, pair)?);
        let pair = &self.pairs[pair];
        let text = if pair.drops_padding(side) { text.trim_end_matches(' ') } else { &text };
        Some(shown(pair, text, self.veil))
    }

    fn text(&self, row: &R, pair: usize) -> Option<String> {
        let bytes = told(row, &self.layout, pair)?;
        Some(shown(&self.pairs[pair], &String::from_utf8_lossy(bytes), self.veil))
    }
}

/// When the only row of a side was last changed; its text stands behind those of the pairs.
fn changed_at<R: RowFields>(rows: &[R], layout: &Lookup, pairs: usize) -> Option<String> {
    let [row] = rows else { return None };
    Some(String::from_utf8_lossy(told(row, layout, pairs)?).into_owned())
}

/// What a looked-up row says of a pair, as people read it; nothing for NULL.
pub fn told<'r>(row: &'r impl RowFields, layout: &Lookup, pair: usize) -> Option<&'r [u8]> {
    element(row.field(layout.texts)?, pair)
}

/// The element of a one-dimensional array in its binary form; nothing for NULL.
fn element(array: &[u8], place: usize) -> Option<&[u8]> {
    elements(array).nth(place)?
}

/// All of them, in order.
pub fn elements(array: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    // dimensions, has-nulls, element type, length and lower bound; then each element behind its length
    let mut rest = array.get(20..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (first, others) = split(rest)?;
        rest = others;
        Some(first)
    })
}

/// The first element, if it is not NULL, and what follows it.
fn split(array: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = array.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => Some((Some(rest.get(..length)?), rest.get(length..)?)),
        Err(_) => Some((None, rest)),
    }
}

/// A pair's value as outputs may show it.
pub fn shown(pair: &Pair, value: &str, veil: &Redactor) -> String {
    if pair.terms.redact { veil.redact(value.as_bytes()) } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;

    type Row = Vec<Option<Vec<u8>>>;

    /// A text key and a text with these terms.
    fn pairs(terms: &str) -> Vec<Pair> {
        let columns = [("k", Builtin::Text, true), ("v", Builtin::Text, false)];
        let facts = sample::table(&columns, &["k"]);
        let mapping = format!(
            "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\n\
             table = \"public.t\"\n[mapping.columns]\n{terms}"
        );
        sample::plan(&mapping, BySide { source: &facts, target: &facts }).unwrap().0.pairs
    }

    fn sql_array(elements: &[Option<Vec<u8>>]) -> Vec<u8> {
        let mut array = vec![0; 20];
        for element in elements {
            let length = element.as_ref().map_or(-1, |bytes| bytes.len() as i32);
            array.extend(length.to_be_bytes());
            array.extend(element.iter().flatten());
        }
        array
    }

    /// key, value, then an array of both as text
    fn row(key: &str, canon: Option<&str>, text: Option<&str>) -> Row {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let texts = sql_array(&[Some(bytes(key)), text.map(bytes)]);
        vec![Some(bytes(key)), canon.map(bytes), Some(texts)]
    }

    fn look(source: Vec<Row>, target: Vec<Row>) -> Looked {
        look_under("", source, target)
    }

    fn look_under(terms: &str, source: Vec<Row>, target: Vec<Row>) -> Looked {
        let (pairs, veil) = (pairs(terms), Redactor::of_secret(b"secret"));
        let layout = Lookup { texts: 2, ..Lookup::default() };
        let key = Key::new([&b"k"[..]]);
        let mut looked = LookedUp::new(layout, &pairs, 1, &veil, [&key].into_iter());
        source.into_iter().for_each(|row| looked.take(Side::Source, row));
        target.into_iter().for_each(|row| looked.take(Side::Target, row));
        looked.finish().remove(0)
    }

    #[test]
    fn a_mismatch_names_its_columns_with_both_values_before_the_canon() {
        let looked = look(vec![row("k", Some("1"), Some("1.0"))], vec![row("k", None, None)]);
        assert_eq!(looked.kind, Some(DivergenceKind::Mismatch));
        let values = BySide { source: Some("1.0".to_owned()), target: None };
        assert_eq!(looked.columns, [(1, values)]);
    }

    #[test]
    fn texts_do_not_count_only_canons_do() {
        let looked =
            look(vec![row("k", Some("1"), Some("1.0"))], vec![row("k", Some("1"), Some("1.00"))]);
        assert_eq!(looked.kind, None);
        assert_eq!(looked.image.source, looked.image.target);
    }

    #[test]
    fn an_array_cut_short_is_no_panic() {
        let array = sql_array(&[Some(b"ab".to_vec()), None, Some(b"c".to_vec())]);
        let found = [0, 1, 2, 3].map(|place| element(&array, place));
        assert_eq!(found, [Some(&b"ab"[..]), None, Some(&b"c"[..]), None]);
        for end in 0..array.len() {
            assert_eq!(element(&array[..end], 2), None);
        }
    }

    #[test]
    fn null_and_empty_differ() {
        let looked = look(vec![row("k", Some(""), Some(""))], vec![row("k", None, None)]);
        assert_eq!(looked.kind, Some(DivergenceKind::Mismatch));
    }

    #[test]
    fn rows_of_other_keys_are_passed_over_and_two_rows_are_a_duplicate() {
        let other = row("K", Some("1"), Some("1"));
        assert_eq!(look(vec![other.clone()], vec![]).kind, None);
        let one = row("k", Some("1"), Some("1"));
        let looked = look(vec![one.clone(), other, one.clone()], vec![one]);
        assert_eq!(
            (looked.kind, looked.image.source.rows),
            (Some(DivergenceKind::DuplicateKey), 2)
        );
    }

    #[test]
    fn a_key_that_is_asked_for_twice_is_told_twice() {
        let (pairs, veil) = (pairs(""), Redactor::of_secret(b"secret"));
        let layout = Lookup { texts: 2, ..Lookup::default() };
        let keys = [&b"k"[..], b"k", b"l"].map(|key| Key::new([key]));
        let mut looked = LookedUp::new(layout, &pairs, 1, &veil, keys.iter());
        for key in ["k", "l"] {
            looked.take(Side::Source, row(key, Some("1"), Some("1")));
        }
        let told: Vec<_> =
            looked.finish().into_iter().map(|looked| (looked.key, looked.kind)).collect();
        let only = |key: &str| (vec![key.to_owned()], Some(DivergenceKind::OnlyInSource));
        assert_eq!(told, [only("k"), only("k"), only("l")]);
    }

    #[test]
    fn groups_and_conditions_are_those_of_the_rows_that_stand() {
        let key = Key::new([&b"k"[..]]);
        let rules = BySide { source: vec![(4, 0), (5, 2)], target: vec![(4, 1)] };
        let layout = Lookup { texts: 2, group: Some(3), rules, ..Lookup::default() };
        let (pairs, veil) = (pairs(""), Redactor::of_secret(b"secret"));
        let mut looked = LookedUp::new(layout, &pairs, 1, &veil, [&key].into_iter());
        let with = |mut row: Row, more: &[Option<&[u8]>]| {
            row.extend(more.iter().map(|field| field.map(<[u8]>::to_vec)));
            row
        };
        let source = row("k", Some("1"), Some("1"));
        looked.take(Side::Source, with(source, &[Some(b"g"), None, Some(&[1])]));
        let looked = looked.finish().remove(0);
        assert_eq!(looked.groups, BySide { source: vec![Some("g".into())], target: vec![] });
        assert_eq!(looked.rules, [2]);
    }

    #[test]
    fn rows_that_agree_within_a_leeway_are_cleared_and_their_columns_left_out() {
        let terms = "v = { from = \"v\", rule = \"case_insensitive\" }";
        let row = |canon| row("k", Some(canon), Some(canon));
        let cleared = look_under(terms, vec![row("Ä")], vec![row("ä")]);
        assert_eq!((cleared.kind, cleared.cleared), (None, true));
        assert_ne!(cleared.image.source, cleared.image.target);
        let equal_fields = look_under(terms, vec![row("Ä")], vec![row("Ä")]);
        assert_eq!((equal_fields.kind, equal_fields.cleared), (None, false));
        let differ = look_under(terms, vec![row("Ä")], vec![row("Ö")]);
        assert_eq!((differ.kind, differ.cleared), (Some(DivergenceKind::Mismatch), false));
    }

    #[test]
    fn redacted_values_are_told_under_the_veil_and_null_is_seen() {
        let terms = "k = { from = \"k\", redact = true }\nv = { from = \"v\", redact = true }";
        let looked =
            look_under(terms, vec![row("k", Some("1"), Some("1"))], vec![row("k", None, None)]);
        let veil = Redactor::of_secret(b"secret");
        assert_eq!(looked.key, [veil.redact(b"k")]);
        let values = BySide { source: Some(veil.redact(b"1")), target: None };
        assert_eq!(looked.columns, [(1, values)]);
    }
}
