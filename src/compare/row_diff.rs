//! The differences of rows that were read by key: what a recheck and a repair find.

use hashbrown::HashMap;

use super::tolerance::agree;
use crate::finding::DivergenceKind;
use crate::plan::Pair;
use crate::row::{
    Digest, Fingerprint, Fingerprinter, Group, Key, Redactor, RowFields, equal_fields,
};
use crate::schema::{BySide, Side};
use crate::sql::LookupLayout;

/// Collects the rows of some keys, in any order.
#[derive(Debug)]
pub struct KeyRows<'p, R> {
    layout: LookupLayout,
    pairs: &'p [Pair],
    key_width: usize,
    redactor: &'p Redactor,
    /// The index of each key's rows.
    places: HashMap<Key, usize>,
    /// The indexes of the requested keys, in their order: a key may be requested twice.
    order: Vec<usize>,
    seen: Vec<BySide<Vec<R>>>,
    fingerprinter: Fingerprinter,
}

/// The rows of one key on both sides, and how they differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RowDiff {
    /// Count and sum of the rows of each side.
    pub image: BySide<Digest>,
    /// The kind of the difference; `None` if the sides agree.
    pub kind: Option<DivergenceKind>,
    /// Whether the sides agree only within a pair's tolerance.
    pub within_tolerance: bool,
    /// The key's fields as display text, if a side has the row.
    pub key: Vec<String>,
    /// The pairs that differ, by index, with the display text of both values.
    pub columns: Vec<(usize, BySide<Option<String>>)>,
    /// The group of each row of each side, where there are groups, in ascending order.
    pub groups: BySide<Vec<Group>>,
    /// The indexes of the accept rules whose conditions hold.
    pub rules: Vec<usize>,
    /// When the row of each side was last changed, as its column says.
    pub changed_at: BySide<Option<String>>,
}

impl<'p, R: RowFields> KeyRows<'p, R> {
    /// Collects rows of these keys. Redacted values are replaced by the redactor.
    pub fn new<'k>(
        layout: LookupLayout,
        pairs: &'p [Pair],
        key_width: usize,
        redactor: &'p Redactor,
        keys: impl Iterator<Item = &'k Key>,
    ) -> KeyRows<'p, R> {
        let mut places: HashMap<Key, usize> = HashMap::new();
        let place = |key: &Key| {
            let next = places.len();
            *places.entry_ref(key).or_insert(next)
        };
        let order = keys.map(place).collect();
        let seen = places.iter().map(|_| BySide::new(|_| Vec::new())).collect();
        let fingerprinter = Fingerprinter::default();
        KeyRows { layout, pairs, key_width, redactor, places, order, seen, fingerprinter }
    }

    /// Adds a row. Rows of other keys, which a column's own equality may return, are ignored.
    pub fn add_row(&mut self, side: Side, row: R) {
        let key = Key::of(&row, self.key_width);
        if let Some(place) = key.and_then(|key| self.places.get(&key)) {
            self.seen[*place][side].push(row);
        }
    }

    /// Returns the difference of each key, in the order of the keys.
    pub fn finish(mut self) -> Vec<RowDiff> {
        let seen = std::mem::take(&mut self.seen);
        let order = std::mem::take(&mut self.order);
        order.into_iter().filter_map(|place| Some(self.compare_rows(seen.get(place)?))).collect()
    }

    fn compare_rows(&mut self, rows: &BySide<Vec<R>>) -> RowDiff {
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
        let mut within_tolerance = false;
        let kind = match (rows.source.as_slice(), rows.target.as_slice()) {
            ([], []) => None,
            ([_], []) => Some(DivergenceKind::OnlyInSource),
            ([], [_]) => Some(DivergenceKind::OnlyInTarget),
            ([source], [target]) => {
                columns = self.differences(source, target);
                let agree = columns.is_empty();
                within_tolerance =
                    agree && !equal_fields(source, target, self.layout.forms..self.layout.texts);
                (!agree).then_some(DivergenceKind::Mismatch)
            }
            _ => Some(DivergenceKind::DuplicateKey),
        };
        let groups = BySide::new(|side| self.groups(&rows[side]));
        let rules = Side::BOTH.iter().flat_map(|side| self.rules(*side, &rows[*side])).collect();
        let changed_at =
            BySide::new(|side| changed_at(&rows[side], &self.layout, self.pairs.len()));
        RowDiff { image, kind, within_tolerance, key, columns, groups, rules, changed_at }
    }

    fn groups(&self, rows: &[R]) -> Vec<Group> {
        let Some(field) = self.layout.group else { return Vec::new() };
        let text = |row: &R| row.field(field).map(|t| String::from_utf8_lossy(t).into_owned());
        let mut groups: Vec<Group> = rows.iter().map(text).collect();
        groups.sort();
        groups
    }

    /// Returns the indexes of a side's accept rules whose conditions hold for its only row.
    fn rules(&self, side: Side, rows: &[R]) -> impl Iterator<Item = usize> {
        let holds = |field: usize| {
            let [row] = rows else { return false };
            row.field(field) == Some(&[1])
        };
        let rules = self.layout.rules[side].iter();
        rules.filter(move |(field, _)| holds(*field)).map(|(_, place)| *place)
    }

    /// Returns the server's row hash where the scan read one too, else a hash of the canonical forms.
    fn fingerprint(&mut self, row: &R) -> Fingerprint {
        let forms = self.layout.forms..self.layout.texts;
        let hash = self.layout.row_hash.and_then(|index| row.field(index));
        match hash.and_then(|bytes| bytes.try_into().ok()) {
            Some(bytes) => Fingerprint::of_row_hash(i64::from_be_bytes(bytes)),
            None => self.fingerprinter.of(row, forms),
        }
    }

    fn differences(&self, source: &R, target: &R) -> Vec<(usize, BySide<Option<String>>)> {
        (self.layout.forms..self.layout.texts)
            .filter(|index| !agree(&self.pairs[*index], source.field(*index), target.field(*index)))
            .map(|index| {
                let values =
                    BySide { source: self.text(source, index), target: self.text(target, index) };
                (index, values)
            })
            .collect()
    }

    /// Returns the display text of a key pair, in the form that both sides share.
    fn key_text(&self, side: Side, row: &R, pair: usize) -> Option<String> {
        let text = String::from_utf8_lossy(text_field(row, &self.layout, pair)?);
        let pair = &self.pairs[pair];
        let text = if pair.drops_padding(side) { text.trim_end_matches(' ') } else { &text };
        Some(display_text(pair, text, self.redactor))
    }

    fn text(&self, row: &R, pair: usize) -> Option<String> {
        let bytes = text_field(row, &self.layout, pair)?;
        Some(display_text(&self.pairs[pair], &String::from_utf8_lossy(bytes), self.redactor))
    }
}

/// Returns when the only row of a side was last changed. Its text follows those of the pairs.
fn changed_at<R: RowFields>(rows: &[R], layout: &LookupLayout, pairs: usize) -> Option<String> {
    let [row] = rows else { return None };
    Some(String::from_utf8_lossy(text_field(row, layout, pairs)?).into_owned())
}

/// Returns the display text of a pair in a row that was looked up; `None` for NULL.
pub fn text_field<'r>(
    row: &'r impl RowFields,
    layout: &LookupLayout,
    pair: usize,
) -> Option<&'r [u8]> {
    element(row.field(layout.texts)?, pair)
}

/// Returns an element of a one-dimensional array in its binary form; `None` for NULL.
fn element(array: &[u8], place: usize) -> Option<&[u8]> {
    elements(array).nth(place)?
}

/// Returns the elements of a one-dimensional array in its binary form, in order.
pub fn elements(array: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    // dimensions, has-nulls, element type, length and lower bound; then each element behind its length
    let mut rest = array.get(20..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (first, others) = split(rest)?;
        rest = others;
        Some(first)
    })
}

/// Returns the first element, `None` for NULL, and the bytes behind it.
fn split(array: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let (length, rest) = array.split_first_chunk::<4>()?;
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => Some((Some(rest.get(..length)?), rest.get(length..)?)),
        Err(_) => Some((None, rest)),
    }
}

/// Returns the display text of a pair's value: redacted if the spec says so.
pub fn display_text(pair: &Pair, value: &str, redactor: &Redactor) -> String {
    if pair.settings.redact { redactor.redact(value.as_bytes()) } else { value.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::sample;
    use crate::schema::Builtin;

    type Row = Vec<Option<Vec<u8>>>;

    /// A text key and a text with these terms.
    fn pairs(settings: &str) -> Vec<Pair> {
        let columns = [("k", Builtin::Text, true), ("v", Builtin::Text, false)];
        let facts = sample::table(&columns, &["k"]);
        let mapping = format!(
            "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n[mapping.target]\n\
             table = \"public.t\"\n[mapping.columns]\n{settings}"
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

    /// A row: key, value, then an array of both as text.
    fn row(key: &str, form: Option<&str>, text: Option<&str>) -> Row {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let texts = sql_array(&[Some(bytes(key)), text.map(bytes)]);
        vec![Some(bytes(key)), form.map(bytes), Some(texts)]
    }

    fn diff(source: Vec<Row>, target: Vec<Row>) -> RowDiff {
        diff_with("", source, target)
    }

    fn diff_with(settings: &str, source: Vec<Row>, target: Vec<Row>) -> RowDiff {
        let (pairs, redactor) = (pairs(settings), Redactor::of_secret(b"secret"));
        let layout = LookupLayout { texts: 2, ..LookupLayout::default() };
        let key = Key::new([&b"k"[..]]);
        let mut rows = KeyRows::new(layout, &pairs, 1, &redactor, [&key].into_iter());
        source.into_iter().for_each(|row| rows.add_row(Side::Source, row));
        target.into_iter().for_each(|row| rows.add_row(Side::Target, row));
        rows.finish().remove(0)
    }

    #[test]
    fn a_mismatch_has_its_columns_with_the_text_of_both_values() {
        let diff = diff(vec![row("k", Some("1"), Some("1.0"))], vec![row("k", None, None)]);
        assert_eq!(diff.kind, Some(DivergenceKind::Mismatch));
        let values = BySide { source: Some("1.0".to_owned()), target: None };
        assert_eq!(diff.columns, [(1, values)]);
    }

    #[test]
    fn only_canonical_forms_are_compared() {
        let diff =
            diff(vec![row("k", Some("1"), Some("1.0"))], vec![row("k", Some("1"), Some("1.00"))]);
        assert_eq!(diff.kind, None);
        assert_eq!(diff.image.source, diff.image.target);
    }

    #[test]
    fn a_truncated_array_is_no_panic() {
        let array = sql_array(&[Some(b"ab".to_vec()), None, Some(b"c".to_vec())]);
        let found = [0, 1, 2, 3].map(|place| element(&array, place));
        assert_eq!(found, [Some(&b"ab"[..]), None, Some(&b"c"[..]), None]);
        for end in 0..array.len() {
            assert_eq!(element(&array[..end], 2), None);
        }
    }

    #[test]
    fn null_and_empty_differ() {
        let diff = diff(vec![row("k", Some(""), Some(""))], vec![row("k", None, None)]);
        assert_eq!(diff.kind, Some(DivergenceKind::Mismatch));
    }

    #[test]
    fn rows_of_other_keys_are_ignored_and_two_rows_are_a_duplicate() {
        let other = row("K", Some("1"), Some("1"));
        assert_eq!(diff(vec![other.clone()], vec![]).kind, None);
        let one = row("k", Some("1"), Some("1"));
        let diff = diff(vec![one.clone(), other, one.clone()], vec![one]);
        assert_eq!((diff.kind, diff.image.source.rows), (Some(DivergenceKind::DuplicateKey), 2));
    }

    #[test]
    fn a_key_that_is_requested_twice_is_returned_twice() {
        let (pairs, redactor) = (pairs(""), Redactor::of_secret(b"secret"));
        let layout = LookupLayout { texts: 2, ..LookupLayout::default() };
        let keys = [&b"k"[..], b"k", b"l"].map(|key| Key::new([key]));
        let mut rows = KeyRows::new(layout, &pairs, 1, &redactor, keys.iter());
        for key in ["k", "l"] {
            rows.add_row(Side::Source, row(key, Some("1"), Some("1")));
        }
        let diffs: Vec<_> = rows.finish().into_iter().map(|diff| (diff.key, diff.kind)).collect();
        let only = |key: &str| (vec![key.to_owned()], Some(DivergenceKind::OnlyInSource));
        assert_eq!(diffs, [only("k"), only("k"), only("l")]);
    }

    #[test]
    fn groups_and_conditions_are_those_of_the_rows() {
        let key = Key::new([&b"k"[..]]);
        let rules = BySide { source: vec![(4, 0), (5, 2)], target: vec![(4, 1)] };
        let layout = LookupLayout { texts: 2, group: Some(3), rules, ..LookupLayout::default() };
        let (pairs, redactor) = (pairs(""), Redactor::of_secret(b"secret"));
        let mut rows = KeyRows::new(layout, &pairs, 1, &redactor, [&key].into_iter());
        let with = |mut row: Row, more: &[Option<&[u8]>]| {
            row.extend(more.iter().map(|field| field.map(<[u8]>::to_vec)));
            row
        };
        let source = row("k", Some("1"), Some("1"));
        rows.add_row(Side::Source, with(source, &[Some(b"g"), None, Some(&[1])]));
        let diff = rows.finish().remove(0);
        assert_eq!(diff.groups, BySide { source: vec![Some("g".into())], target: vec![] });
        assert_eq!(diff.rules, [2]);
    }

    #[test]
    fn columns_within_a_tolerance_are_left_out() {
        let settings = "v = { from = \"v\", rule = \"case_insensitive\" }";
        let row = |form| row("k", Some(form), Some(form));
        let within = diff_with(settings, vec![row("Ä")], vec![row("ä")]);
        assert_eq!((within.kind, within.within_tolerance), (None, true));
        assert_ne!(within.image.source, within.image.target);
        let equal_fields = diff_with(settings, vec![row("Ä")], vec![row("Ä")]);
        assert_eq!((equal_fields.kind, equal_fields.within_tolerance), (None, false));
        let differ = diff_with(settings, vec![row("Ä")], vec![row("Ö")]);
        assert_eq!((differ.kind, differ.within_tolerance), (Some(DivergenceKind::Mismatch), false));
    }

    #[test]
    fn redacted_values_are_replaced_and_null_is_seen() {
        let settings = "k = { from = \"k\", redact = true }\nv = { from = \"v\", redact = true }";
        let diff =
            diff_with(settings, vec![row("k", Some("1"), Some("1"))], vec![row("k", None, None)]);
        let redactor = Redactor::of_secret(b"secret");
        assert_eq!(diff.key, [redactor.redact(b"k")]);
        let values = BySide { source: Some(redactor.redact(b"1")), target: None };
        assert_eq!(diff.columns, [(1, values)]);
    }
}
