//! One mapping's repair: the wanted keys are read again on both sides, and what still differs as it was
//! found becomes changes. What has agreed meanwhile is counted and left alone.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::time::Instant;

use super::computed::stay_different;
use super::holding::{Draft, hold};
use super::making::{Found, Making};
use super::occupied::occupied;
use super::references::references;
use super::standing::{Piece, Standing};
use super::telling::tell;
use crate::finding::{DivergenceKind, NamedValues};
use crate::pg::{Lease, Row, Session};
use crate::plan::MappingPlan;
use crate::prepare::Blocked;
use crate::repair::{Act, Scope, Wanted, WantedPlace};
use crate::row::{Bound, Fingerprint, Fingerprinter, Key, KeyRange, Record, Veil};
use crate::run::work::task_context::TaskContext;
use crate::run::work::{bounds, rows};
use crate::schema::{BySide, Side, StoredColumn};
use crate::sql::{self, LookupLayout};

/// Keys that are read at once.
pub(in crate::run) const KEYS_AT_ONCE: usize = 1_000;
/// Rows of a range that are read at once.
const RANGE_ROWS: u64 = 20_000;

/// What both sides are asked with.
pub(in crate::run) struct Reach<'r> {
    pub(in crate::run) leases: &'r BySide<Lease>,
    pub(in crate::run) sessions: &'r BySide<Session>,
    pub(in crate::run) veil: &'r Veil,
    pub(in crate::run) groups_seen: &'r AtomicUsize,
}

impl Reach<'_> {
    pub(in crate::run) fn hands<'h>(&'h self, plan: &'h MappingPlan) -> TaskContext<'h> {
        let Reach { leases, sessions, veil, groups_seen } = self;
        TaskContext { plan, leases, sessions, short: sessions, veil, groups_seen }
    }
}

/// One mapping on its way.
pub(in crate::run) struct Repairing<'r> {
    hands: TaskContext<'r>,
    authority: Side,
    written: Side,
    kinds: &'r [Act],
    /// What the written side's rows are read with, beside the pairs.
    readable: Vec<StoredColumn>,
    pub(in crate::run) making: Making<'r>,
    /// Whether the written side is asked about foreign keys, and if so, whether rows may go along with
    /// what they refer to.
    pub(in crate::run) references: Option<bool>,
}

impl<'r> Repairing<'r> {
    pub(in crate::run) fn new(
        hands: TaskContext<'r>,
        scope: &'r Scope,
        authority: Side,
        kinds: &'r [Act],
        recodes: bool,
    ) -> Repairing<'r> {
        let columns = scope.stored.columns.iter();
        let readable = columns.filter(|column| column.readable).cloned().collect();
        let making = Making::new(hands.plan, scope, authority, kinds, recodes);
        let (written, references) = (authority.other(), None);
        Repairing { hands, authority, written, kinds, readable, making, references }
    }

    /// Reads what is wanted again and makes changes of what still differs; rows of a range only if they
    /// stood still so long.
    pub(in crate::run) async fn take_all(
        &mut self,
        wanted: &[Wanted],
        settle: Duration,
    ) -> Result<(), Blocked> {
        for act in [Act::Insert, Act::Update, Act::Delete] {
            let of_act = || wanted.iter().filter(|wanted| wanted.act(self.authority) == Some(act));
            let texts: Vec<Vec<String>> = of_act()
                .filter_map(|wanted| match &wanted.place {
                    WantedPlace::Key(key) => Some(self.fields(key)),
                    WantedPlace::Range(..) => None,
                })
                .collect::<Result<_, _>>()?;
            // Keys are told as the source writes them, unless only the target has the row.
            let side = of_act().next().map_or(Side::Source, side_of);
            let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
            for texts in texts.chunks(KEYS_AT_ONCE) {
                let keys = rows::keys_of_texts(&self.hands, side, texts).await?;
                let rows = rows_of(&self.hands, self.written, &self.readable, &keys).await?;
                self.take(&keys, &rows, (act, None)).await?;
            }
        }
        let mut standing = Standing::new()?;
        for wanted in wanted {
            self.look(wanted, &mut standing).await?;
        }
        let (pieces, mut stood) = standing.turn()?;
        for piece in pieces {
            tokio::time::sleep_until(piece.looked + settle).await;
            let stood = stood.next(piece.rows)?;
            self.take_piece(&piece, &stood).await?;
        }
        Ok(())
    }

    async fn take(
        &mut self,
        keys: &[Key],
        rows: &BySide<Vec<Row>>,
        found: Found<'_>,
    ) -> Result<(), Blocked> {
        let drafts = self.making.draft(keys, rows, found)?;
        self.keep(drafts).await
    }

    /// Takes drafts that the columns hold.
    async fn keep(&mut self, mut drafts: Vec<Draft<'_>>) -> Result<(), Blocked> {
        let mut refused = hold(&self.hands, self.written, &mut drafts).await?;
        let scope = self.making.scope;
        let mut told = tell(&self.hands, self.written, scope, &drafts, &mut refused).await?;
        told.occupied = occupied(&self.hands, self.written, scope, &drafts, &refused).await?;
        told.differ = stay_different(&self.hands, self.written, scope, &drafts, &refused).await?;
        if let Some(cascades) = self.references {
            told.references =
                references(&self.hands, self.written, scope, &drafts, cascades).await?;
        }
        self.making.take(drafts, &refused, told)
    }

    /// A key's texts in the plan's order.
    fn fields(&self, key: &NamedValues<String>) -> Result<Vec<String>, Blocked> {
        let plan = self.hands.plan;
        let named = |name: &str| key.0.iter().find(|(known, _)| known == name);
        let texts: Option<Vec<String>> =
            plan.key().iter().map(|pair| named(&pair.name).map(|(_, text)| text.clone())).collect();
        texts.filter(|texts| texts.len() == key.0.len()).ok_or_else(|| {
            let message = format!("findings of \"{}\" name another key than the spec", plan.name);
            Blocked::new(message).with_hint("Compare again.")
        })
    }

    /// The first look at a range: which of its rows stand alone.
    async fn look<'w>(
        &mut self,
        wanted: &'w Wanted,
        standing: &mut Standing<'w>,
    ) -> Result<(), Blocked> {
        let WantedPlace::Range(after, through) = &wanted.place else { return Ok(()) };
        if let Some(act) = wanted.act(self.authority).filter(|act| !self.kinds.contains(act)) {
            self.making.leave_kind(act, wanted.rows);
            return Ok(());
        }
        let side = side_of(wanted);
        let mut rest = KeyRange {
            after: self.bound(side, after.as_ref()).await?,
            through: self.bound(side, through.as_ref()).await?,
        };
        loop {
            let cut = match self.hands.plan.served() {
                true => bounds::probe(&self.hands, side, &rest, RANGE_ROWS).await?,
                false => None,
            };
            let last = cut.is_none();
            let range = match cut {
                Some(bound) => {
                    let (range, behind) = rest.cut(bound);
                    rest = behind;
                    range
                }
                None => rest.clone(),
            };
            let rows = self.alone(side, &range, standing).await?;
            standing.pieces.push(Piece { wanted, side, range, rows, looked: Instant::now() });
            if last {
                return Ok(());
            }
        }
    }

    /// Puts down the rows of a range that the other side has not. Gives how many.
    async fn alone(
        &self,
        side: Side,
        range: &KeyRange,
        standing: &mut Standing<'_>,
    ) -> Result<usize, Blocked> {
        let plan = self.hands.plan;
        let others: HashSet<Key> =
            self.keys_within(side.other(), range).await?.into_iter().collect();
        let (mut fingerprinter, mut alone) = (Fingerprinter::default(), 0);
        let mut rows = self.hands.rows(side, sql::canonical_rows(plan, side, range)).await?;
        while let Some(row) = rows.next().await? {
            let Some(key) = Key::of(&row, plan.key_width) else { continue };
            if !others.contains(&key) {
                standing.push(fingerprinter.of(&row, 0..plan.pairs.len()))?;
                alone += 1;
            }
        }
        Ok(alone)
    }

    /// The second look at a piece: rows that stand as they stood become changes.
    async fn take_piece(
        &mut self,
        piece: &Piece<'_>,
        stood: &HashSet<Fingerprint>,
    ) -> Result<(), Blocked> {
        let Piece { wanted, side, range, .. } = piece;
        let Some(act) = wanted.act(self.authority) else { return Ok(()) };
        let found = (act, Some(stood));
        let keys = self.keys_within(*side, range).await?;
        // While some rows become changes, the next are on their way.
        let mut before: Option<(Vec<Key>, BySide<Vec<Row>>)> = None;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let keys = self.meant(*side, keys, wanted).await?;
            let next = rows_of(&self.hands, self.written, &self.readable, &keys);
            let making = &mut self.making;
            let drafted = async {
                before.as_ref().map(|(keys, rows)| making.draft(keys, rows, found)).transpose()
            };
            let (rows, drafts) = tokio::join!(biased; next, drafted);
            self.keep(drafts?.unwrap_or_default()).await?;
            let rows = rows?;
            before = Some((keys, rows));
        }
        match before {
            Some((keys, rows)) => self.take(&keys, &rows, found).await,
            None => Ok(()),
        }
    }

    /// The end of a range: told by the side that has the rows, or by a row of the other beside them.
    async fn bound(
        &self,
        side: Side,
        key: Option<&NamedValues<String>>,
    ) -> Result<Option<Bound>, Blocked> {
        let Some(key) = key else { return Ok(None) };
        let key = self.fields(key)?;
        let texts = [key.as_slice()];
        let keys = match rows::keys_of_texts(&self.hands, side, &texts).await {
            Ok(keys) => keys,
            Err(_) => rows::keys_of_texts(&self.hands, side.other(), &texts).await?,
        };
        let text = key.into();
        Ok(keys.into_iter().next().map(|key| Bound { key, text }))
    }

    async fn keys_within(&self, side: Side, range: &KeyRange) -> Result<Vec<Key>, Blocked> {
        let plan = self.hands.plan;
        let mut rows = self.hands.rows(side, sql::canonical_rows(plan, side, range)).await?;
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
        let rows = self.hands.query(side, sql::look_up(plan, side, &asked)).await?;
        let (layout, one_sided) = (LookupLayout::of(plan), plan.accepts.of_one_sided(side));
        let is_meant = |row: &&Row| {
            let group = layout.group.and_then(|field| row.field(field));
            let of_group =
                wanted.group.as_ref().is_none_or(|g| g.as_deref().map(str::as_bytes) == group);
            let holds = |(field, place): &(usize, usize)| {
                one_sided.contains(place) && row.field(*field) == Some(&[1])
            };
            of_group && !layout.rules[side].iter().any(holds)
        };
        Ok(rows.iter().filter(is_meant).filter_map(|row| Key::of(row, plan.key_width)).collect())
    }
}

/// The side that tells a finding's key, and that has the rows of a range.
fn side_of(wanted: &Wanted) -> Side {
    if wanted.kind == DivergenceKind::OnlyInTarget { Side::Target } else { Side::Source }
}

/// The rows of these keys on both sides: the written one's with every column that can be read.
async fn rows_of(
    hands: &TaskContext<'_>,
    written: Side,
    readable: &[StoredColumn],
    keys: &[Key],
) -> Result<BySide<Vec<Row>>, Blocked> {
    let asked: Vec<&Key> = keys.iter().collect();
    let statement = |side: Side| match side == written {
        true => sql::stored_rows(hands.plan, side, readable, &asked),
        false => sql::look_up(hands.plan, side, &asked),
    };
    Ok(hands.query_both(statement).await?)
}
