//! Changes made of rows that were read again on both sides: what still differs becomes one, what has
//! agreed meanwhile is counted.

use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;

use super::changes::{Spool, ToldValues};
use super::holding::{Draft, converts};
use crate::compare::{agree, elements};
use crate::pg::Row;
use crate::plan::MappingPlan;
use crate::prepare::Blocked;
use crate::repair::{Act, Change, Filled, Image, Scope};
use crate::row::{Fingerprint, Fingerprinter, Key, Record};
use crate::schema::{Builtin, BySide, PgType, Side};
use crate::sql::LookupLayout;

/// What was found of rows: which act repairs it, and of a range the rows that stood alone before.
pub(in crate::run) type Found<'f> = (Act, Option<&'f HashSet<Fingerprint>>);

/// The changes of one mapping.
pub(in crate::run) struct Making<'r> {
    plan: &'r MappingPlan,
    pub(in crate::run) scope: &'r Scope,
    authority: Side,
    kinds: &'r [Act],
    /// For each stored column, its place among the readable ones.
    places: Vec<Option<usize>>,
    /// For each pair, whether its values come from another type.
    converts: Vec<bool>,
    fingerprinter: Fingerprinter,
    pub(in crate::run) spools: BTreeMap<Act, Spool>,
    /// Rows that agree by now.
    pub(in crate::run) agreed: u64,
    /// Rows that become no change, by reason.
    pub(in crate::run) left_out: BTreeMap<String, u64>,
}

impl<'r> Making<'r> {
    /// Nothing made yet.
    pub(in crate::run) fn new(
        plan: &'r MappingPlan,
        scope: &'r Scope,
        authority: Side,
        kinds: &'r [Act],
        recodes: bool,
    ) -> Making<'r> {
        let mut readable = 0..;
        let columns = scope.stored.columns.iter();
        let places = columns.map(|column| column.readable.then(|| readable.next()).flatten());
        let (places, spools, left_out) = (places.collect(), BTreeMap::new(), BTreeMap::new());
        let converts = plan.pairs.iter().map(|pair| converts(pair, recodes)).collect();
        let fingerprinter = Fingerprinter::default();
        Making {
            plan,
            scope,
            authority,
            kinds,
            places,
            converts,
            fingerprinter,
            spools,
            agreed: 0,
            left_out,
        }
    }

    /// Drafts changes of these keys' rows.
    pub(in crate::run) fn draft<'d>(
        &mut self,
        keys: &[Key],
        rows: &'d BySide<Vec<Row>>,
        found: Found<'_>,
    ) -> Result<Vec<Draft<'d>>, Blocked> {
        let (plan, written) = (self.plan, self.authority.other());
        let by_key = |side: Side| {
            let mut found: HashMap<Key, Vec<&'d Row>> = HashMap::new();
            for row in &rows[side] {
                if let Some(key) = Key::of(row, plan.key_width) {
                    found.entry(key).or_default().push(row);
                }
            }
            found
        };
        let (right, stored) = (by_key(self.authority), by_key(written));
        let none = Vec::new();
        let mut drafts = Vec::with_capacity(keys.len());
        for key in keys {
            let right = right.get(key).unwrap_or(&none).as_slice();
            let stored = stored.get(key).unwrap_or(&none).as_slice();
            drafts.extend(match (right, stored) {
                ([], []) => self.leave("gone from both sides"),
                ([right], []) => self.draft_one((Act::Insert, Some(right), None), found)?,
                ([], [stored]) => self.draft_one((Act::Delete, None, Some(stored)), found)?,
                ([right], [stored]) => {
                    self.draft_one((Act::Update, Some(right), Some(stored)), found)?
                }
                _ => self.leave("of a key that several rows have"),
            });
        }
        Ok(drafts)
    }

    /// Takes drafts for changes, but for those that something speaks against.
    pub(in crate::run) fn take(
        &mut self,
        drafts: Vec<Draft<'_>>,
        refused: &[Option<String>],
        mut told: ToldValues,
    ) -> Result<(), Blocked> {
        let rows = drafts.len() as u64;
        for (at, (draft, refused)) in drafts.into_iter().zip(refused).enumerate() {
            if let Some(why) = refused {
                let _ = self.leave(why);
                continue;
            }
            let spool = match self.spools.entry(draft.act) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Spool::new()?),
            };
            let place = usize::try_from(spool.rows).unwrap_or(usize::MAX);
            spool.told.occupied.extend(told.occupied.remove(&at).map(|found| (place, found)));
            spool.told.differ.extend(told.differ.remove(&at).map(|pairs| (place, pairs)));
            let references = &mut told.references;
            let kept = &mut spool.told.references;
            kept.missing.extend(references.missing.remove(&at).map(|keys| (place, keys)));
            kept.referred.extend(references.referred.remove(&at).map(|keys| (place, keys)));
            spool.set.extend(draft.set);
            spool.told.values.extend(told.of(at, rows));
            spool.told.limits.held.append(&mut told.limits.held);
            spool.told.limits.refused.append(&mut told.limits.refused);
            spool.push(&draft.change)?;
        }
        Ok(())
    }

    /// Counts a row that becomes no change.
    fn leave<'d>(&mut self, why: &str) -> Option<Draft<'d>> {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
        None
    }

    /// Counts rows whose act nobody asked for.
    pub(in crate::run) fn leave_kind(&mut self, act: Act, rows: u64) {
        let why = format!("to {}, which --kinds leaves out", act.name());
        *self.left_out.entry(why).or_default() += rows;
    }

    fn draft_one<'d>(
        &mut self,
        (act, right, stored): (Act, Option<&'d Row>, Option<&'d Row>),
        found: Found<'_>,
    ) -> Result<Option<Draft<'d>>, Blocked> {
        let plan = self.plan;
        let differs = |pair: usize| match (right, stored) {
            (Some(right), Some(stored)) => {
                !agree(&plan.pairs[pair], right.field(pair), stored.field(pair))
            }
            _ => true,
        };
        let differing: Vec<usize> = (0..plan.pairs.len()).filter(|pair| differs(*pair)).collect();
        if act == Act::Update && differing.is_empty() {
            self.agreed += 1;
            return Ok(None);
        }
        // Seen once only: it may be on its way to agree.
        if act != found.0 {
            return Ok(self.leave("of another difference than was found: compare again"));
        }
        if let (Some(stood), Some(row)) = (found.1, right.or(stored)) {
            let now = self.fingerprinter.of(row, 0..plan.pairs.len());
            if !stood.contains(&now) {
                return Ok(self.leave("not yet settled: recheck"));
            }
        }
        if act == Act::Update {
            self.name_what_stays(&differing);
        }
        if !self.kinds.contains(&act) {
            self.leave_kind(act, 1);
            return Ok(None);
        }
        let (mut old, mut new, mut set): (Image, Image, Vec<usize>) = Default::default();
        let mut converted = Vec::new();
        // Both rows' texts come as an array.
        let texts = |row: Option<&'d Row>, field: usize| -> Vec<Option<&'d [u8]>> {
            elements(row.and_then(|row| row.field(field)).unwrap_or_default()).collect()
        };
        let stored = texts(stored, plan.pairs.len());
        let text = |place: &Option<usize>| place.and_then(|place| *stored.get(place)?);
        let stored: Vec<Option<&'d str>> = self
            .places
            .iter()
            .map(|place| text(place).map(str_of).transpose())
            .collect::<Result<_, _>>()?;
        let told = texts(right, LookupLayout::of(plan).texts);
        for (at, (column, pair)) in self.scope.image(act).into_iter().enumerate() {
            let is = stored[column].map(str::to_owned);
            let settable = self.scope.filled.iter().any(|f| Some(f.pair) == pair && f.settable);
            let comes = |pair: usize| match act {
                Act::Insert => true,
                Act::Update => settable && differing.contains(&pair),
                Act::Delete => false,
            };
            let becomes = match (pair.filter(|pair| comes(*pair)), right) {
                (Some(pair), Some(_)) => {
                    if act == Act::Update {
                        set.push(at);
                    }
                    if self.converts[pair] {
                        converted.push((at, pair));
                    }
                    let text = told.get(pair).copied().flatten().map(utf8).transpose()?;
                    let text = self.right_text(text, pair, column);
                    if text.is_none() && self.scope.stored.columns[column].not_null {
                        let (name, side) = (&plan.pairs[pair].name, self.authority.other());
                        return Ok(self.leave(&format!(
                            "whose value of pair \"{name}\" is NULL, which the {side}'s column refuses"
                        )));
                    }
                    text
                }
                _ => is.clone(),
            };
            old.push(is);
            new.push(becomes);
        }
        if act == Act::Update && set.is_empty() {
            return Ok(self.leave(&self.unset(&differing)));
        }
        let change = Change {
            old: (act != Act::Insert).then_some(old),
            new: (act != Act::Delete).then_some(new),
        };
        Ok(Some(Draft { act, change, set, converted, right, stored }))
    }

    /// Why an update sets nothing, as the words behind a number of rows.
    fn unset(&self, differing: &[usize]) -> String {
        let generated = |pair: &&usize| {
            let mut filled = self.scope.filled.iter().filter(|filled| filled.pair == **pair);
            filled.any(|filled| self.scope.stored.columns[filled.column].generated)
        };
        let names = differing.iter().filter(generated).map(|pair| &self.plan.pairs[*pair].name);
        let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        match names.is_empty() {
            true => "that differ only where nothing can be written".to_owned(),
            false => format!(
                "that differ only in {}, which the {} computes from other columns",
                names.join(", "),
                self.authority.other()
            ),
        }
    }

    /// Counts differing pairs that an update does not reach; what the server computes follows it.
    fn name_what_stays(&mut self, differing: &[usize]) {
        for pair in differing {
            let generated = |column: usize| self.scope.stored.columns[column].generated;
            let reached = |f: &&Filled| f.pair == *pair && (f.settable || generated(f.column));
            if !self.scope.filled.iter().any(|f| reached(&f)) {
                let name = &self.plan.pairs[*pair].name;
                let _ = self.leave(&format!("whose pair \"{name}\" is compared only"));
            }
        }
    }

    /// What a column of the written side is to hold: the authority's value as its type reads it.
    fn right_text(&self, mut told: Option<String>, pair: usize, column: usize) -> Option<String> {
        if self.scope.stored.columns[column].not_null {
            let equal_to_null = self.plan.pairs[pair].form.text_equal_to_null();
            told = told.or_else(|| equal_to_null.map(str::to_owned));
        }
        let from = self.plan.pairs[pair].sides[self.authority].column_type.pg_type.base();
        let to = self.scope.stored.columns[column].pg_type.base();
        told.map(|text| carried(text, from, to))
    }
}

/// A value's text on its way from one type to another: what only its own type writes is left out.
fn carried(text: String, from: &PgType, to: &PgType) -> String {
    match from {
        _ if from == to => text,
        // -$1,234.50
        PgType::Builtin(Builtin::Money) => text.replace(['$', ','], ""),
        PgType::Builtin(Builtin::Bpchar) => text.trim_end_matches(' ').to_owned(),
        _ => text,
    }
}

fn utf8(bytes: &[u8]) -> Result<String, Blocked> {
    str_of(bytes).map(str::to_owned)
}

fn str_of(bytes: &[u8]) -> Result<&str, Blocked> {
    std::str::from_utf8(bytes).map_err(|_| Blocked::new("a value is not UTF-8"))
}
