//! Makes a repair: reads a findings file, judges what can be written, reads the rows again and writes
//! the folder of scripts. Nothing is written before every refusal is known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use jiff::{SignedDuration, Timestamp};

use super::Prepared;
use super::blocked::Blocked;
use super::changes::{Spool, Unwritten};
use super::folder::Folder;
use super::repairing::{Reach, Repairing};
use crate::finding::{Kind, timestamp};
use crate::pg::{Catalog, Lease, PgError, Session};
use crate::plan::MappingPlan;
use crate::repair::{
    Act, Described, Manifest, Place, ReportReader, Scope, TableIdentity, Wanted, parents_first,
};
use crate::row::Veil;
use crate::schema::{BySide, Relation, Side};
use crate::spec::Reads;

/// How long a repair may be applied.
const VALID: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// The side declared right.
    pub authority: Side,
    /// What may be done.
    pub kinds: Vec<Act>,
    /// Only these mappings, if any are named.
    pub mappings: Vec<String>,
    /// Rows of a batch.
    pub batch: usize,
    /// Whether a DELETE may reach other tables.
    pub allow_cascade: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// The folder's manifest; a folder is written only if it has parts.
    pub manifest: Manifest,
    /// Rows that have agreed meanwhile.
    pub agreed: u64,
    /// Whether the findings are of a complete run.
    pub complete: bool,
}

/// Makes a repair of the findings of a report.
///
/// # Errors
/// Everything that stands in the way; nothing is written then.
pub async fn repair(
    prepared: &Prepared,
    options: &RepairOptions,
    report: impl BufRead,
    out: &Path,
) -> Result<Repaired, Vec<Blocked>> {
    let one = |blocked: Blocked| vec![blocked];
    let mut plans = prepared.plans.clone();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    plans.iter_mut().for_each(|plan| {
        plan.expire(today);
        // A script holds every value whole.
        plan.folds = false;
    });
    let mut read = read_report(prepared, &plans, report).map_err(one)?;
    let names = &options.mappings;
    if let Some(name) = names.iter().find(|name| !plans.iter().any(|plan| plan.name == **name)) {
        return Err(one(Blocked::new(format!("the spec has no mapping \"{name}\""))));
    }
    read.wanted.retain(|place, _| names.is_empty() || names.contains(&plans[*place].name));
    read.left_out.retain(|(name, ..)| names.is_empty() || names.contains(name));
    redacted_keys(&plans, &read.wanted)?;
    let leases = lease_both(prepared).await.map_err(one)?;
    let made = make(prepared, options, &plans, read, &leases, out).await;
    let BySide { source, target } = leases;
    tokio::join!(source.give_back(), target.give_back());
    made
}

struct Read {
    run: String,
    complete: bool,
    wanted: BTreeMap<usize, Vec<Wanted>>,
    left_out: Vec<(String, &'static str, u64)>,
}

fn read_report(
    prepared: &Prepared,
    plans: &[MappingPlan],
    report: impl BufRead,
) -> Result<Read, Blocked> {
    let spec = &prepared.spec;
    let scope = spec.scope();
    let keys: BTreeMap<&str, (usize, Vec<String>)> = plans
        .iter()
        .enumerate()
        .map(|(place, plan)| {
            let names = plan.key().iter().map(|pair| pair.name.clone());
            (plan.name.as_str(), (place, names.collect()))
        })
        .collect();
    let mut reader = ReportReader::new(&spec.name, &spec.hash, &scope);
    let mut wanted: BTreeMap<usize, Vec<Wanted>> = BTreeMap::new();
    for line in report.lines() {
        let line =
            line.map_err(|error| Blocked::new(format!("the findings cannot be read: {error}")))?;
        let found = reader.line(&line, |name| keys.get(name).map(|(_, names)| names.as_slice()))?;
        let place = found.as_ref().and_then(|found| keys.get(found.mapping.as_str()));
        if let (Some(found), Some((place, _))) = (found.clone(), place) {
            wanted.entry(*place).or_default().push(found);
        }
    }
    let run = reader.finish()?.to_owned();
    Ok(Read { run, complete: reader.complete, wanted, left_out: reader.left_out })
}

/// Where a key is redacted, a report does not say which row it means.
fn redacted_keys(
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, Vec<Wanted>>,
) -> Result<(), Vec<Blocked>> {
    let hidden = wanted.keys().map(|place| &plans[*place]).filter_map(|plan| {
        let pair = plan.key().iter().find(|pair| pair.terms.redact)?;
        let message = format!(
            "mapping \"{}\": key pair \"{}\" is redacted in the findings",
            plan.name, pair.name
        );
        Some(Blocked::new(message).hinted("Redact no pair of the key, compare again, then repair."))
    });
    let hidden: Vec<Blocked> = hidden.collect();
    if hidden.is_empty() { Ok(()) } else { Err(hidden) }
}

async fn lease_both(prepared: &Prepared) -> Result<BySide<Lease>, Blocked> {
    let lease = async |side: Side| {
        let lease = prepared.pools[side].lease().await;
        lease.map_err(|error| Blocked::from((Some(side), error)))
    };
    Ok(BySide { source: lease(Side::Source).await?, target: lease(Side::Target).await? })
}

/// What the written side's catalog says of a mapping's table.
pub(super) async fn relation_of(
    plan: &MappingPlan,
    side: Side,
    catalog: &Catalog<'_>,
) -> Result<Relation, Blocked> {
    let Reads::Table(table) = &plan.sides[side].reads else {
        let message = format!(
            "mapping \"{}\": the {side} is a query; only a table can be repaired",
            plan.name
        );
        return Err(Blocked::new(message));
    };
    let gone = || PgError::unexpected(format!("table {} is gone", table.value));
    let found = catalog
        .table(&table.value, plan.sides[side].only)
        .await
        .and_then(|found| found.ok_or_else(gone));
    found.map_err(|error| Blocked::from((Some(side), error)))
}

pub(super) fn catalog<'l>(prepared: &'l Prepared, lease: &'l Lease, side: Side) -> Catalog<'l> {
    let timeout = prepared.spec.compare.statement_timeout;
    Catalog {
        lease,
        own: Session::new(&[], timeout),
        operators: Session::new(&prepared.spec.sides[side].search_path, timeout),
        params: &prepared.spec.params,
        side,
    }
}

pub(super) fn sessions(prepared: &Prepared) -> BySide<Session> {
    let timeout = prepared.spec.compare.statement_timeout;
    BySide::new(|side| Session::new(&prepared.spec.sides[side].search_path, timeout))
}

pub(super) fn identity(
    scope_table: &crate::schema::TableName,
    relation: &Relation,
) -> TableIdentity {
    let columns = relation.columns.iter();
    let columns = columns.map(|c| (c.name.0.clone(), c.column_type.display.clone()));
    TableIdentity {
        table: scope_table.clone(),
        oid: relation.oid.unwrap_or(0),
        columns: columns.collect(),
    }
}

/// Judges each mapping that is to be written; every refusal at once.
async fn judge(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, Vec<Wanted>>,
    lease: &Lease,
) -> Result<BTreeMap<usize, (Scope, TableIdentity)>, Vec<Blocked>> {
    let written = options.authority.other();
    let catalog = catalog(prepared, lease, written);
    let mut refused = Vec::new();
    let mut scopes = BTreeMap::new();
    for (place, wanted) in wanted {
        let plan = &plans[*place];
        let relation = match relation_of(plan, written, &catalog).await {
            Ok(relation) => relation,
            Err(blocked) => {
                refused.push(blocked);
                continue;
            }
        };
        let stored = catalog.stored(relation.oid.unwrap_or(0)).await;
        let stored = stored.map_err(|error| vec![Blocked::from((Some(written), error))])?;
        let judged = Scope::of(plan, written, stored).and_then(|scope| {
            let asked = |act: &&Act| {
                let kind = match act {
                    Act::Insert => Kind::only_in(options.authority),
                    Act::Update => Kind::Mismatch,
                    Act::Delete => Kind::only_in(written),
                };
                wanted.iter().any(|wanted| wanted.kind == kind)
            };
            let why: Vec<String> =
                options.kinds.iter().filter(asked).flat_map(|act| scope.refusals(*act)).collect();
            if why.is_empty() { Ok(scope) } else { Err(why) }
        });
        match judged {
            Ok(scope) => {
                let identity = identity(&scope.table, &relation);
                scopes.insert(*place, (scope, identity));
            }
            Err(why) => refused.extend(why.into_iter().map(|why| {
                let message = format!("mapping \"{}\" cannot be repaired: {why}", plan.name);
                Blocked::new(message).hinted(
                    "Leave it out with --mapping or --kinds, or change the spec or the table.",
                )
            })),
        }
    }
    if refused.is_empty() { Ok(scopes) } else { Err(refused) }
}

async fn make(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    read: Read,
    leases: &BySide<Lease>,
    out: &Path,
) -> Result<Repaired, Vec<Blocked>> {
    let one = |blocked: Blocked| vec![blocked];
    let written = options.authority.other();
    let scopes = judge(prepared, options, plans, &read.wanted, &leases[written]).await?;
    let places: Vec<usize> = scopes.keys().copied().collect();
    let order = write_order(plans, &scopes, &places).map_err(one)?;
    let folder = Folder::create(out).map_err(one)?;
    let (sessions, veil, groups) = (sessions(prepared), Veil::of_process(), AtomicUsize::new(0));
    let reach = Reach { leases, sessions: &sessions, veil: &veil, groups_seen: &groups };
    let mut manifest = empty_manifest(prepared, options, &read);
    let mut agreed = 0;
    let mut spools: BTreeMap<(usize, Act), Spool> = BTreeMap::new();
    for place in &places {
        let hands = reach.hands(&plans[*place]);
        let mut repairing =
            Repairing::new(hands, &scopes[place].0, options.authority, &options.kinds);
        repairing.take_all(&read.wanted[place]).await.map_err(one)?;
        agreed += repairing.agreed;
        let left_out = repairing.left_out.into_iter().map(|(reason, rows)| Described {
            mapping: plans[*place].name.clone(),
            reason,
            rows,
        });
        manifest.left_out.extend(left_out);
        spools.extend(repairing.spools.into_iter().map(|(act, spool)| ((*place, act), spool)));
    }
    // Children are deleted before their parents, and put in after them.
    let forwards = [Act::Insert, Act::Update].map(|act| (act, order.clone()));
    let backwards = (Act::Delete, order.iter().rev().copied().collect());
    for (act, order) in forwards.into_iter().chain([backwards]) {
        for place in order {
            let Some(spool) = spools.remove(&(place, act)) else { continue };
            let (scope, identity) = &scopes[&place];
            let mut shape = scope.shape(act, options.allow_cascade);
            shape.set = spool.set.iter().copied().collect();
            // Rows that refer to rows of the same table stand and fall together.
            let of_itself = scope.stored.parents.contains(&scope.stored.oid);
            let whole = usize::try_from(spool.rows).unwrap_or(usize::MAX).max(1);
            let part = Unwritten {
                number: manifest.parts.len() + 1,
                mapping: &plans[place].name,
                batch: if of_itself { whole } else { options.batch },
                table: identity.clone(),
                shape,
            };
            let part = spool.write(&folder, part, &manifest).map_err(one)?;
            manifest.parts.push(part);
        }
    }
    if !manifest.parts.is_empty() {
        write_manifest(folder, &manifest).map_err(one)?;
    }
    Ok(Repaired { manifest, agreed, complete: read.complete })
}

fn write_manifest(folder: Folder, manifest: &Manifest) -> Result<(), Blocked> {
    let text = serde_json::to_string_pretty(manifest);
    let text = text.map_err(|error| Blocked::new(format!("the manifest: {error}")))?;
    let mut file = folder.file(Manifest::FILE)?;
    file.write(&text)?;
    file.write("\n")?;
    file.finish()?;
    folder.finish()
}

fn empty_manifest(prepared: &Prepared, options: &RepairOptions, read: &Read) -> Manifest {
    let (spec, written) = (&prepared.spec, options.authority.other());
    let server = &prepared.servers[written];
    let now = Timestamp::now();
    let mut left_out: BTreeMap<(String, &str), u64> = BTreeMap::new();
    for (mapping, reason, rows) in &read.left_out {
        *left_out.entry((mapping.clone(), reason)).or_default() += rows;
    }
    let left_out = left_out.into_iter().map(|((mapping, reason), rows)| Described {
        mapping,
        reason: reason.to_owned(),
        rows,
    });
    Manifest {
        version: Manifest::VERSION,
        tool: concat!("pgreconcile ", env!("CARGO_PKG_VERSION")).to_owned(),
        spec: spec.name.clone(),
        spec_hash: spec.hash.clone(),
        scope: spec.scope(),
        run: read.run.clone(),
        authority: options.authority.name().to_owned(),
        place: Place {
            side: written.name().to_owned(),
            database: server.database.clone(),
            system_identifier: server.system_identifier.clone(),
        },
        created_at: timestamp(now),
        expires_at: timestamp(now.checked_add(VALID).unwrap_or(now)),
        parts: Vec::new(),
        left_out: left_out.collect(),
    }
}

/// The mappings in the order in which their tables are written.
fn write_order(
    plans: &[MappingPlan],
    scopes: &BTreeMap<usize, (Scope, TableIdentity)>,
    places: &[usize],
) -> Result<Vec<usize>, Blocked> {
    let oids: Vec<u32> = places.iter().map(|place| scopes[place].0.stored.oid).collect();
    let parents: Vec<BTreeSet<usize>> = places
        .iter()
        .map(|place| {
            let parents = &scopes[place].0.stored.parents;
            let known = parents.iter().filter_map(|oid| oids.iter().position(|own| own == oid));
            known.collect()
        })
        .collect();
    let order = parents_first(&parents).map_err(|cycle| {
        let names = cycle.0.iter().map(|at| format!("\"{}\"", plans[places[*at]].name));
        let names = names.collect::<Vec<_>>().join(", ");
        Blocked::new(format!("the tables of mappings {names} refer to each other in a circle"))
            .hinted("This version repairs no circle: repair one of them alone with --mapping.")
    })?;
    Ok(order.into_iter().map(|at| places[at]).collect())
}
