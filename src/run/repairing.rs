//! One mapping's repair: the wanted keys are read again on both sides, and what still differs becomes
//! changes. What has agreed meanwhile is counted and left alone.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;

use hashbrown::HashMap;

use super::blocked::Blocked;
use super::changes::Spool;
use super::hands::{Failed, Hands};
use super::steps;
use crate::compare::{agree, told};
use crate::finding::{Kind, Named};
use crate::pg::{Lease, PgError, Row, Session};
use crate::plan::MappingPlan;
use crate::repair::{Act, Change, Image, Scope, Wanted, WantedPlace};
use crate::row::{Bound, Key, KeyRange, Record, Veil};
use crate::schema::{Builtin, BySide, PgType, Side, StoredColumn};
use crate::sql::{self, Lookup};

/// Keys that are read at once.
pub(super) const KEYS_AT_ONCE: usize = 1_000;
/// Rows of a range that are read at once.
const RANGE_ROWS: u64 = 20_000;

/// What both sides are asked with.
pub(super) struct Reach<'r> {
    pub(super) leases: &'r BySide<Lease>,
    pub(super) sessions: &'r BySide<Session>,
    pub(super) veil: &'r Veil,
    pub(super) groups_seen: &'r AtomicUsize,
}

impl Reach<'_> {
    pub(super) fn hands<'h>(&'h self, plan: &'h MappingPlan) -> Hands<'h> {
        let Reach { leases, sessions, veil, groups_seen } = self;
        Hands { plan, leases, sessions, veil, groups_seen }
    }
}

/// One mapping on its way.
pub(super) struct Repairing<'r> {
    hands: Hands<'r>,
    scope: &'r Scope,
    authority: Side,
    kinds: &'r [Act],
    readable: Vec<StoredColumn>,
    /// For each stored column, its place among the readable ones.
    places: Vec<Option<usize>>,
    pub(super) spools: BTreeMap<Act, Spool>,
    pub(super) agreed: u64,
    /// Rows that become no change, by reason.
    pub(super) left_out: BTreeMap<String, u64>,
}

impl<'r> Repairing<'r> {
    pub(super) fn new(
        hands: Hands<'r>,
        scope: &'r Scope,
        authority: Side,
        kinds: &'r [Act],
    ) -> Repairing<'r> {
        let mut readable = Vec::new();
        let columns = scope.stored.columns.iter();
        let places = columns.map(|column| {
            column.readable.then(|| {
                readable.push(column.clone());
                readable.len() - 1
            })
        });
        let places = places.collect();
        let (spools, left_out) = (BTreeMap::new(), BTreeMap::new());
        Repairing { hands, scope, authority, kinds, readable, places, spools, agreed: 0, left_out }
    }

    /// Reads what is wanted again and makes changes of what still differs.
    pub(super) async fn take_all(&mut self, wanted: &[Wanted]) -> Result<(), Blocked> {
        for side in Side::BOTH {
            // Keys are told as the source writes them, unless only the target has the row.
            let told_by = |wanted: &Wanted| match wanted.kind {
                Kind::OnlyInTarget => Side::Target,
                _ => Side::Source,
            };
            let of_side = wanted.iter().filter(|wanted| told_by(wanted) == side);
            let texts: Vec<Vec<String>> = of_side
                .filter_map(|wanted| match &wanted.place {
                    WantedPlace::Key(key) => Some(self.fields(key)),
                    WantedPlace::Range(..) => None,
                })
                .collect::<Result<_, _>>()?;
            let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
            for texts in texts.chunks(KEYS_AT_ONCE) {
                let keys = keys_of(&self.hands, side, texts).await?;
                self.take_keys(&keys).await?;
            }
        }
        for range in wanted {
            self.take_range(range).await?;
        }
        Ok(())
    }

    /// A key's texts in the plan's order.
    fn fields(&self, key: &Named<String>) -> Result<Vec<String>, Blocked> {
        let plan = self.hands.plan;
        let named = |name: &str| key.0.iter().find(|(known, _)| known == name);
        let texts: Option<Vec<String>> =
            plan.key().iter().map(|pair| named(&pair.name).map(|(_, text)| text.clone())).collect();
        texts.filter(|texts| texts.len() == key.0.len()).ok_or_else(|| {
            let message = format!("findings of \"{}\" name another key than the spec", plan.name);
            Blocked::new(message).hinted("Compare again.")
        })
    }

    async fn take_range(&mut self, wanted: &Wanted) -> Result<(), Blocked> {
        let WantedPlace::Range(after, through) = &wanted.place else { return Ok(()) };
        let side = if wanted.kind == Kind::OnlyInTarget { Side::Target } else { Side::Source };
        let mut rest = KeyRange {
            after: self.bound(side, after.as_ref()).await?,
            through: self.bound(side, through.as_ref()).await?,
        };
        loop {
            let cut = match self.hands.plan.served() {
                true => steps::probe(&self.hands, side, &rest, RANGE_ROWS).await?,
                false => None,
            };
            let part = match cut.clone() {
                Some(bound) => {
                    let (part, behind) = rest.cut(bound);
                    rest = behind;
                    part
                }
                None => rest.clone(),
            };
            let keys = self.keys_within(side, &part).await?;
            for keys in keys.chunks(KEYS_AT_ONCE) {
                let meant = self.meant(side, keys, wanted).await?;
                self.take_keys(&meant).await?;
            }
            if cut.is_none() {
                return Ok(());
            }
        }
    }

    /// The end of a range: told by the side that has the rows, or by a row of the other beside them.
    async fn bound(
        &self,
        side: Side,
        key: Option<&Named<String>>,
    ) -> Result<Option<Bound>, Blocked> {
        let Some(key) = key else { return Ok(None) };
        let key = self.fields(key)?;
        let texts = [key.as_slice()];
        let keys = match keys_of(&self.hands, side, &texts).await {
            Ok(keys) => keys,
            Err(_) => keys_of(&self.hands, side.other(), &texts).await?,
        };
        let text = key.into();
        Ok(keys.into_iter().next().map(|key| Bound { key, text }))
    }

    async fn keys_within(&self, side: Side, range: &KeyRange) -> Result<Vec<Key>, Blocked> {
        let plan = self.hands.plan;
        let mut rows = self.hands.rows(side, sql::canons(plan, side, range)).await?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next().await? {
            keys.extend(Key::of(&row, plan.key_width));
        }
        keys.sort_by(|a, b| plan.order.compare(a, b));
        Ok(keys)
    }

    /// Those keys of a range that its finding speaks of: of its group, and under no agreement.
    async fn meant(&self, side: Side, keys: &[Key], wanted: &Wanted) -> Result<Vec<Key>, Blocked> {
        let plan = self.hands.plan;
        if wanted.group.is_none() && !wanted.partial {
            return Ok(keys.to_vec());
        }
        let asked: Vec<&Key> = keys.iter().collect();
        let rows = self.hands.ask(side, sql::look_up(plan, side, &asked)).await?;
        let (layout, lone) = (Lookup::of(plan), plan.rules_of_lone(side));
        let is_meant = |row: &&Row| {
            let group = layout.group.and_then(|field| row.field(field));
            let of_group =
                wanted.group.as_ref().is_none_or(|g| g.as_deref().map(str::as_bytes) == group);
            let holds = |(field, place): &(usize, usize)| {
                lone.contains(place) && row.field(*field) == Some(&[1])
            };
            of_group && !layout.rules[side].iter().any(holds)
        };
        Ok(rows.iter().filter(is_meant).filter_map(|row| Key::of(row, plan.key_width)).collect())
    }

    /// Reads keys on both sides and makes changes of them.
    async fn take_keys(&mut self, keys: &[Key]) -> Result<(), Blocked> {
        let (plan, written) = (self.hands.plan, self.authority.other());
        let asked: Vec<&Key> = keys.iter().collect();
        let statement = |side: Side| {
            if side == written {
                sql::stored_rows(plan, side, &self.readable, &asked)
            } else {
                sql::look_up(plan, side, &asked)
            }
        };
        let rows = self.hands.ask_both(statement).await?;
        let by_key = |side: Side| {
            let mut found: HashMap<Key, Vec<&Row>> = HashMap::new();
            for row in &rows[side] {
                if let Some(key) = Key::of(row, plan.key_width) {
                    found.entry(key).or_default().push(row);
                }
            }
            found
        };
        let (right, stored) = (by_key(self.authority), by_key(written));
        let none = Vec::new();
        for key in keys {
            let right = right.get(key).unwrap_or(&none).as_slice();
            let stored = stored.get(key).unwrap_or(&none).as_slice();
            match (right, stored) {
                ([], []) => self.leave("gone from both sides"),
                ([right], []) => self.make(Act::Insert, Some(right), None)?,
                ([], [stored]) => self.make(Act::Delete, None, Some(stored))?,
                ([right], [stored]) => self.make(Act::Update, Some(right), Some(stored))?,
                _ => self.leave("of a key that several rows have"),
            }
        }
        Ok(())
    }

    fn leave(&mut self, why: &str) {
        *self.left_out.entry(why.to_owned()).or_default() += 1;
    }

    fn make(&mut self, act: Act, right: Option<&Row>, stored: Option<&Row>) -> Result<(), Blocked> {
        let plan = self.hands.plan;
        let differs = |pair: usize| match (right, stored) {
            (Some(right), Some(stored)) => {
                !agree(&plan.pairs[pair], right.field(pair), stored.field(pair))
            }
            _ => true,
        };
        let differing: Vec<usize> = (0..plan.pairs.len()).filter(|pair| differs(*pair)).collect();
        if act == Act::Update {
            if differing.is_empty() {
                self.agreed += 1;
                return Ok(());
            }
            self.name_what_stays(&differing);
        }
        if !self.kinds.contains(&act) {
            self.leave(&format!("to {}, which --kinds leaves out", act.name()));
            return Ok(());
        }
        let (mut old, mut new, mut set): (Image, Image, Vec<usize>) = Default::default();
        for (at, (column, pair)) in self.scope.image(act).into_iter().enumerate() {
            let is = stored.map_or(Ok(None), |row| self.stored_text(row, column))?;
            let settable = self.scope.filled.iter().any(|f| Some(f.pair) == pair && f.settable);
            let becomes = match (act, pair, right) {
                (Act::Insert, Some(pair), Some(row)) => self.right_text(row, pair, column)?,
                (Act::Update, Some(pair), Some(row)) if settable && differing.contains(&pair) => {
                    set.push(at);
                    self.right_text(row, pair, column)?
                }
                _ => is.clone(),
            };
            old.push(is);
            new.push(becomes);
        }
        if act == Act::Update && set.is_empty() {
            self.leave("that differ only where nothing can be written");
            return Ok(());
        }
        let change = Change {
            old: (act != Act::Insert).then_some(old),
            new: (act != Act::Delete).then_some(new),
        };
        let spool = match self.spools.entry(act) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Spool::new()?),
        };
        spool.set.extend(set);
        spool.push(&change)
    }

    /// Counts differing pairs that an update does not reach.
    fn name_what_stays(&mut self, differing: &[usize]) {
        for pair in differing {
            let set = self.scope.filled.iter().any(|f| f.pair == *pair && f.settable);
            if !set {
                let name = &self.hands.plan.pairs[*pair].name;
                self.leave(&format!("whose pair \"{name}\" is compared only"));
            }
        }
    }

    fn stored_text(&self, row: &Row, column: usize) -> Result<Option<String>, Blocked> {
        let Some(place) = self.places[column] else { return Ok(None) };
        text(row, self.hands.plan.pairs.len() + place)
    }

    /// What a column of the written side is to hold: the authority's value as its type reads it.
    fn right_text(&self, row: &Row, pair: usize, column: usize) -> Result<Option<String>, Blocked> {
        let layout = Lookup::of(self.hands.plan);
        let told = told(row, &layout, pair).map(utf8).transpose()?;
        let from = self.hands.plan.pairs[pair].sides[self.authority].column_type.pg_type.base();
        let to = self.scope.stored.columns[column].pg_type.base();
        Ok(told.map(|text| carried(text, from, to)))
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

fn text(row: &Row, field: usize) -> Result<Option<String>, Blocked> {
    row.field(field).map(utf8).transpose()
}

fn utf8(bytes: &[u8]) -> Result<String, Blocked> {
    let text = std::str::from_utf8(bytes).map_err(|_| Blocked::new("a value is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Keys from the texts by which a side tells them.
pub(super) async fn keys_of(
    hands: &Hands<'_>,
    side: Side,
    texts: &[&[String]],
) -> Result<Vec<Key>, Failed> {
    let rows = hands.ask(side, sql::keys_of_texts(hands.plan, side, texts)).await?;
    let key = |row: &Row| {
        let key = Key::of(row, hands.plan.key_width);
        key.ok_or_else(|| (Some(side), PgError::unexpected("a key is NULL")))
    };
    rows.iter().map(key).collect()
}
