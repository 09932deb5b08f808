//! Connects to both sides, reads what has to be known, and plans every mapping. No table row is read.

use std::fmt;

use super::facts::FactReader;
use super::options::Options;
use super::retry::retry_with_fewer;
use crate::pg::{Catalog, Connection, PgError, Pool, ReadSettings, Remedy};
use crate::plan::{Facts, MappingPlan, PlanOptions, plan_mapping};
use crate::schema::{BySide, Server, Side};
use crate::spec::{Diagnostic, Mapping, Param, Spec, did_you_mean};
use crate::throttle::check_limits;

/// A spec that can be run: both servers known, every mapping planned.
pub struct Prepared {
    /// The spec.
    pub spec: Spec,
    /// What is known of both servers.
    pub servers: BySide<Server>,
    /// The connections to them.
    pub pools: BySide<Pool>,
    /// The plans, in the order of the spec.
    pub plans: Vec<MappingPlan>,
    /// Warnings with a place in the spec.
    pub warnings: Vec<Diagnostic>,
}

/// Why a spec cannot be run.
#[derive(Debug)]
pub enum Trouble {
    /// Problems with places in the spec.
    Spec(Vec<Diagnostic>),
    /// A server that cannot be connected to, with the warnings about its connection.
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
/// All problems of all mappings at once, or the first server that cannot be connected to.
pub async fn prepare(spec: Spec, options: &Options) -> Result<Prepared, Trouble> {
    let application_name = format!("pgreconcile/{}", spec.name);
    let pool = |side: Side| {
        Pool::new(spec.sides[side].url.value.expose(), &application_name, options.jobs)
            .map_err(|error| Trouble::Spec(vec![at_url(&spec, side, &error)]))
    };
    let pools = BySide::try_new(pool)?;
    let (source, target) = tokio::join!(
        read_side(&spec, Side::Source, &pools.source, options),
        read_side(&spec, Side::Target, &pools.target, options)
    );
    let mut problems = Vec::new();
    let mut answers = Vec::new();
    for (side, answer) in [(Side::Source, source), (Side::Target, target)] {
        match answer {
            Ok((server, facts, found)) => {
                for problem in found {
                    // Both sides report a wrong value of a parameter.
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
    problems.extend(check_limits(&spec, &servers, options.settle));
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

/// Returns the mappings that the options name.
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
            Diagnostic::error(&spec.name_span, message).with_hint(hint)
        })
        .collect()
}

/// Returns a warning for each accept rule that has expired.
fn expired_rules(spec: &Spec, options: &Options) -> Vec<Diagnostic> {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let rules = chosen(spec, options).flat_map(|mapping| &mapping.accepts);
    rules
        .filter(|rule| rule.until < today)
        .map(|rule| {
            let message = format!("an accept rule has expired on {}", rule.until);
            Diagnostic::warning(&rule.span, message)
                .with_hint("It has no effect any more: renew it or remove it.")
        })
        .collect()
}

fn at_url(spec: &Spec, side: Side, error: &PgError) -> Diagnostic {
    let message = format!("the connection of the {side} cannot be used: {error}");
    let problem = Diagnostic::error(&spec.sides[side].url.span, message);
    match &error.hint {
        Some(hint) => problem.with_hint(hint),
        None => problem,
    }
}

fn side_warnings(spec: &Spec, pools: &BySide<Pool>, servers: &BySide<Server>) -> Vec<Diagnostic> {
    let mut warnings = Vec::new();
    for side in Side::BOTH {
        warnings.extend(pool_warnings(spec, side, &pools[side]));
    }
    // One warning for both sides.
    let overprivileged: Vec<Side> =
        Side::BOTH.into_iter().filter(|side| servers[*side].overprivileged).collect();
    if let Some(first) = overprivileged.first() {
        let role = |side: &Side| format!("\"{}\" of the {side}", servers[*side].role);
        let roles = overprivileged.iter().map(role).collect::<Vec<_>>().join(" and ");
        let word = if overprivileged.len() == 1 { "role" } else { "roles" };
        let message = format!("{word} {roles} may do more than read");
        let hint =
            "Read-only transactions do not bind a superuser; CONNECT, USAGE, SELECT suffice.";
        warnings.push(Diagnostic::warning(&spec.sides[*first].url.span, message).with_hint(hint));
    }
    warnings
}

/// Returns the warnings about a connection string and the files that it refers to.
fn pool_warnings(spec: &Spec, side: Side, pool: &Pool) -> impl Iterator<Item = Diagnostic> {
    let span = &spec.sides[side].url.span;
    pool.warnings.iter().map(|text| Diagnostic::warning(span, text))
}

/// What is known of one side: its server, the facts about each mapping, and problems.
type SideFacts = (Server, Vec<Option<Facts>>, Vec<Diagnostic>);

/// Reads all facts about one side. An error without a server is returned at once; one that may pass
/// is retried on a new connection.
async fn read_side(
    spec: &Spec,
    side: Side,
    pool: &Pool,
    options: &Options,
) -> Result<SideFacts, PgError> {
    let mut first = match pool.acquire().await {
        Err(error) if error.sqlstate.is_none() => return Err(error),
        first => Some(first),
    };
    let most = options.relations_at_once.min(chosen(spec, options).count());
    retry_with_fewer(most, async |most| {
        let opened = match first.take() {
            Some(first) => first,
            None => pool.acquire().await,
        };
        let connection = match opened {
            Ok(connection) => connection,
            Err(error) => return (Err(error), false),
        };
        let answer = read_facts(spec, side, (&connection, most), options).await;
        // The answer was too large to be read to its end.
        let is_cut = connection.is_busy()
            && answer.as_ref().is_err_and(|error| error.remedy == Remedy::Shrink);
        connection.give_back().await;
        match answer {
            // A server that does not answer on a new connection either is given up.
            Err(error) if error.remedy == Remedy::Reconnect && !pool.is_responding().await => {
                (Err(PgError { remedy: Remedy::GiveUp, ..error }), false)
            }
            answer => (answer, is_cut),
        }
    })
    .await
}

async fn read_facts(
    spec: &Spec,
    side: Side,
    (connection, most): (&Connection, usize),
    options: &Options,
) -> Result<SideFacts, PgError> {
    let timeout = options.statement_timeout;
    let catalog = Catalog {
        connection,
        own: ReadSettings::new(&[], timeout),
        operators: ReadSettings::new(&spec.sides[side].search_path, timeout),
        params: &spec.params,
        side,
        most,
    };
    let server = connection.read_server(&catalog.own).await?;
    let mut problems = Vec::new();
    for param in &spec.params {
        if !catalog.accepts_param(param).await? {
            let Param { name, type_name, span, .. } = param;
            let message = format!("the value of parameter \"{name}\" is not of type {type_name}");
            let hint = "Write it as PostgreSQL does, for example \"{1,2}\" for an array.";
            problems.push(Diagnostic::error(span, message).with_hint(hint));
        }
    }
    let moment = match &options.since {
        Some(since) => Some(connection.read_moment(&catalog.own, since.time).await?),
        None => None,
    };
    let mappings: Vec<&Mapping> = chosen(spec, options).collect();
    let mut reader = FactReader::new(&catalog, &server, moment.as_ref());
    let facts = reader.facts(&mappings, &mut problems).await?;
    Ok((server, facts, problems))
}
