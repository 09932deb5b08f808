//! Reads the rows of one mapping's findings again on both sides. Rows that still differ as they were found
//! become changes; rows that agree by now are counted.

use std::collections::HashSet;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::time::Instant;

use super::draft_queries::DraftQueries;
use crate::finding::{DivergenceKind, NamedValues};
use crate::pg::{Connection, ReadSettings, Row};
use crate::plan::MappingPlan;
use crate::problem::Problem;
use crate::repair::{Operation, RepairItem, RepairPlace, WritableMapping};
use crate::repair_plan::{ChangeBuilder, DraftChange, FirstRead, Found, RepairOptions};
use crate::row::{Bound, Fingerprint, Fingerprinter, Key, KeyRange, Redactor, RowFields};
use crate::run::work::task_context::TaskContext;
use crate::run::work::{bounds, rows};
use crate::schema::{BySide, Side, StoredColumn};
use crate::sql::{self, LookupLayout};

/// Keys that are read at once.
pub(super) const KEYS_AT_ONCE: usize = 1_000;
/// Rows of a range that are read at once.
const RANGE_ROWS: u64 = 20_000;

/// The connections of both sides, and what the queries of all mappings share.
pub(super) struct Connections<'c> {
    pub(super) connections: &'c BySide<Connection>,
    pub(super) sessions: &'c BySide<ReadSettings>,
    pub(super) redactor: &'c Redactor,
    pub(super) groups_seen: &'c AtomicUsize,
}

impl Connections<'_> {
    /// Returns the task context of a mapping.
    pub(super) fn context<'c>(&'c self, plan: &'c MappingPlan) -> TaskContext<'c> {
        let Connections { connections, sessions, redactor, groups_seen } = self;
        TaskContext { plan, connections, sessions, short: sessions, redactor, groups_seen }
    }
}

/// A part of a range that was read for the first time.
struct ReadRange<'w> {
    wanted: &'w RepairItem,
    /// The side that had the rows.
    side: Side,
    range: KeyRange,
    /// How many rows the other side lacked.
    rows: usize,
    /// When it was read.
    read_at: Instant,
}

/// Reads the rows of one mapping.
pub(super) struct MappingReader<'r> {
    context: TaskContext<'r>,
    scope: &'r WritableMapping,
    options: &'r RepairOptions,
    written: Side,
    /// The columns of the written side that are read beside the pairs.
    readable: Vec<StoredColumn>,
    builder: ChangeBuilder<'r>,
    foreign_keys: Option<bool>,
}

impl<'r> MappingReader<'r> {
    /// Makes a reader. `recodes` says that the encodings of the servers differ.
    pub(super) fn new(
        context: TaskContext<'r>,
        scope: &'r WritableMapping,
        options: &'r RepairOptions,
        recodes: bool,
    ) -> MappingReader<'r> {
        let columns = scope.stored.columns.iter();
        let readable = columns.filter(|column| column.readable).cloned().collect();
        let (authority, kinds) = (options.authority, options.kinds.as_slice());
        let builder = ChangeBuilder::new(context.plan, scope, authority, kinds, recodes);
        let (written, foreign_keys) = (authority.other(), None);
        MappingReader { context, scope, options, written, readable, builder, foreign_keys }
    }

    /// Lets the foreign keys of changes be queried; `cascades` says that rows may be deleted or changed
    /// together with the row to which they refer.
    pub(super) fn query_foreign_keys(&mut self, cascades: bool) {
        self.foreign_keys = Some(cascades);
    }

    /// Reads the rows of all findings and builds their changes. Rows of a range become changes only if
    /// they stay the same for the time `settle`.
    pub(super) async fn read(
        mut self,
        wanted: &[RepairItem],
        settle: Duration,
    ) -> Result<ChangeBuilder<'r>, Problem> {
        for operation in [Operation::Insert, Operation::Update, Operation::Delete] {
            self.read_keys(wanted, operation).await?;
        }
        let (mut ranges, mut first_read) = (Vec::new(), FirstRead::new()?);
        for wanted in wanted {
            self.read_range(wanted, &mut ranges, &mut first_read).await?;
        }
        let mut first_read = first_read.finish()?;
        for range in ranges {
            tokio::time::sleep_until(range.read_at + settle).await;
            let rows = first_read.next(range.rows)?;
            self.read_range_again(&range, &rows).await?;
        }
        Ok(self.builder)
    }

    /// Reads the rows of all findings of single keys that an operation repairs.
    async fn read_keys(
        &mut self,
        wanted: &[RepairItem],
        operation: Operation,
    ) -> Result<(), Problem> {
        let authority = self.options.authority;
        let of_operation =
            || wanted.iter().filter(|wanted| wanted.operation(authority) == Some(operation));
        let texts: Vec<Vec<String>> = of_operation()
            .filter_map(|wanted| match &wanted.place {
                RepairPlace::Key(key) => Some(self.key_texts(key)),
                RepairPlace::Range(..) => None,
            })
            .collect::<Result<_, _>>()?;
        // Keys are in the source's form, unless only the target has the row.
        let side = of_operation().next().map_or(Side::Source, key_side);
        let texts: Vec<&[String]> = texts.iter().map(Vec::as_slice).collect();
        let found = Found { operation, first_read: None };
        for texts in texts.chunks(KEYS_AT_ONCE) {
            let keys = rows::keys_of_texts(&self.context, side, texts).await?;
            let rows = read_rows(&self.context, self.written, &self.readable, &keys).await?;
            let drafts = self.builder.draft(&keys, &rows, found)?;
            self.add(drafts).await?;
        }
        Ok(())
    }

    /// Adds the changes of drafts that the written side does not rule out.
    async fn add(&mut self, mut drafts: Vec<DraftChange<'_, Row>>) -> Result<(), Problem> {
        let queries = DraftQueries {
            context: &self.context,
            scope: self.scope,
            written: self.written,
            foreign_keys: self.foreign_keys,
        };
        let (refused, facts) = queries.query(&mut drafts).await?;
        self.builder.add(drafts, &refused, facts)
    }

    /// Returns the texts of a key in the order of the plan.
    fn key_texts(&self, key: &NamedValues<String>) -> Result<Vec<String>, Problem> {
        let plan = self.context.plan;
        let named = |name: &str| key.0.iter().find(|(known, _)| known == name);
        let texts: Option<Vec<String>> =
            plan.key().iter().map(|pair| named(&pair.name).map(|(_, text)| text.clone())).collect();
        texts.filter(|texts| texts.len() == key.0.len()).ok_or_else(|| {
            let message = format!("findings of \"{}\" name another key than the spec", plan.name);
            Problem::new(message).with_hint("Compare again.")
        })
    }

    /// Reads a range for the first time: records which rows one side has and the other lacks.
    async fn read_range<'w>(
        &mut self,
        wanted: &'w RepairItem,
        ranges: &mut Vec<ReadRange<'w>>,
        first_read: &mut FirstRead,
    ) -> Result<(), Problem> {
        let RepairPlace::Range(after, through) = &wanted.place else { return Ok(()) };
        let operation = wanted.operation(self.options.authority);
        if let Some(operation) = operation.filter(|kind| !self.options.kinds.contains(kind)) {
            self.builder.exclude_operation(operation, wanted.rows);
            return Ok(());
        }
        let side = key_side(wanted);
        let mut rest = KeyRange {
            after: self.bound(side, after.as_ref()).await?,
            through: self.bound(side, through.as_ref()).await?,
        };
        loop {
            let boundary = match self.context.plan.served() {
                true => bounds::probe(&self.context, side, &rest, RANGE_ROWS).await?,
                false => None,
            };
            let is_last = boundary.is_none();
            let range = match boundary {
                Some(boundary) => {
                    let (range, remaining) = rest.cut(boundary);
                    rest = remaining;
                    range
                }
                None => rest.clone(),
            };
            let rows = self.record_one_sided(side, &range, first_read).await?;
            ranges.push(ReadRange { wanted, side, range, rows, read_at: Instant::now() });
            if is_last {
                return Ok(());
            }
        }
    }

    /// Records the rows of a range that the other side lacks. Returns how many.
    async fn record_one_sided(
        &self,
        side: Side,
        range: &KeyRange,
        first_read: &mut FirstRead,
    ) -> Result<usize, Problem> {
        let plan = self.context.plan;
        let others: HashSet<Key> =
            self.keys_within(side.other(), range).await?.into_iter().collect();
        let (mut fingerprinter, mut count) = (Fingerprinter::default(), 0);
        let mut rows = self.context.rows(side, sql::canonical_rows(plan, side, range)).await?;
        while let Some(row) = rows.next().await? {
            let Some(key) = Key::of(&row, plan.key_width) else { continue };
            if !others.contains(&key) {
                first_read.push(fingerprinter.of(&row, 0..plan.pairs.len()))?;
                count += 1;
            }
        }
        Ok(count)
    }

    /// Reads a part of a range for the second time: rows that are as the first read found them become
    /// changes.
    async fn read_range_again(
        &mut self,
        range: &ReadRange<'_>,
        first_read: &HashSet<Fingerprint>,
    ) -> Result<(), Problem> {
        let ReadRange { wanted, side, range, .. } = range;
        let Some(operation) = wanted.operation(self.options.authority) else { return Ok(()) };
        let found = Found { operation, first_read: Some(first_read) };
        let keys = self.keys_within(*side, range).await?;
        // While changes are built of some rows, the next ones are read.
        let mut before: Option<(Vec<Key>, BySide<Vec<Row>>)> = None;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let keys = self.keys_of_finding(*side, keys, wanted).await?;
            let next = read_rows(&self.context, self.written, &self.readable, &keys);
            let builder = &mut self.builder;
            let drafted = async {
                before.as_ref().map(|(keys, rows)| builder.draft(keys, rows, found)).transpose()
            };
            let (rows, drafts) = tokio::join!(biased; next, drafted);
            self.add(drafts?.unwrap_or_default()).await?;
            let rows = rows?;
            before = Some((keys, rows));
        }
        let Some((keys, rows)) = before else { return Ok(()) };
        let drafts = self.builder.draft(&keys, &rows, found)?;
        self.add(drafts).await
    }

    /// Returns a bound of a range: the key as the side that has the rows sorts it or, if that fails, the
    /// other side.
    async fn bound(
        &self,
        side: Side,
        key: Option<&NamedValues<String>>,
    ) -> Result<Option<Bound>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let key = self.key_texts(key)?;
        let texts = [key.as_slice()];
        let keys = match rows::keys_of_texts(&self.context, side, &texts).await {
            Ok(keys) => keys,
            Err(_) => rows::keys_of_texts(&self.context, side.other(), &texts).await?,
        };
        let text = key.into();
        Ok(keys.into_iter().next().map(|key| Bound { key, text }))
    }

    /// Reads the keys of one side within a range, in order.
    async fn keys_within(&self, side: Side, range: &KeyRange) -> Result<Vec<Key>, Problem> {
        let plan = self.context.plan;
        let mut rows = self.context.rows(side, sql::canonical_rows(plan, side, range)).await?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next().await? {
            keys.extend(Key::of(&row, plan.key_width));
        }
        keys.sort_by(|a, b| plan.order.compare(a, b));
        Ok(keys)
    }

    /// Returns the keys of a range that its finding includes: those of its group that no `accept` covers.
    async fn keys_of_finding(
        &self,
        side: Side,
        keys: &[Key],
        wanted: &RepairItem,
    ) -> Result<Vec<Key>, Problem> {
        let plan = self.context.plan;
        if wanted.group.is_none() && !wanted.partial {
            return Ok(keys.to_vec());
        }
        let queried: Vec<&Key> = keys.iter().collect();
        let rows = self.context.query(side, sql::look_up(plan, side, &queried)).await?;
        let (layout, accepts) = (LookupLayout::of(plan), plan.accepts.of_one_sided(side));
        let is_included = |row: &&Row| {
            let group = layout.group.and_then(|field| row.field(field));
            let of_group =
                wanted.group.as_ref().is_none_or(|g| g.as_deref().map(str::as_bytes) == group);
            let is_accepted = |(field, place): &(usize, usize)| {
                accepts.contains(place) && row.field(*field) == Some(&[1])
            };
            of_group && !layout.rules[side].iter().any(is_accepted)
        };
        Ok(rows.iter().filter(is_included).filter_map(|row| Key::of(row, plan.key_width)).collect())
    }
}

/// Returns the side in whose form the key of a finding is, and that has the rows of a range.
fn key_side(wanted: &RepairItem) -> Side {
    if wanted.kind == DivergenceKind::OnlyInTarget { Side::Target } else { Side::Source }
}

/// Reads the rows of these keys on both sides, those of the written side with every readable column.
async fn read_rows(
    context: &TaskContext<'_>,
    written: Side,
    readable: &[StoredColumn],
    keys: &[Key],
) -> Result<BySide<Vec<Row>>, Problem> {
    let queried: Vec<&Key> = keys.iter().collect();
    let statement = |side: Side| match side == written {
        true => sql::stored_rows(context.plan, side, readable, &queried),
        false => sql::look_up(context.plan, side, &queried),
    };
    Ok(context.query_both(statement).await?)
}
