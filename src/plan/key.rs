//! The key of a mapping: its pairs, the indexes that prove it, and its order.
//!
//! A unique, immediate index over columns that are all NOT NULL and all in the key proves the key on a
//! side; partial, invalid and deferrable indexes prove nothing. A key without proof is checked while
//! scanning: duplicates and NULLs become findings.
//!
//! Key ranges use one order of the key's columns on both sides. The order in the spec has no meaning, so
//! the plan takes the order that an index serves.

use super::canonical_form::CanonicalForm;
use super::column_pairs::ColumnPair;
use super::pair::{Expression, Pair};
use crate::row::KeyField;
use crate::schema::{
    Builtin, BySide, Collation, ColumnName, ColumnType, Index, PgType, Relation, Server, Side,
};
use crate::spec::{Diagnostic, Mapping, did_you_mean};

/// Returns the indexes of the key's pairs.
pub(super) fn choose(
    mapping: &Mapping,
    candidates: &[ColumnPair],
    target: &Relation,
) -> Result<Vec<usize>, Diagnostic> {
    match &mapping.key {
        Some(key) => {
            let place = |name: &crate::spec::Placed<String>| {
                candidates.iter().position(|pair| pair.name == name.value).ok_or_else(|| {
                    let message = format!("the key names \"{}\", which is not a pair", name.value);
                    let names = candidates.iter().map(|pair| pair.name.as_str());
                    let hint = match did_you_mean(&name.value, names) {
                        Some(near) => format!("Did you mean \"{near}\"?"),
                        None => "A pair is named after its target column.".to_owned(),
                    };
                    Diagnostic::error(&name.span, message).with_hint(hint)
                })
            };
            key.value.iter().map(place).collect()
        }
        None => find_default_key(mapping, candidates, target),
    }
}

/// Returns the pairs of the target's primary key, or else of its narrowest unique index without NULLs.
fn find_default_key(
    mapping: &Mapping,
    candidates: &[ColumnPair],
    target: &Relation,
) -> Result<Vec<usize>, Diagnostic> {
    let span = mapping.sides.target.reads.span();
    let index = target
        .indexes
        .iter()
        .filter(|index| proves(index, target))
        .min_by_key(|index| (!index.primary, index.columns.len()));
    let Some(index) = index else {
        let message = format!("mapping \"{}\" has no key", mapping.name);
        let hint = "The target has no primary key and no unique index over NOT NULL columns: \
                    name the pairs that make a row unique with key = [\"…\"].";
        return Err(Diagnostic::error(span, message).with_hint(hint));
    };
    let column_place = |name: &ColumnName| {
        candidates.iter().position(|pair| pair.sides.target == Expression::Column(name.clone()))
    };
    let names = index.columns.iter().filter_map(|column| column.name.as_ref());
    names
        .map(|name| {
            column_place(name).ok_or_else(|| {
                let message = format!("key column \"{name}\" of the target is not mapped");
                let hint = "Map it, or name other pairs with key = [\"…\"].";
                Diagnostic::error(span, message).with_hint(hint)
            })
        })
        .collect()
}

/// Returns whether an index keeps its columns unique and without NULLs at every moment.
fn proves(index: &Index, relation: &Relation) -> bool {
    let not_null = |name: &ColumnName| relation.column(name).is_some_and(|column| column.not_null);
    index.unique && index.columns.iter().all(|column| column.name.as_ref().is_some_and(not_null))
}

/// Returns the name of the index that proves the key on a side.
pub(super) fn find_proof(relation: &Relation, side: Side, key: &[Pair]) -> Option<String> {
    let distinct = |pair: &&Pair| keeps_values_apart(pair.form, &pair.sides[side].column_type);
    let columns: Vec<&ColumnName> =
        key.iter().filter(distinct).filter_map(|p| column(p, side)).collect();
    let within = |index: &&Index| {
        proves(index, relation)
            && index
                .columns
                .iter()
                .all(|c| c.name.as_ref().is_some_and(|name| columns.contains(&name)))
    };
    relation.indexes.iter().find(within).map(|index| index.name.clone())
}

/// Returns whether different values of the column have different canonical forms.
fn keeps_values_apart(form: CanonicalForm, column_type: &ColumnType) -> bool {
    match (form, column_type.pg_type.base()) {
        (form, _) if form.merges() => false,
        (CanonicalForm::JsonbText, base) => base == &PgType::Builtin(Builtin::Jsonb),
        (CanonicalForm::As(Builtin::Uuid), base) => base == &PgType::Builtin(Builtin::Uuid),
        (CanonicalForm::Float(builtin), base) => base == &PgType::Builtin(builtin),
        _ => true,
    }
}

fn column(pair: &Pair, side: Side) -> Option<&ColumnName> {
    match &pair.sides[side].expression {
        Expression::Column(name) => Some(name),
        Expression::Sql(_) => None,
    }
}

/// Sorts the key's pairs into the order that indexes serve. Returns the index that serves each side.
pub(super) fn sort_pairs(
    key: &mut Vec<Pair>,
    relations: BySide<&Relation>,
    rows: BySide<u64>,
) -> BySide<Option<String>> {
    let larger = if rows.target > rows.source { Side::Target } else { Side::Source };
    let mut orders = serving_orders(key, relations[larger], larger);
    orders.extend(serving_orders(key, relations[larger.other()], larger.other()));
    let spec_order: Vec<usize> = (0..key.len()).collect();
    let served = |order: &[usize]| {
        BySide::new(|side| {
            let ordered: Vec<&Pair> = order.iter().map(|place| &key[*place]).collect();
            serving_index(&ordered, relations[side], side)
        })
    };
    let count = |order: &Vec<usize>| served(order).iter().filter(|(_, by)| by.is_some()).count();
    let mut best = spec_order;
    for order in orders {
        if count(&order) > count(&best) {
            best = order;
        }
    }
    let serves = served(&best);
    let mut by_place: Vec<Option<Pair>> = std::mem::take(key).into_iter().map(Some).collect();
    key.extend(best.into_iter().filter_map(|place| by_place[place].take()));
    serves
}

/// Returns the orders of the key's pairs in which indexes of one side begin with them.
fn serving_orders(key: &[Pair], relation: &Relation, side: Side) -> Vec<Vec<usize>> {
    let place = |name: &ColumnName| key.iter().position(|pair| column(pair, side) == Some(name));
    let begins = |index: &Index| {
        let first = index.columns.iter().take(key.len());
        let places: Vec<usize> = first.filter_map(|c| c.name.as_ref().and_then(place)).collect();
        (places.len() == key.len()).then_some(places)
    };
    relation.indexes.iter().filter_map(begins).collect()
}

/// Returns the name of the index that serves key ranges in this order.
fn serving_index(key: &[&Pair], relation: &Relation, side: Side) -> Option<String> {
    let serves = |index: &&Index| {
        index.columns.len() >= key.len()
            && key.iter().zip(&index.columns).all(|(pair, indexed)| {
                pair.sides[side].searched_raw
                    && indexed.plain_order
                    && indexed.name.as_ref() == column(pair, side)
            })
    };
    relation.indexes.iter().find(serves).map(|index| index.name.clone())
}

/// Returns whether a side's rows are stored far from their neighbours by key, by the statistics of the
/// key's first column.
pub(super) fn is_scattered(first: Option<&Pair>, side: Side, relation: &Relation) -> bool {
    let first = first.and_then(|pair| relation.column(column(pair, side)?));
    first.is_some_and(|column| column.scattered)
}

/// Lets key ranges compare text columns themselves where both sides order them by the same collation.
/// Returns whether there are such columns.
pub(super) fn share_collations(key: &mut [Pair]) -> bool {
    let ids = |pair: &Pair| {
        pair.sides.as_ref().map(|side| {
            let column = &side.column_type;
            let textual =
                matches!(column.pg_type.base(), PgType::Builtin(base) if compares_as_text(*base));
            let plain = matches!(side.expression, Expression::Column(_));
            column
                .collation_id
                .clone()
                .filter(|_| textual && plain && column.collation == Collation::Linguistic)
        })
    };
    for pair in key.iter_mut().filter(|pair| pair.form == CanonicalForm::Text && !pair.in_utf8) {
        let BySide { source, target } = ids(pair);
        if source.is_some() && source == target {
            pair.sides.source.searched_raw = true;
            pair.sides.target.searched_raw = true;
        }
    }
    key.iter().any(is_collated)
}

/// Returns how a key pair is ordered.
pub(super) fn order_of(pair: &Pair) -> Option<KeyField> {
    if is_collated(pair) { Some(KeyField::Collated) } else { pair.form.key_field() }
}

/// Returns to the order of bytes.
pub(super) fn unshare_collations(key: &mut [Pair]) {
    for pair in key.iter_mut().filter(|pair| is_collated(pair)) {
        pair.sides.source.searched_raw = false;
        pair.sides.target.searched_raw = false;
    }
}

/// Returns whether ranges of a key pair are in the order of a collation that the sides share.
pub(super) fn is_collated(pair: &Pair) -> bool {
    pair.sides.any(|side| side.searched_raw && side.column_type.collation == Collation::Linguistic)
}

/// Returns whether key ranges can compare the column itself, in the order of its canonical form.
pub(super) fn is_searched_raw(form: CanonicalForm, column_type: &ColumnType) -> bool {
    let PgType::Builtin(base) = column_type.pg_type.base() else { return false };
    use Builtin as B;
    match form.wire() {
        _ if form.merges() => false,
        // Across integer widths, and between date and timestamp, one operator family compares.
        B::Int2 | B::Int4 | B::Int8 => matches!(base, B::Int2 | B::Int4 | B::Int8),
        B::Timestamp => matches!(base, B::Date | B::Timestamp),
        B::Text => {
            form == CanonicalForm::Text
                && compares_as_text(*base)
                && column_type.collation == Collation::Bytes
        }
        wire => wire == *base,
    }
}

/// Returns whether both servers order texts under "C" as UTF-8 does, and accept each other's texts.
pub(super) fn order_alike(servers: BySide<&Server>) -> bool {
    let both = |set: &[&str]| servers.all(|server| set.contains(&server.encoding.as_str()));
    both(&["UTF8", "SQL_ASCII"]) || both(&["LATIN1"])
}

/// Returns whether keys can be looked up by the column itself. Its equality may find too many rows (the
/// client compares keys byte for byte), never too few.
pub(super) fn is_looked_up_raw(form: CanonicalForm, column_type: &ColumnType) -> bool {
    let textual =
        matches!(column_type.pg_type.base(), PgType::Builtin(base) if compares_as_text(*base));
    is_searched_raw(form, column_type) || (form == CanonicalForm::Text && textual)
}

fn compares_as_text(builtin: Builtin) -> bool {
    matches!(builtin, Builtin::Text | Builtin::Varchar)
}
