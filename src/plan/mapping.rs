//! The plan of a mapping, made from the spec and the facts about both sides.

use std::sync::Arc;

use super::accept::{AcceptRules, find_group, make_accept_rules};
use super::changed_at::find_changed_at;
use super::changed_since::find_since;
use super::column_pairs::{ColumnPair, pair_columns, report_pair};
use super::facts::{Facts, PlanOptions};
use super::form::{CanonicalForm, check_key_pair, choose_form};
use super::pair::{Expression, Pair, PairSide};
use super::partition::Groups;
use super::side::SidePlan;
use super::strategy::{Strategy, choose};
use super::{Partition, key, partition};
use crate::problem::Problem;
use crate::row::KeyOrder;
use crate::schema::{Builtin, BySide, Collation, ColumnType, PgType, Relation, Server, Side};
use crate::spec::{Diagnostic, Mapping, Param, Reads, Spec};

/// The first version that scans a range of blocks without reading the others.
const BLOCKS_SINCE: u32 = 140_000;

/// What will be done for one mapping.
#[derive(Clone, Debug)]
pub struct MappingPlan {
    /// The mapping's name.
    pub name: String,
    /// All pairs, those of the key first.
    pub pairs: Vec<Pair>,
    /// The number of pairs that make the key.
    pub key_width: usize,
    /// The index of the pair whose values group the rows.
    pub group: Option<usize>,
    /// The number of groups, by the statistics.
    pub groups: Option<u64>,
    /// The accept rules.
    pub accepts: AcceptRules,
    /// The order of keys.
    pub order: KeyOrder,
    /// The plan of each side.
    pub sides: BySide<SidePlan>,
    /// How rows are compared.
    pub strategy: Strategy,
    /// The reason for the strategy.
    pub reason: String,
    /// How the rows are divided into statements.
    pub partition: Partition,
    /// The reason for the partition.
    pub partition_reason: String,
    /// Whether large values are compared by their hash, so that the client need not hold them.
    pub hashes_large_values: bool,
    /// The number of rows of a chunk, where it is fixed.
    pub chunk_rows: Option<u64>,
    /// Parameters of the operator's SQL.
    pub params: Arc<[Param]>,
    /// Notes for the user, as sentences.
    pub notes: Vec<String>,
}

impl MappingPlan {
    /// Returns the pairs that make the key.
    pub fn key(&self) -> &[Pair] {
        &self.pairs[..self.key_width]
    }

    /// Returns the first redacted pair of the key: without its values a key identifies no row.
    pub fn redacted_key(&self) -> Option<&Pair> {
        self.key().iter().find(|pair| pair.settings.redact)
    }

    /// Returns whether any column is redacted.
    pub fn redacts(&self) -> bool {
        self.pairs.iter().any(|pair| pair.settings.redact)
    }

    /// Returns the key in its order, as a text. Key ranges of two plans select the same rows only if this
    /// text is the same.
    pub fn key_text(&self) -> String {
        let field = |pair: &Pair| {
            let collated = if key::is_collated(pair) { " as collated" } else { "" };
            format!("{} {}{collated}", pair.name, pair.wire().name())
        };
        self.key().iter().map(field).collect::<Vec<_>>().join(", ")
    }

    /// Divides the rows this way, whatever was chosen.
    fn set_partition(&mut self, partition: Partition) {
        self.partition = partition;
        for side in Side::BOTH {
            let side = &mut self.sides[side];
            // The file in which rows lie does not matter to key ranges.
            side.shape.filenode = side.file.filter(|_| partition == Partition::Buckets);
        }
    }

    /// Divides the rows as the resumed run does; but not into hash buckets where no index proves the key,
    /// since duplicates on both sides would not be seen.
    pub fn partition_as(&mut self, begun: Partition) {
        if begun != self.partition && (begun == Partition::Ranges || self.key_proven()) {
            self.set_partition(begun);
            self.partition_reason = "as when the run began".to_owned();
        }
    }

    /// Returns the number of rows of the larger side, by the statistics.
    pub fn estimated_rows(&self) -> Option<u64> {
        self.sides.source.estimated_rows.max(self.sides.target.estimated_rows)
    }

    /// Returns the number of rows that a comparison reads, if it is known.
    pub fn expected_rows(&self) -> Option<u64> {
        // The number of recently changed rows is not known.
        self.estimated_rows().filter(|_| !self.since_indexed())
    }

    /// Returns whether an index of each side serves key ranges.
    pub fn served(&self) -> bool {
        self.sides.all(|side| side.served_by.is_some())
    }

    /// Returns the number of chunks that a scan would take, if the statistics have a number of rows. Where
    /// chunks are sized by time, 250,000 rows of ordinary width are taken for half a second.
    pub fn estimated_chunks(&self) -> Option<u64> {
        if self.partition == Partition::Ranges
            && !self.served()
            && self.strategy == Strategy::Digest
        {
            return Some(1);
        }
        let rows = self.estimated_rows()?;
        Some(rows.div_ceil(self.chunk_rows.unwrap_or(250_000)).max(1))
    }

    /// Returns whether only recently changed rows are compared (`--since`).
    pub fn has_since(&self) -> bool {
        self.sides.source.since.is_some()
    }

    /// Returns whether indexes of both sides find the recently changed rows.
    pub fn since_indexed(&self) -> bool {
        self.sides.all(|side| side.since.as_ref().is_some_and(|since| since.indexed))
    }

    /// Returns whether the key is proven on both sides: no duplicates, no NULLs.
    pub fn key_proven(&self) -> bool {
        self.sides.all(|side| side.key_proof.is_some())
    }
}

/// Plans one mapping.
///
/// # Errors
/// All problems, with their places in the spec. A plan comes with the warnings.
pub fn plan_mapping(
    spec: &Spec,
    mapping: &Mapping,
    servers: BySide<&Server>,
    facts: BySide<&Facts>,
    options: PlanOptions,
) -> Result<(MappingPlan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let relations = facts.map(|facts| &facts.relation);
    let column_pairs = pair_columns(mapping, relations, &mut problems);
    check_access(mapping, &column_pairs, relations, servers, &mut problems);
    let key = key::choose(mapping, &column_pairs, relations.target)
        .map_err(|problem| problems.push(problem));
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    let key = key.unwrap_or_default();
    let mut key_pairs = Vec::new();
    let mut other_pairs = Vec::new();
    for (place, column_pair) in column_pairs.iter().enumerate() {
        let in_key = key.iter().position(|pair| *pair == place);
        let types = BySide::new(|side| type_of(column_pair, side, facts[side]));
        match make_pair(spec, column_pair, &types, servers, in_key.is_some()) {
            Ok(pair) => match in_key {
                Some(order) => key_pairs.push((order, pair)),
                None => other_pairs.push(pair),
            },
            Err(problem) => report_pair(column_pair, &types, problem, &mut problems),
        }
    }
    let tolerant = column_pairs.iter().find(|pair| pair.settings.tolerance.is_some());
    let tolerant = tolerant.map(|pair| pair.name.as_str());
    let chosen = choose(options.strategy, servers, tolerant, &mapping.span)
        .map_err(|problem| problems.push(problem));
    let Ok((strategy, reason)) = chosen else { return Err(problems) };
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    key_pairs.sort_by_key(|(order, _)| *order);
    let mut pairs: Vec<Pair> = key_pairs.into_iter().map(|(_, pair)| pair).collect();
    let rows = relations.map(|relation| relation.estimated_rows.unwrap_or(0));
    let collated = key::share_collations(&mut pairs);
    let mut served_by = key::sort_pairs(&mut pairs, relations, rows);
    if collated && served_by.any(Option::is_none) {
        key::unshare_collations(&mut pairs);
        served_by = key::sort_pairs(&mut pairs, relations, rows);
    }
    let key_width = pairs.len();
    let order = KeyOrder(pairs.iter().filter_map(key::order_of).collect());
    let mut changed = BySide::new(|side| {
        find_changed_at(mapping, side, facts[side], &column_pairs, &mut problems)
    });
    let mut since = find_since(mapping, facts, &mut problems);
    let by_blocks = |side: Side| relations[side].heap && servers[side].version >= BLOCKS_SINCE;
    let sides = BySide::new(|side| SidePlan {
        reads: mapping.sides[side].reads.clone(),
        only: mapping.sides[side].only,
        filter: mapping.sides[side].filter.clone(),
        search_path: spec.sides[side].search_path.clone(),
        kind: relations[side].kind,
        estimated_rows: relations[side].estimated_rows,
        key_proof: key::find_proof(relations[side], side, &pairs),
        key_nullable: pairs.iter().any(|pair| nullable(pair, side, relations[side])),
        served_by: served_by[side].clone(),
        by_blocks: by_blocks(side),
        shape: facts[side].shape.clone(),
        file: facts[side].shape.filenode.filter(|_| by_blocks(side)),
        changed_at: changed[side].take(),
        since: since[side].take(),
    });
    let scattered = BySide::new(|side| key::is_scattered(pairs.first(), side, relations[side]));
    let fixed = options.chunk_rows.is_some() || options.sampled || options.sliced;
    let groups = partition::count_groups(mapping, &column_pairs, relations);
    let (partition, partition_reason) =
        partition::choose(strategy, &sides, scattered, fixed, groups);
    let (partition, partition_reason) = match &sides.source.since {
        Some(_) => (Partition::Ranges, "only rows that changed recently are compared".to_owned()),
        None => (partition, partition_reason),
    };
    if options.sampled && sides.any(|side| side.served_by.is_none()) {
        let message =
            format!("mapping \"{}\" cannot be sampled: no index serves its key", mapping.name);
        let hint = "A sample consists of key ranges, for which each side needs an index.";
        problems.push(Diagnostic::error(&mapping.span, message).with_hint(hint));
        return Err(problems);
    }
    pairs.extend(other_pairs);
    let group = find_group(mapping, &pairs, &mut problems);
    let accepts = make_accept_rules(mapping, &pairs, facts, &mut problems);
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    let mut plan = MappingPlan {
        name: mapping.name.clone(),
        pairs,
        key_width,
        group,
        groups: if let Groups::About(groups) = groups { Some(groups) } else { None },
        accepts,
        order,
        sides,
        strategy,
        reason,
        partition,
        partition_reason,
        // Lengths and hashes mean the same only in one encoding.
        hashes_large_values: relations.any(|relation| relation.large)
            && servers.source.encoding == servers.target.encoding,
        chunk_rows: options.chunk_rows,
        params: spec.params.clone().into(),
        notes: Vec::new(),
    };
    plan.set_partition(partition);
    plan.notes = notes(&plan, relations, servers);
    Ok((plan, problems))
}

/// Makes a pair of two columns or expressions. The message of the problem is a clause.
fn make_pair(
    spec: &Spec,
    column_pair: &ColumnPair,
    types: &BySide<ColumnType>,
    servers: BySide<&Server>,
    in_key: bool,
) -> Result<Pair, Problem> {
    let searching = spec.sides.iter().find(|(_, side)| !side.search_path.is_empty());
    if let Some((side, _)) = searching
        && types.any(|t| t.pg_type.names_an_object())
    {
        let message = format!("names are written differently under the search_path of [{side}]");
        let hint = "Put the column into \"ignore\", or leave the search_path out.";
        return Err(Problem::new(message).with_hint(hint));
    }
    let settings = &column_pair.settings;
    let (form, tolerance) =
        choose_form(settings, &types.source, &types.target, column_pair.is_named)?;
    if in_key {
        check_key_pair(settings, form, tolerance.as_ref())?;
    }
    let form = match form {
        // A padded text has another order than the server's.
        CanonicalForm::As(Builtin::Bpchar) if in_key => CanonicalForm::Text,
        // A key whose order the client does not know is used as its text.
        form if in_key && form.key_field().is_none() => CanonicalForm::Rendered,
        form => form,
    };
    let in_utf8 = in_key && form.wire() == Builtin::Text && !key::order_alike(servers);
    let sides = BySide::new(|side| PairSide {
        expression: column_pair.sides[side].clone(),
        searched_raw: !in_utf8 && key::is_searched_raw(form, &types[side]),
        looked_up_raw: !in_utf8 && key::is_looked_up_raw(form, &types[side]),
        column_type: types[side].clone(),
    });
    let (name, settings) = (column_pair.name.clone(), settings.clone());
    Ok(Pair { name, form, settings, tolerance, in_utf8, sides })
}

fn type_of(column_pair: &ColumnPair, side: Side, facts: &Facts) -> ColumnType {
    let unknown = || ColumnType {
        display: "an unknown type".into(),
        pg_type: PgType::OtherBuiltin(0),
        modifier: -1,
        collation: Collation::None,
        collation_id: None,
    };
    let found = match &column_pair.sides[side] {
        Expression::Column(name) => facts.relation.column(name).map(|c| c.column_type.clone()),
        Expression::Sql(_) => facts.expressions.get(&column_pair.name).cloned(),
    };
    found.unwrap_or_else(unknown)
}

fn nullable(pair: &Pair, side: Side, relation: &Relation) -> bool {
    match &pair.sides[side].expression {
        Expression::Column(name) => !relation.column(name).is_some_and(|column| column.not_null),
        Expression::Sql(_) => true,
    }
}

/// Reports what the role may not read, and row-level security, which would hide rows in silence.
fn check_access(
    mapping: &Mapping,
    column_pairs: &[ColumnPair],
    relations: BySide<&Relation>,
    servers: BySide<&Server>,
    problems: &mut Vec<Diagnostic>,
) {
    for (side, relation) in relations.iter() {
        let Reads::Table(table) = &mapping.sides[side].reads else { continue };
        let (name, role) = (&table.value, &servers[side].role);
        if !relation.schema_usable {
            let message =
                format!("role \"{role}\" may not use schema \"{}\" of the {side}", name.schema);
            let hint = format!("GRANT USAGE ON SCHEMA {} TO {role};", name.schema);
            problems.push(Diagnostic::error(&table.span, message).with_hint(hint));
            continue;
        }
        let unreadable: Vec<&str> = column_pairs
            .iter()
            .filter_map(|pair| match &pair.sides[side] {
                Expression::Column(column) => relation.column(column),
                Expression::Sql(_) => None,
            })
            .filter(|column| !column.readable)
            .map(|column| column.name.0.as_str())
            .collect();
        if !unreadable.is_empty() {
            let message = format!(
                "role \"{role}\" may not read {side} columns {} of {name}",
                unreadable.join(", ")
            );
            let hint = format!("GRANT SELECT ON {name} TO {role};");
            problems.push(Diagnostic::error(&table.span, message).with_hint(hint));
        }
        if !relation.populated {
            let message = format!("materialized view {name} of the {side} has not been populated");
            let hint = format!("REFRESH MATERIALIZED VIEW {name};");
            problems.push(Diagnostic::error(&table.span, message).with_hint(hint));
        }
        if relation.row_security {
            let message = format!("row-level security hides rows of {name} from role \"{role}\"");
            let hint =
                format!("ALTER ROLE {role} BYPASSRLS; or connect as a role that sees every row.");
            problems.push(Diagnostic::error(&table.span, message).with_hint(hint));
        }
    }
}

fn notes(
    plan: &MappingPlan,
    relations: BySide<&Relation>,
    servers: BySide<&Server>,
) -> Vec<String> {
    let mut notes = Vec::new();
    for (side, side_plan) in plan.sides.iter() {
        if side_plan.key_proof.is_none() {
            notes.push(format!(
                "No unique index proves the key on the {side}: duplicates and NULLs are counted while scanning."
            ));
        }
        if side_plan.served_by.is_none() && plan.partition == Partition::Ranges {
            let text = plan.key().iter().any(|pair| {
                pair.form == CanonicalForm::Text
                    && pair.sides[side].column_type.collation == Collation::Linguistic
            });
            let why = match plan.key().iter().any(|pair| pair.in_utf8) {
                true => " in the byte order of UTF-8",
                false if text => " in the byte order of \"C\"",
                false => "",
            };
            let how = match (plan.strategy, plan.chunk_rows) {
                (Strategy::Stream, Some(_)) => "every chunk reads all of it",
                (Strategy::Stream, None) => "the server sorts all rows in one statement",
                (Strategy::Digest, _) => "all rows are digested in one statement",
            };
            let kind = side_plan.kind.name();
            notes.push(format!("No index of the {side}'s {kind} serves the key{why}: {how}."));
        }
    }
    for pair in plan.key().iter().filter(|pair| key::is_collated(pair)) {
        notes.push(format!(
            "Ranges of \"{}\" are in the order of a collation that both sides share.",
            pair.name
        ));
    }
    for pair in &plan.pairs {
        if pair.form == CanonicalForm::Float(Builtin::Float4)
            && pair.sides.any(|s| s.column_type.pg_type.base() == &PgType::Builtin(Builtin::Float8))
        {
            notes.push(format!("Pair \"{}\" is compared in float4, the narrower type.", pair.name));
        }
    }
    let same_server = servers.source.system_identifier.is_some()
        && servers.source.system_identifier == servers.target.system_identifier
        && servers.source.database == servers.target.database;
    if same_server && relations.source.oid.is_some() && relations.source.oid == relations.target.oid
    {
        notes.push("Source and target are the same table.".into());
    }
    notes
}
