//! Connects to both sides, asks what has to be known, and plans every mapping. No table row is read.

use std::fmt;

use super::Options;
use super::facts::Asking;
use super::pace::allowed;
use super::retried::retried_with_fewer;
use crate::pg::{Catalog, Connection, PgError, Pool, ReadSettings, Remedy};
use crate::plan::{Facts, MappingPlan, PlanOptions, plan_mapping};
use crate::schema::{BySide, Server, Side};
use crate::spec::{Diagnostic, Mapping, Param, Spec, did_you_mean};

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
    let mut first = match pool.acquire().await {
        Err(error) if error.sqlstate.is_none() => return Err(error),
        first => Some(first),
    };
    let most = options.relations_at_once.min(chosen(spec, options).count());
    retried_with_fewer(most, async |most| {
        let opened = match first.take() {
            Some(first) => first,
            None => pool.acquire().await,
        };
        let lease = match opened {
            Ok(lease) => lease,
            Err(error) => return (Err(error), false),
        };
        let answer = ask_through(spec, side, (&lease, most), options).await;
        // An answer was too large to be read to its end.
        let is_cut =
            lease.is_busy() && answer.as_ref().is_err_and(|error| error.remedy == Remedy::Shrink);
        lease.give_back().await;
        match answer {
            // A server that is silent on a new connection, too, is not waited for again.
            Err(error) if error.remedy == Remedy::Reconnect && !pool.is_responding().await => {
                (Err(PgError { remedy: Remedy::GiveUp, ..error }), false)
            }
            answer => (answer, is_cut),
        }
    })
    .await
}

async fn ask_through(
    spec: &Spec,
    side: Side,
    (lease, most): (&Connection, usize),
    options: &Options,
) -> Result<Answer, PgError> {
    let timeout = options.statement_timeout;
    let catalog = Catalog {
        lease,
        own: ReadSettings::new(&[], timeout),
        operators: ReadSettings::new(&spec.sides[side].search_path, timeout),
        params: &spec.params,
        side,
        most,
    };
    let server = lease.read_server(&catalog.own).await?;
    let mut problems = Vec::new();
    for param in &spec.params {
        if !catalog.accepts_param(param).await? {
            let Param { name, type_name, span, .. } = param;
            let message = format!("the value of parameter \"{name}\" is no {type_name}");
            let hint = "Write it as PostgreSQL does, for example \"{1,2}\" for an array.";
            problems.push(Diagnostic::error(span, message).hinted(hint));
        }
    }
    let moment = match &options.since {
        Some(since) => Some(lease.read_moment(&catalog.own, since.time).await?),
        None => None,
    };
    let mappings: Vec<&Mapping> = chosen(spec, options).collect();
    let mut asking = Asking::new(&catalog, &server, moment.as_ref());
    let facts = asking.facts(&mappings, &mut problems).await?;
    Ok((server, facts, problems))
}
