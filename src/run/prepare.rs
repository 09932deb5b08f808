//! Connects to both sides, asks what has to be known, and plans every mapping. No table row is read.

use std::collections::BTreeMap;
use std::fmt;

use super::Options;
use super::pace::allowed;
use super::retried::retried;
use crate::pg::{Catalog, Lease, PgError, Pool, Remedy, Session};
use crate::plan::{
    Facts, InZone, MappingPlan, PlanOptions, depends_on_zone, may_depend_on_zone, plan_mapping,
};
use crate::schema::{BySide, Column, ColumnName, Relation, RelationKind, Server, Shape, Side};
use crate::spec::{Diagnostic, Fragment, Mapping, Param, Reads, SideMapping, Spec, did_you_mean};

/// A spec that can be run: both servers known, every mapping planned.
pub struct Prepared {
    /// The spec.
    pub spec: Spec,
    /// What the servers are.
    pub servers: BySide<Server>,
    /// Their connections.
    pub pools: BySide<Pool>,
    /// The plans, in the spec's order.
    pub plans: Vec<MappingPlan>,
    /// What is worth knowing and has a place in the spec.
    pub warnings: Vec<Diagnostic>,
}

/// Why a spec cannot be run.
#[derive(Debug)]
pub enum Trouble {
    /// Problems with places in the spec.
    Spec(Vec<Diagnostic>),
    /// A server that cannot be talked to, and what was known of its connection before.
    Server(Side, PgError, Vec<Diagnostic>),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Spec(problems) => write!(f, "{} problems in the spec", problems.len()),
            Trouble::Server(side, error, _) => write!(f, "the {side}: {error}"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Prepares a spec.
///
/// # Errors
/// Every problem of every mapping at once, or the first server that cannot be talked to.
pub async fn prepare(spec: Spec, options: &Options) -> Result<Prepared, Trouble> {
    let application_name = format!("pgreconcile/{}", spec.name);
    let pool = |side: Side| {
        Pool::new(spec.sides[side].url.value.expose(), &application_name, options.jobs)
            .map_err(|error| Trouble::Spec(vec![at_url(&spec, side, &error)]))
    };
    let pools = BySide::try_new(pool)?;
    let (source, target) = tokio::join!(
        ask_side(&spec, Side::Source, &pools.source, options),
        ask_side(&spec, Side::Target, &pools.target, options)
    );
    let mut problems = Vec::new();
    let mut answers = Vec::new();
    for (side, answer) in [(Side::Source, source), (Side::Target, target)] {
        match answer {
            Ok((server, facts, found)) => {
                for problem in found {
                    // What is wrong with a parameter's value, both sides say.
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                }
                answers.push((server, facts));
            }
            Err(error) => {
                let known = pool_warnings(&spec, side, &pools[side]).collect();
                return Err(Trouble::Server(side, error, known));
            }
        }
    }
    problems.extend(unknown_mappings(&spec, options));
    let Ok([(source, source_facts), (target, target_facts)]) = <[_; 2]>::try_from(answers) else {
        return Err(Trouble::Spec(problems));
    };
    let servers = BySide { source, target };
    problems.extend(allowed::limits(&spec, &servers, options.settle));
    let plan_options = PlanOptions {
        strategy: options.strategy,
        chunk_rows: options.chunk_rows,
        sampled: options.sample.is_some(),
        sliced: options.slice,
    };
    let mut plans = Vec::new();
    let facts = source_facts.iter().zip(&target_facts);
    for (mapping, (source, target)) in chosen(&spec, options).zip(facts) {
        let (Some(source), Some(target)) = (source, target) else { continue };
        let facts = BySide { source, target };
        match plan_mapping(&spec, mapping, servers.as_ref(), facts, plan_options) {
            Ok((plan, warnings)) => {
                plans.push(plan);
                problems.extend(warnings);
            }
            Err(found) => problems.extend(found),
        }
    }
    if problems.iter().any(Diagnostic::is_error) {
        return Err(Trouble::Spec(problems));
    }
    problems.extend(side_warnings(&spec, &pools, &servers));
    problems.extend(expired_rules(&spec, options));
    Ok(Prepared { spec, servers, pools, plans, warnings: problems })
}

/// The mappings that are asked for.
fn chosen<'s>(spec: &'s Spec, options: &Options) -> impl Iterator<Item = &'s Mapping> {
    let names = options.mappings.clone();
    spec.mappings.iter().filter(move |mapping| names.is_empty() || names.contains(&mapping.name))
}

fn unknown_mappings(spec: &Spec, options: &Options) -> Vec<Diagnostic> {
    let known = || spec.mappings.iter().map(|mapping| mapping.name.as_str());
    let unknown = options.mappings.iter().filter(|name| !known().any(|known| known == **name));
    unknown
        .map(|name| {
            let message = format!("the spec has no mapping \"{name}\"");
            let hint = match did_you_mean(name, known()) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("Its mappings are {}.", known().collect::<Vec<_>>().join(", ")),
            };
            Diagnostic::error(&spec.name_span, message).hinted(hint)
        })
        .collect()
}

/// Accept rules that count for nothing any more.
fn expired_rules(spec: &Spec, options: &Options) -> Vec<Diagnostic> {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let rules = chosen(spec, options).flat_map(|mapping| &mapping.accepts);
    rules
        .filter(|rule| rule.until < today)
        .map(|rule| {
            let message = format!("an accept rule has expired on {}", rule.until);
            Diagnostic::warning(&rule.span, message)
                .hinted("It counts for nothing: agree to it again, or take it out.")
        })
        .collect()
}

fn at_url(spec: &Spec, side: Side, error: &PgError) -> Diagnostic {
    let message = format!("the connection of the {side} cannot be used: {error}");
    let problem = Diagnostic::error(&spec.sides[side].url.span, message);
    match &error.hint {
        Some(hint) => problem.hinted(hint),
        None => problem,
    }
}

fn side_warnings(spec: &Spec, pools: &BySide<Pool>, servers: &BySide<Server>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for side in Side::BOTH {
        warnings.extend(pool_warnings(spec, side, &pools[side]));
    }
    // Once for both sides: it is one thing to know, and one to do.
    let mighty: Vec<Side> =
        Side::BOTH.into_iter().filter(|side| servers[*side].overprivileged).collect();
    if let Some(first) = mighty.first() {
        let role = |side: &Side| format!("\"{}\" of the {side}", servers[*side].role);
        let roles = mighty.iter().map(role).collect::<Vec<_>>().join(" and ");
        let word = if mighty.len() == 1 { "role" } else { "roles" };
        let message = format!("{word} {roles} may do more than read");
        let hint =
            "Read-only transactions do not bind a superuser; CONNECT, USAGE, SELECT suffice.";
        warnings.push(Diagnostic::warning(&spec.sides[*first].url.span, message).hinted(hint));
    }
    warnings
}

/// What was noticed in a connection string and in the files that it leads to.
fn pool_warnings(spec: &Spec, side: Side, pool: &Pool) -> impl Iterator<Item = Diagnostic> {
    let span = &spec.sides[side].url.span;
    pool.warnings.iter().map(|text| Diagnostic::warning(span, text))
}

type Answer = (Server, Vec<Option<Facts>>, Vec<Diagnostic>);

/// Everything that one side has to say, mapping by mapping. A server that is not there at all is reported
/// at once; what may pass is tried again, with a new connection.
async fn ask_side(
    spec: &Spec,
    side: Side,
    pool: &Pool,
    options: &Options,
) -> Result<Answer, PgError> {
    let mut first = match pool.lease().await {
        Err(error) if error.sqlstate.is_none() => return Err(error),
        first => Some(first),
    };
    retried(async || {
        let lease = match first.take() {
            Some(first) => first?,
            None => pool.lease().await?,
        };
        let answer = ask_through(spec, side, &lease, options).await;
        lease.give_back().await;
        answer
    })
    .await
}

async fn ask_through(
    spec: &Spec,
    side: Side,
    lease: &Lease,
    options: &Options,
) -> Result<Answer, PgError> {
    let timeout = options.statement_timeout;
    let catalog = Catalog {
        lease,
        own: Session::new(&[], timeout),
        operators: Session::new(&spec.sides[side].search_path, timeout),
        params: &spec.params,
        side,
    };
    let server = lease.server(&catalog.own).await?;
    let mut problems = Vec::new();
    for param in &spec.params {
        if !catalog.reads(param).await? {
            let Param { name, type_name, span, .. } = param;
            let message = format!("the value of parameter \"{name}\" is no {type_name}");
            let hint = "Write it as PostgreSQL does, for example \"{1,2}\" for an array.";
            problems.push(Diagnostic::error(span, message).hinted(hint));
        }
    }
    let moment = match &options.since {
        Some(since) => Some(lease.moment(&catalog.own, since.time).await?),
        None => None,
    };
    let mut facts = Vec::new();
    for mapping in chosen(spec, options) {
        facts.push(ask_mapping(&catalog, mapping, &server, moment.as_ref(), &mut problems).await?);
    }
    Ok((server, facts, problems))
}

/// One mapping's relation and expressions; nothing if there is a problem with them.
async fn ask_mapping(
    catalog: &Catalog<'_>,
    mapping: &Mapping,
    server: &Server,
    moment: Option<&String>,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Facts>, PgError> {
    let settings = &mapping.sides[catalog.side];
    let Some(shape) = ask_shape(catalog, &settings.reads, problems).await? else {
        return Ok(None);
    };
    let Some(relation) = ask_relation(catalog, settings, server, problems).await? else {
        return Ok(None);
    };
    if !relation.schema_usable {
        // The plan says so, with the grant that is missing; expressions would only fail again.
        let (expressions, accepts, changed_at, moment) = Default::default();
        return Ok(Some(Facts { shape, relation, expressions, accepts, changed_at, moment }));
    }
    let before = problems.len();
    if let Some(filter) = &settings.filter {
        match catalog.expression(&settings.reads, filter).await {
            Ok(found) if found.display == "boolean" => {}
            Ok(found) => {
                let message = format!(
                    "\"where\" of the {} gives {}, not a condition",
                    catalog.side, found.display
                );
                problems.push(Diagnostic::error(filter.span(), message));
            }
            Err(error) => problems.push(at_fragment(catalog.side, filter, error)?),
        }
    }
    let mut expressions = BTreeMap::new();
    for rule in &mapping.columns {
        let Some(fragment) = rule.fragment(catalog.side) else { continue };
        match catalog.expression(&settings.reads, fragment).await {
            Ok(found) => drop(expressions.insert(rule.pair.value.clone(), found)),
            Err(error) => problems.push(at_fragment(catalog.side, fragment, error)?),
        }
    }
    let mut accepts = Vec::new();
    for rule in &mapping.accepts {
        accepts.push(ask_condition(catalog, &settings.reads, &rule.condition).await?);
    }
    let changed_at = match (&settings.reads, &settings.changed_at) {
        (Reads::Table(table), Some(column)) => catalog.spread(&table.value, &column.value).await?,
        _ => Vec::new(),
    };
    if problems.len() > before {
        return Ok(None);
    }
    let expressions_of = mapping.columns.iter().filter_map(|rule| rule.fragment(catalog.side));
    let fragments = settings.filter.iter().chain(expressions_of);
    for fragment in fragments.chain(mapping.accepts.iter().map(|rule| &rule.condition)) {
        problems.extend(ask_zone(catalog, &settings.reads, &relation, fragment).await?);
    }
    let moment = moment.cloned();
    Ok(Some(Facts { shape, relation, expressions, accepts, changed_at, moment }))
}

/// Says so if the operator's SQL casts a column in the time zone of the session.
async fn ask_zone(
    catalog: &Catalog<'_>,
    reads: &Reads,
    relation: &Relation,
    fragment: &Fragment,
) -> Result<Option<Diagnostic>, PgError> {
    let side = catalog.side;
    let named = relation.columns.iter().filter(|column| fragment.mentions(&column.name.0));
    let named: Vec<Column> = named.cloned().collect();
    if !may_depend_on_zone(&named) {
        return Ok(None);
    }
    let names: Vec<&ColumnName> = named.iter().map(|column| &column.name).collect();
    let told = match catalog.told(reads, &names, fragment).await {
        Ok(told) => told,
        // Of the other side's condition, or of SQL that needs more of the row, nothing is said.
        Err(error) if error.sqlstate.is_some() && error.remedy == Remedy::GiveUp => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let warning = depends_on_zone(&told, side, &named).map(|InZone { column, made }| {
        let message = format!("{made} of {side} column \"{column}\" is taken in UTC");
        let hint = "TimeZone is pinned: say \"at time zone\" with the zone that is meant.";
        Diagnostic::warning(fragment.span(), message).hinted(hint)
    });
    Ok(warning)
}

/// Why this side does not take a condition; nothing if it does.
async fn ask_condition(
    catalog: &Catalog<'_>,
    reads: &Reads,
    condition: &Fragment,
) -> Result<Option<Diagnostic>, PgError> {
    let side = catalog.side;
    match catalog.expression(reads, condition).await {
        Ok(found) if found.display == "boolean" => Ok(None),
        Ok(found) => {
            let message = format!("\"where\" gives {}, not a condition", found.display);
            Ok(Some(Diagnostic::error(condition.span(), message)))
        }
        Err(error) => at_fragment(side, condition, error).map(Some),
    }
}

/// Before anything else is asked: what changes between the answers is noticed when rows are read.
async fn ask_shape(
    catalog: &Catalog<'_>,
    reads: &Reads,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Shape>, PgError> {
    let Catalog { lease, own, operators, params, side } = catalog;
    match (lease.shape(own, operators, reads, params).await, reads) {
        (Ok(shape), _) => Ok(Some(shape)),
        (Err(error), Reads::Query(query)) => {
            problems.push(at_fragment(*side, query, error)?);
            Ok(None)
        }
        (Err(error), Reads::Table(_)) => Err(error),
    }
}

async fn ask_relation(
    catalog: &Catalog<'_>,
    settings: &SideMapping,
    server: &Server,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<Relation>, PgError> {
    let table = match &settings.reads {
        Reads::Table(table) => table,
        Reads::Query(query) => {
            return match catalog.query(query).await {
                Ok(relation) => Ok(Some(relation)),
                Err(error) => {
                    problems.push(at_fragment(catalog.side, query, error)?);
                    Ok(None)
                }
            };
        }
    };
    let found = catalog.table(&table.value, settings.only).await?;
    if found.is_none() {
        let (side, database) = (catalog.side, &server.database);
        let message =
            format!("the {side} has no table \"{}\" in database \"{database}\"", table.value);
        let names = catalog.names_beside(&table.value).await?;
        let hint = match did_you_mean(&table.value.name, names.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean \"{}.{near}\"?", table.value.schema),
            None if names.is_empty() => {
                format!(
                    "Schema \"{}\" has no tables here; check the name and the database.",
                    table.value.schema
                )
            }
            None => "Check the name; unquoted parts fold to lower case.".to_owned(),
        };
        problems.push(Diagnostic::error(&table.span, message).hinted(hint));
    }
    let partitioned = found.as_ref().is_some_and(|found| found.kind == RelationKind::Partitioned);
    if settings.only && partitioned {
        let message = format!("\"only\" leaves nothing of partitioned table {}", table.value);
        let hint = "All its rows stand in its partitions: leave \"only\" out, or name a partition.";
        problems.push(Diagnostic::error(&table.span, message).hinted(hint));
        return Ok(None);
    }
    Ok(found)
}

/// What the server says of the operator's SQL, at its place; an error that is not about the SQL goes on.
fn at_fragment(side: Side, fragment: &Fragment, error: PgError) -> Result<Diagnostic, PgError> {
    let about_sql = error.sqlstate.as_ref().is_some_and(|code| {
        ["42", "22", "0A", "21", "3F", "P0"].iter().any(|class| code.starts_with(class))
    });
    if !about_sql {
        return Err(error);
    }
    let problem = Diagnostic::error(
        fragment.span(),
        format!("the {side} refuses this SQL: {}", error.message),
    );
    let unresolved =
        ["42P01", "42883", "42704"].contains(&error.sqlstate.as_deref().unwrap_or_default());
    let path = unresolved.then(|| {
        format!("Names resolve in pg_catalog only, unless search_path of [{side}] says otherwise.")
    });
    // Of an unknown function the server says that casts may help, and they may.
    let hints: Vec<String> = error.hint.into_iter().chain(path).collect();
    Ok(if hints.is_empty() { problem } else { problem.hinted(hints.join(" ")) })
}
