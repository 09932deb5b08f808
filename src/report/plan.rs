//! A plan: as a record for programs, as an outline for people.

use std::io::{self, Write};

use serde::Serialize;

use crate::plan::{AcceptRule, DigestForm, Expression, MappingPlan, Pair, SidePlan};
use crate::schema::{BySide, Server, Side};
use crate::spec::{Fragment, FragmentPart, Reads, printable};
use crate::text::wrap;

/// Lines are not wrapped to less.
const MIN_WIDTH: usize = 31;

/// A spec's plan.
#[derive(Debug, Serialize)]
pub struct PlanRecord {
    spec: String,
    source: ServerRecord,
    target: ServerRecord,
    mappings: Vec<MappingPlanRecord>,
}

#[derive(Debug, Serialize)]
struct ServerRecord {
    version: String,
    database: String,
    role: String,
    standby: bool,
}

#[derive(Debug, Serialize)]
struct MappingPlanRecord {
    mapping: String,
    strategy: &'static str,
    reason: String,
    partition: &'static str,
    partition_reason: String,
    key: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_by: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accept: Vec<AcceptRecord>,
    rows: BySide<Option<u64>>,
    chunk_rows: Option<u64>,
    chunks: Option<u64>,
    source: SideRecord,
    target: SideRecord,
    pairs: Vec<PairRecord>,
    not_repaired: BySide<Vec<String>>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AcceptRecord {
    side: &'static str,
    r#where: String,
    kinds: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<Vec<String>>,
    reason: String,
    until: String,
}

#[derive(Debug, Serialize)]
struct SideRecord {
    reads: String,
    kind: &'static str,
    r#where: Option<String>,
    search_path: Vec<String>,
    key_proven_by: Option<String>,
    key_served_by: Option<String>,
}

#[derive(Debug, Serialize)]
struct PairRecord {
    pair: String,
    key: bool,
    source: PairSideRecord,
    target: PairSideRecord,
    canon: String,
    hashed_as: &'static str,
    rule: String,
    tolerance: Option<String>,
    redacted: bool,
    #[serde(skip)]
    terms: String,
}

#[derive(Debug, Serialize)]
struct PairSideRecord {
    expression: String,
    r#type: String,
}

impl PlanRecord {
    /// Makes the record of a spec's plans.
    pub fn new(spec: &str, servers: BySide<&Server>, plans: &[MappingPlan]) -> PlanRecord {
        let server = |server: &Server| ServerRecord {
            version: server.version_text(),
            database: server.database.clone(),
            role: server.role.clone(),
            standby: server.standby,
        };
        PlanRecord {
            spec: spec.to_owned(),
            source: server(servers.source),
            target: server(servers.target),
            mappings: plans.iter().map(mapping_record).collect(),
        }
    }
}

fn mapping_record(plan: &MappingPlan) -> MappingPlanRecord {
    let names = |pairs: Vec<&Pair>| pairs.into_iter().map(|pair| pair.name.clone()).collect();
    let is_sql =
        |pair: &Pair, side: Side| matches!(pair.sides[side].expression, Expression::Sql(_));
    // A repair of the target cannot write pairs that are expressions there; one of the source,
    // pairs that are expressions on either side.
    let not_repaired = BySide {
        source: plan
            .pairs
            .iter()
            .filter(|p| is_sql(p, Side::Source) || is_sql(p, Side::Target))
            .collect(),
        target: plan.pairs.iter().filter(|p| is_sql(p, Side::Target)).collect(),
    };
    MappingPlanRecord {
        mapping: plan.name.clone(),
        strategy: plan.strategy.name(),
        reason: plan.reason.clone(),
        partition: plan.partition.name(),
        partition_reason: plan.partition_reason.clone(),
        key: names(plan.key().iter().collect()),
        group_by: plan.group.map(|place| plan.pairs[place].name.clone()),
        accept: plan.accepts.live.iter().map(|rule| accept_record(plan, rule)).collect(),
        rows: plan.sides.as_ref().map(|side| side.estimated_rows),
        chunk_rows: plan.chunk_rows,
        chunks: plan.estimated_chunks(),
        source: side_record(&plan.sides.source),
        target: side_record(&plan.sides.target),
        pairs: plan
            .pairs
            .iter()
            .enumerate()
            .map(|(at, pair)| pair_record(pair, at < plan.key_width))
            .collect(),
        not_repaired: not_repaired.map(names),
        notes: plan.notes.clone(),
    }
}

fn accept_record(plan: &MappingPlan, rule: &AcceptRule) -> AcceptRecord {
    let name = |place: &usize| plan.pairs[*place].name.clone();
    AcceptRecord {
        side: rule.side.name(),
        r#where: fragment_text(&rule.condition),
        kinds: rule.kinds.iter().map(|kind| kind.name()).collect(),
        columns: rule.columns.as_ref().map(|columns| columns.iter().map(name).collect()),
        reason: rule.reason.clone(),
        until: rule.until.to_string(),
    }
}

fn side_record(side: &SidePlan) -> SideRecord {
    SideRecord {
        reads: match &side.reads {
            Reads::Table(table) if side.only => format!("only {}", table.value),
            Reads::Table(table) => table.value.to_string(),
            Reads::Query(query) => fragment_text(query),
        },
        kind: side.kind.name(),
        r#where: side.filter.as_ref().map(fragment_text),
        search_path: side.search_path.iter().map(ToString::to_string).collect(),
        key_proven_by: side.key_proof.clone(),
        key_served_by: side.served_by.clone(),
    }
}

fn pair_record(pair: &Pair, key: bool) -> PairRecord {
    let side = |side: Side| PairSideRecord {
        expression: match &pair.sides[side].expression {
            Expression::Column(name) => name.to_string(),
            Expression::Sql(fragment) => fragment_text(fragment),
        },
        r#type: pair.sides[side].column_type.display.clone(),
    };
    PairRecord {
        pair: pair.name.clone(),
        key,
        source: side(Side::Source),
        target: side(Side::Target),
        canon: pair.form.describe(),
        hashed_as: match pair.form.digest_form() {
            DigestForm::Native => pair.form.wire().name(),
            DigestForm::Send(function) => function,
        },
        rule: pair.settings.rule().to_string(),
        tolerance: pair.settings.tolerance.as_ref().map(|tolerance| tolerance.value.clone()),
        redacted: pair.settings.redact,
        terms: pair.settings.to_string(),
    }
}

/// Returns a fragment as the spec has it.
fn fragment_text(fragment: &Fragment) -> String {
    let written = |part: &FragmentPart| match part {
        FragmentPart::Sql(sql) => sql.clone(),
        FragmentPart::Param(name) => format!(":{name}"),
    };
    fragment.parts().iter().map(written).collect::<String>().trim().to_owned()
}

/// Writes a plan for people, in lines of at most `width` columns where they can be wrapped.
///
/// # Errors
/// When it cannot be written.
pub fn write_plan(out: &mut impl Write, plan: &PlanRecord, width: u16) -> io::Result<()> {
    let server = |server: &ServerRecord| {
        let standby = if server.standby { ", a standby" } else { "" };
        format!(
            "PostgreSQL {}, database {} as {}{standby}",
            server.version, server.database, server.role
        )
    };
    writeln!(out, "{}", printable(&plan.spec))?;
    writeln!(out, "  source   {}", printable(&server(&plan.source)))?;
    writeln!(out, "  target   {}", printable(&server(&plan.target)))?;
    for mapping in &plan.mappings {
        writeln!(out)?;
        write_mapping(out, mapping, usize::from(width))?;
    }
    writeln!(out)
}

fn write_mapping(out: &mut impl Write, plan: &MappingPlanRecord, width: usize) -> io::Result<()> {
    writeln!(out, "{}", printable(&plan.mapping))?;
    let mut line = |name: &str, text: &str| write_wrapped(out, name, &to_one_line(text), width);
    line("source", &format!("{} {}", plan.source.kind, plan.source.reads))?;
    line("target", &format!("{} {}", plan.target.kind, plan.target.reads))?;
    for (side, filter) in [("source", &plan.source.r#where), ("target", &plan.target.r#where)] {
        if let Some(filter) = filter {
            line("where", &format!("of the {side}: {filter}"))?;
        }
    }
    line("strategy", &format!("{}: {}", plan.strategy, plan.reason))?;
    line("key", &format!("{}; {}", plan.key.join(", "), describe_key(plan)))?;
    if let Some(pair) = &plan.group_by {
        line("groups", &format!("by {pair}"))?;
    }
    for rule in &plan.accept {
        line("accept", &describe_accept(rule))?;
    }
    line("rows", &describe_rows(plan))?;
    line("chunks", &describe_chunks(plan))?;
    line("repair", &describe_repair(plan))?;
    for note in &plan.notes {
        line("note", note)?;
    }
    writeln!(out, "  pairs")?;
    for pair in &plan.pairs {
        let side = |side: &PairSideRecord| format!("{} {}", side.expression, side.r#type);
        let key = if pair.key { " (key)" } else { "" };
        let PairRecord { source, target, canon, .. } = pair;
        let mut text =
            format!("{}{key}: {} = {}, as {canon}", pair.pair, side(source), side(target));
        if !pair.terms.is_empty() {
            text = format!("{text}; {}", pair.terms);
        }
        write_wrapped(out, "", &to_one_line(&text), width)?;
    }
    Ok(())
}

fn describe_key(plan: &MappingPlanRecord) -> String {
    let side = |name: &str, side: &SideRecord| match &side.key_proven_by {
        Some(index) => format!("proven by {index} on the {name}"),
        None => format!("not proven on the {name}"),
    };
    format!("{}, {}", side("source", &plan.source), side("target", &plan.target))
}

fn describe_accept(rule: &AcceptRecord) -> String {
    let AcceptRecord { side, kinds, columns, reason, until, .. } = rule;
    let columns =
        columns.as_ref().map_or(String::new(), |names| format!(" in {}", names.join(", ")));
    let kinds = kinds.join(", ");
    format!("{kinds}{columns} where of the {side}: {}; until {until}: {reason}", rule.r#where)
}

fn describe_rows(plan: &MappingPlanRecord) -> String {
    let side = |rows: Option<u64>| {
        rows.map_or("an unknown number".to_owned(), |rows| format!("about {rows}"))
    };
    format!("{} in the source, {} in the target", side(plan.rows.source), side(plan.rows.target))
}

fn describe_chunks(plan: &MappingPlanRecord) -> String {
    let served = [&plan.source, &plan.target].iter().all(|side| side.key_served_by.is_some());
    let count = plan.chunks.map_or(String::new(), |chunks| format!("about {chunks}, "));
    let how = match (plan.chunk_rows, served) {
        _ if plan.partition == "buckets" => {
            "one scan of each table by blocks, into buckets by the hash of the key".to_owned()
        }
        (_, false) if plan.strategy == "digest" => "one statement for each side".to_owned(),
        (Some(rows), _) => format!("{count}key ranges of {rows} rows"),
        (None, _) => format!("{count}key ranges sized by the time that they take"),
    };
    format!("{how}: {}", plan.partition_reason)
}

fn describe_repair(plan: &MappingPlanRecord) -> String {
    let side = |side: Side| match (plan.not_repaired[side].as_slice(), side) {
        ([], _) => format!("into the {side} every pair"),
        (names, Side::Target) => format!("into the {side} all but {}", names.join(", ")),
        (names, Side::Source) => {
            format!("into the {side} refused: {} go through expressions", names.join(", "))
        }
    };
    format!("{}; {}", side(Side::Target), side(Side::Source))
}

/// Returns a text whose line breaks and runs of blanks are single blanks.
fn to_one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Writes a name with a text behind it, in wrapped lines.
fn write_wrapped(out: &mut impl Write, name: &str, text: &str, width: usize) -> io::Result<()> {
    let lines = wrap(&format!("  {name:<8} "), text, width.max(MIN_WIDTH));
    lines.iter().try_for_each(|line| writeln!(out, "{line}"))
}
