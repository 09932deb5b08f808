//! One mapping's plan, put together from its spec and the facts about both sides.

use std::sync::Arc;

use super::accept::{AcceptRules, accept_rules, group_place};
use super::canonical_form::Canon;
use super::changed_at::changed_at;
use super::changed_since::since;
use super::column_pairs::{PairCandidate, pair, refuse_meeting};
use super::facts::{Facts, PlanOptions};
use super::pair::{Expression, Pair, PairSide};
use super::partition::Groups;
use super::side::SidePlan;
use super::strategy::{Strategy, choose};
use super::{Partition, common_type, key, partition, rule};
use crate::row::KeyOrder;
use crate::schema::{Builtin, BySide, Collation, ColumnType, PgType, Relation, Server, Side};
use crate::spec::{Diagnostic, Mapping, Param, Reads, Spec};

/// The first version that scans a range of blocks without reading the others.
const BLOCKS_SINCE: u32 = 140_000;

/// What will be done for one mapping.
#[derive(Clone, Debug)]
pub struct MappingPlan {
    /// Its name.
    pub name: String,
    /// All pairs, those of the key first.
    pub pairs: Vec<Pair>,
    /// How many of them make the key.
    pub key_width: usize,
    /// The pair by whose values rows are counted and judged apart, by place.
    pub group: Option<usize>,
    /// How many groups there are, by the statistics.
    pub groups: Option<u64>,
    /// Divergence that is agreed to.
    pub accepts: AcceptRules,
    /// The order of keys.
    pub order: KeyOrder,
    /// Each side.
    pub sides: BySide<SidePlan>,
    /// How rows are compared.
    pub strategy: Strategy,
    /// Why so.
    pub reason: String,
    /// How the rows are parted.
    pub partition: Partition,
    /// Why so.
    pub partition_reason: String,
    /// Whether large values are compared by their hash, so that no client has to hold them.
    pub folds: bool,
    /// Rows of a chunk, where they are fixed.
    pub chunk_rows: Option<u64>,
    /// Parameters of the operator's SQL.
    pub params: Arc<[Param]>,
    /// What is worth knowing, as sentences.
    pub notes: Vec<String>,
}

impl MappingPlan {
    /// The pairs that make the key.
    pub fn key(&self) -> &[Pair] {
        &self.pairs[..self.key_width]
    }

    /// The first pair of the key whose values no report tells: without them it names no row.
    pub fn redacted_key(&self) -> Option<&Pair> {
        self.key().iter().find(|pair| pair.terms.redact)
    }

    /// Returns whether any column is redacted.
    pub fn redacts(&self) -> bool {
        self.pairs.iter().any(|pair| pair.terms.redact)
    }

    /// The key in its order, as a text: key ranges of two plans mean the same rows only if it is the same.
    pub fn key_text(&self) -> String {
        let field = |pair: &Pair| {
            let collated = if key::is_collated(pair) { " as collated" } else { "" };
            format!("{} {}{collated}", pair.name, pair.wire().name())
        };
        self.key().iter().map(field).collect::<Vec<_>>().join(", ")
    }

    /// Parts the rows so, whatever was chosen.
    fn part(&mut self, partition: Partition) {
        self.partition = partition;
        for side in Side::BOTH {
            let side = &mut self.sides[side];
            // In which file rows lie is no matter to ranges.
            side.shape.filenode = side.file.filter(|_| partition == Partition::Buckets);
        }
    }

    /// Parts the rows as a run that was begun does. Not into buckets where nothing proves the key: what
    /// stands twice on both sides would not show.
    pub fn part_as(&mut self, begun: Partition) {
        if begun != self.partition && (begun == Partition::Ranges || self.key_proven()) {
            self.part(begun);
            self.partition_reason = "the run was begun so".to_owned();
        }
    }

    /// Rows of the larger side by the statistics.
    pub fn estimated_rows(&self) -> Option<u64> {
        self.sides.source.estimated_rows.max(self.sides.target.estimated_rows)
    }

    /// Rows that a comparison passes over, if that is known.
    pub fn expected_rows(&self) -> Option<u64> {
        // Nobody knows how many have changed lately.
        self.estimated_rows().filter(|_| !self.since_indexed())
    }

    /// Whether an index of each side serves key ranges.
    pub fn served(&self) -> bool {
        self.sides.all(|side| side.served_by.is_some())
    }

    /// Chunks that a scan would take, if the statistics know of rows. Where chunks are sized by time,
    /// half a second is taken to be 250,000 rows of ordinary width.
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

    /// Whether only keys are looked at whose row changed lately.
    pub fn looks_since(&self) -> bool {
        self.sides.source.since.is_some()
    }

    /// Whether indexes of both sides find what changed lately.
    pub fn since_indexed(&self) -> bool {
        self.sides.all(|side| side.since.as_ref().is_some_and(|since| since.indexed))
    }

    /// Whether neither duplicates nor NULLs can stand in a side's key.
    pub fn key_proven(&self) -> bool {
        self.sides.all(|side| side.key_proof.is_some())
    }
}

/// Plans one mapping.
///
/// # Errors
/// Every problem found, with its place in the spec; warnings come with the plan otherwise.
pub fn plan_mapping(
    spec: &Spec,
    mapping: &Mapping,
    servers: BySide<&Server>,
    facts: BySide<&Facts>,
    options: PlanOptions,
) -> Result<(MappingPlan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let relations = facts.map(|facts| &facts.relation);
    let candidates = pair(mapping, relations, &mut problems);
    check_access(mapping, &candidates, relations, servers, &mut problems);
    let key = key::choose(mapping, &candidates, relations.target)
        .map_err(|problem| problems.push(problem));
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    let key = key.unwrap_or_default();
    let mut key_pairs = Vec::new();
    let mut other_pairs = Vec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        let in_key = key.iter().position(|pair| *pair == place);
        match make_pair(spec, candidate, facts, servers, in_key.is_some()) {
            Ok(pair) => match in_key {
                Some(order) => key_pairs.push((order, pair)),
                None => other_pairs.push(pair),
            },
            Err((types, refusal)) => {
                refuse_meeting(
                    candidate,
                    types.as_ref().map(String::as_str),
                    refusal,
                    &mut problems,
                );
            }
        }
    }
    let tolerant = candidates.iter().find(|pair| pair.terms.tolerance.is_some());
    let tolerant = tolerant.map(|pair| pair.name.as_str());
    let chosen = choose(options.strategy, servers, tolerant).map_err(|why| {
        let message = format!("the strategy \"digest\" cannot be had: {why}");
        let problem = Diagnostic::error(&mapping.span, message);
        problems.push(problem.hinted("Use strategy \"stream\", which compares the rows here."));
    });
    let Ok((strategy, reason)) = chosen else { return Err(problems) };
    if problems.iter().any(Diagnostic::is_error) {
        return Err(problems);
    }
    key_pairs.sort_by_key(|(order, _)| *order);
    let mut pairs: Vec<Pair> = key_pairs.into_iter().map(|(_, pair)| pair).collect();
    let rows = relations.map(|relation| relation.estimated_rows.unwrap_or(0));
    let collated = key::share_collations(&mut pairs);
    let mut served_by = key::order(&mut pairs, relations, rows);
    if collated && served_by.any(Option::is_none) {
        key::unshare_collations(&mut pairs);
        served_by = key::order(&mut pairs, relations, rows);
    }
    let key_width = pairs.len();
    let order = KeyOrder(pairs.iter().filter_map(key::field).collect());
    let mut changed =
        BySide::new(|side| changed_at(mapping, side, facts[side], &candidates, &mut problems));
    let mut since = since(mapping, facts, &mut problems);
    let by_blocks = |side: Side| relations[side].heap && servers[side].version >= BLOCKS_SINCE;
    let sides = BySide::new(|side| SidePlan {
        reads: mapping.sides[side].reads.clone(),
        only: mapping.sides[side].only,
        filter: mapping.sides[side].filter.clone(),
        search_path: spec.sides[side].search_path.clone(),
        kind: relations[side].kind,
        estimated_rows: relations[side].estimated_rows,
        key_proof: key::proof(relations[side], side, &pairs),
        key_nullable: pairs.iter().any(|pair| nullable(pair, side, relations[side])),
        served_by: served_by[side].clone(),
        by_blocks: by_blocks(side),
        shape: facts[side].shape.clone(),
        file: facts[side].shape.filenode.filter(|_| by_blocks(side)),
        changed_at: changed[side].take(),
        since: since[side].take(),
    });
    let scattered = BySide::new(|side| key::scattered(pairs.first(), side, relations[side]));
    let fixed = options.chunk_rows.is_some() || options.sampled || options.sliced;
    let groups = partition::groups(mapping, &candidates, relations);
    let (partition, partition_reason) =
        partition::choose(strategy, &sides, scattered, fixed, groups);
    let (partition, partition_reason) = match &sides.source.since {
        Some(_) => (Partition::Ranges, "only what changed lately is looked at".to_owned()),
        None => (partition, partition_reason),
    };
    if options.sampled && sides.any(|side| side.served_by.is_none()) {
        let message =
            format!("mapping \"{}\" cannot be sampled: no index serves its key", mapping.name);
        let hint = "A sample takes key ranges, which an index of each side has to find.";
        problems.push(Diagnostic::error(&mapping.span, message).hinted(hint));
        return Err(problems);
    }
    pairs.extend(other_pairs);
    let group = group_place(mapping, &pairs, &mut problems);
    let accepts = accept_rules(mapping, &pairs, facts, &mut problems);
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
        folds: relations.any(|relation| relation.large)
            && servers.source.encoding == servers.target.encoding,
        chunk_rows: options.chunk_rows,
        params: spec.params.clone().into(),
        notes: Vec::new(),
    };
    plan.part(partition);
    plan.notes = notes(&plan, relations, servers);
    Ok((plan, problems))
}

type NoMeeting = (BySide<String>, common_type::Refusal);

fn make_pair(
    spec: &Spec,
    candidate: &PairCandidate,
    facts: BySide<&Facts>,
    servers: BySide<&Server>,
    in_key: bool,
) -> Result<Pair, NoMeeting> {
    let types = BySide::new(|side| type_of(candidate, side, facts[side]));
    let refused = |refusal| (types.as_ref().map(|t| t.display.clone()), refusal);
    let searching = spec.sides.iter().find(|(_, side)| !side.search_path.is_empty());
    if let Some((side, _)) = searching
        && types.any(|t| t.pg_type.names_an_object())
    {
        return Err(refused(common_type::Refusal {
            why: format!("names are written otherwise under the search_path of [{side}]"),
            hint: "Put the column into \"ignore\", or leave the search_path out.".to_owned(),
        }));
    }
    let terms = &candidate.terms;
    let (canon, leeway) =
        rule::agree(terms, &types.source, &types.target, candidate.asked).map_err(refused)?;
    if in_key {
        rule::in_key(terms, canon, leeway.as_ref()).map_err(refused)?;
    }
    let canon = match canon {
        // Padded, it is not ordered as the server orders it.
        Canon::As(Builtin::Bpchar) if in_key => Canon::Text,
        // A key whose order the client cannot tell is used as its text.
        canon if in_key && canon.key_field().is_none() => Canon::Rendered,
        canon => canon,
    };
    let in_utf8 = in_key && canon.wire() == Builtin::Text && !key::order_alike(servers);
    let sides = BySide::new(|side| PairSide {
        expression: candidate.sides[side].clone(),
        searched_raw: !in_utf8 && key::searched_raw(canon, &types[side]),
        looked_up_raw: !in_utf8 && key::looked_up_raw(canon, &types[side]),
        column_type: types[side].clone(),
    });
    let (name, terms) = (candidate.name.clone(), terms.clone());
    Ok(Pair { name, canon, terms, leeway, in_utf8, sides })
}

fn type_of(candidate: &PairCandidate, side: Side, facts: &Facts) -> ColumnType {
    let unknown = || ColumnType {
        display: "an unknown type".into(),
        pg_type: PgType::OtherBuiltin(0),
        modifier: -1,
        collation: Collation::None,
        collation_id: None,
    };
    let found = match &candidate.sides[side] {
        Expression::Column(name) => facts.relation.column(name).map(|c| c.column_type.clone()),
        Expression::Sql(_) => facts.expressions.get(&candidate.name).cloned(),
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
    candidates: &[PairCandidate],
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
            problems.push(Diagnostic::error(&table.span, message).hinted(hint));
            continue;
        }
        let unreadable: Vec<&str> = candidates
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
            problems.push(Diagnostic::error(&table.span, message).hinted(hint));
        }
        if !relation.populated {
            let message = format!("materialized view {name} of the {side} has not been populated");
            let hint = format!("REFRESH MATERIALIZED VIEW {name};");
            problems.push(Diagnostic::error(&table.span, message).hinted(hint));
        }
        if relation.row_security {
            let message = format!("row-level security hides rows of {name} from role \"{role}\"");
            let hint =
                format!("ALTER ROLE {role} BYPASSRLS; or connect as a role that sees every row.");
            problems.push(Diagnostic::error(&table.span, message).hinted(hint));
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
                pair.canon == Canon::Text
                    && pair.sides[side].column_type.collation == Collation::Linguistic
            });
            let why = match plan.key().iter().any(|pair| pair.in_utf8) {
                true => " in the byte order of UTF-8",
                false if text => " in the byte order of \"C\"",
                false => "",
            };
            let how = match (plan.strategy, plan.chunk_rows) {
                (Strategy::Stream, Some(_)) => "every chunk reads the whole of it",
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
        if pair.canon == Canon::Float(Builtin::Float4)
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
