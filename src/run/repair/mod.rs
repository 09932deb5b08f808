//! Makes a repair: judges what can be written, reads the rows again and writes
//! the folder of scripts. Nothing is written before every refusal is known.

pub(super) mod apply;
pub(super) mod arranging;
pub(super) mod batching;
pub(super) mod changes;
pub(super) mod computed;
pub(super) mod folder;
pub(super) mod holding;
pub(super) mod journal;
pub(super) mod leaving;
pub(super) mod looking;
pub(super) mod making;
pub(super) mod member;
pub(super) mod occupied;
pub(super) mod ready;
pub(super) mod references;
pub(super) mod refusal;
pub(super) mod repairing;
pub(super) mod standing;
pub(super) mod target;
pub(super) mod telling;
pub(super) mod verified;
pub(super) mod writing;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use jiff::{SignedDuration, Timestamp};

use self::arranging::arrange;
use self::changes::Spool;
use self::folder::Folder;
use self::refusal::{Refusal, Unmade, described, messages, of_findings};
use self::repairing::{Reach, Repairing};
use self::target::{Target, judge, lease_both, missing, sessions};
use self::writing::{Unwritten, write};
use crate::finding::format_timestamp;
use crate::pg::Lease;
use crate::plan::MappingPlan;
use crate::prepare::{Blocked, Prepared, RepairOptions, retry};
use crate::repair::{
    Act, Described, Findings, Manifest, Manner, Place, Unseen, Wanted, fields, reaches,
};
use crate::row::Veil;
use crate::schema::BySide;

/// How long a repair may be applied.
const VALID: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Columns that a table has at most, the temporary one of a batch too (`MaxHeapAttributeNumber`).
const COLUMNS: usize = 1_600;

/// What came of it.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// The folder's manifest; it may have no parts.
    pub manifest: Manifest,
    /// Mappings that are left out because they cannot be repaired.
    pub refused: Vec<Blocked>,
    /// Rows that have agreed meanwhile.
    pub agreed: u64,
    /// What is worth knowing before somebody applies it.
    pub notes: Vec<String>,
}

/// Makes a repair of what a run found.
///
/// A mapping that cannot be repaired is left out, unless none can be.
///
/// # Errors
/// Everything that stands in the way; nothing is written then.
pub async fn repair(
    prepared: &Prepared,
    options: &RepairOptions,
    findings: Findings,
    out: &Path,
) -> Result<Repaired, Vec<Blocked>> {
    let one = |blocked: Blocked| vec![blocked];
    let mut plans = prepared.plans.clone();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    plans.iter_mut().for_each(|plan| {
        plan.accepts.expire(today);
        // A script holds every value whole.
        plan.hashes_large_values = false;
    });
    let names = &options.mappings;
    let known = |name: &str| plans.iter().any(|plan| plan.name == name);
    let found = findings.wanted.keys();
    if let Some(name) = names.iter().chain(found).find(|name| !known(name)) {
        return Err(one(Blocked::new(format!("the spec has no mapping \"{name}\""))));
    }
    let asked = |name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let wanted: BTreeMap<usize, &[Wanted]> = plans
        .iter()
        .enumerate()
        .filter(|(_, plan)| asked(&plan.name))
        .filter_map(|(place, plan)| Some((place, findings.wanted.get(&plan.name)?.as_slice())))
        .collect();
    let refused = of_findings(&plans, &wanted);
    let mut manifest = empty_manifest(prepared, options, &findings.run);
    let left_out = findings.left_out.iter().filter(|((mapping, _), _)| asked(mapping));
    manifest.left_out.extend(left_out.map(|((mapping, reason), rows)| Described {
        mapping: mapping.clone(),
        reason: (*reason).to_owned(),
        rows: *rows,
    }));
    let asked = plans.iter().map(|plan| plan.name.as_str()).filter(|name| asked(name));
    let unseen = findings.unseen(asked).into_iter();
    manifest.unseen.extend(unseen.map(|(mapping, reason)| Unseen { mapping, reason }));
    retry(async || {
        let leases = lease_both(prepared).await.map_err(one)?;
        let of = (&wanted, refused.clone(), manifest.clone());
        let made = Box::pin(make_all(prepared, options, &plans, of, &leases, out)).await;
        let BySide { source, target } = leases;
        tokio::join!(source.give_back(), target.give_back());
        made
    })
    .await
}

/// Makes a repair of every mapping that can be repaired.
async fn make_all(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    (wanted, mut refusals, manifest): (&BTreeMap<usize, &[Wanted]>, Vec<Refusal>, Manifest),
    leases: &BySide<Lease>,
    out: &Path,
) -> Result<Repaired, Vec<Blocked>> {
    loop {
        let left = |place: &usize| refusals.iter().any(|refusal| refusal.place == *place);
        let kept: BTreeMap<usize, &[Wanted]> =
            wanted.iter().filter(|(place, _)| !left(place)).map(|(at, w)| (*at, *w)).collect();
        if kept.is_empty() && !refusals.is_empty() {
            return Err(messages(&refusals, plans));
        }
        let mut manifest = manifest.clone();
        manifest.left_out.extend(described(&refusals, plans, wanted));
        let asked = (&kept, !refusals.is_empty(), manifest);
        match Box::pin(make(prepared, options, plans, asked, leases, out)).await {
            Ok(made) => return Ok(Repaired { refused: messages(&refusals, plans), ..made }),
            Err(Unmade::Blocked(blocked)) => return Err(vec![blocked]),
            Err(Unmade::Refused(more)) => refusals.extend(more),
        }
    }
}

/// Makes a repair of what is wanted. `partial` says that mappings are left out, whose rows others may need.
async fn make(
    prepared: &Prepared,
    options: &RepairOptions,
    plans: &[MappingPlan],
    (wanted, partial, mut manifest): (&BTreeMap<usize, &[Wanted]>, bool, Manifest),
    leases: &BySide<Lease>,
    out: &Path,
) -> Result<Repaired, Unmade> {
    let written = options.authority.other();
    let targets = judge(prepared, options, plans, wanted, &leases[written]).await?;
    let folder = Folder::create(out)?;
    let (sessions, veil, groups) = (sessions(prepared), Veil::of_process(), AtomicUsize::new(0));
    let reach = Reach { leases, sessions: &sessions, veil: &veil, groups_seen: &groups };
    let BySide { source, target } = &prepared.servers;
    let recodes = source.encoding != target.encoding;
    let settle = options.settle.unwrap_or(prepared.spec.compare.settle);
    let mut agreed = 0;
    let mut spools: BTreeMap<(Act, usize), Spool> = BTreeMap::new();
    for (place, target) in &targets {
        let hands = reach.hands(&plans[*place]);
        let (scope, kinds) = (&target.scope, options.kinds.as_slice());
        let mut repairing = Repairing::new(hands, scope, options.authority, kinds, recodes);
        repairing.references = partial.then_some(options.allow_cascade && options.triggers);
        repairing.take_all(wanted[place], settle).await?;
        let making = repairing.making;
        agreed += making.agreed;
        let left_out = making.left_out.into_iter().map(|(reason, rows)| Described {
            mapping: plans[*place].name.clone(),
            reason,
            rows,
        });
        manifest.left_out.extend(left_out);
        spools.extend(making.spools.into_iter().map(|(act, spool)| ((act, *place), spool)));
    }
    let mut notes = notes(&mut manifest, options, &targets, spools.keys());
    let scopes = targets.iter().map(|(place, target)| (*place, &target.scope)).collect();
    let shape = |act: Act, place: usize| {
        let redacted = |pair: usize| plans[place].pairs[pair].settings.redact;
        targets[&place].scope.shape(act, options.allow_cascade, redacted)
    };
    let (arranged, left_out) = arrange(spools, &scopes, shape)?;
    manifest.left_out.extend(left_out.into_iter().map(|((place, reason), rows)| Described {
        mapping: plans[place].name.clone(),
        reason,
        rows,
    }));
    for mut arranged in arranged {
        if let Some(member) = arranged.members.iter().find(|m| fields(&m.shape).count() > COLUMNS) {
            let kind = member.shape.act.name();
            let why = format!(
                "its {kind}s hold more values a row than the {COLUMNS} columns that a table has"
            );
            let hint = "Leave them out with --kinds, or set fewer columns at once.".to_owned();
            return Err(Unmade::Refused(vec![Refusal { place: member.place, why, hint }]));
        }
        let tables = arranged
            .members
            .iter()
            .map(|member| (plans[member.place].name.as_str(), &targets[&member.place].identity));
        let part = Unwritten {
            number: manifest.parts.len() + 1,
            batch: options.batch,
            tables: tables.collect(),
            pairs: arranged.members.iter().map(|m| pair_names(&plans[m.place])).collect(),
        };
        let part = write(&folder, &part, &mut arranged, &manifest)?;
        if options.allow_cascade && options.triggers {
            let reached = arranged.members.iter().flat_map(|member| reaches(&member.shape));
            notes.extend(reached.map(|reached| {
                let file = &part.script.file;
                format!("{file} reaches {reached}: its undo does not bring these rows back")
            }));
        }
        manifest.parts.push(part);
    }
    write_manifest(folder, &manifest)?;
    Ok(Repaired { manifest, refused: Vec::new(), agreed, notes })
}

fn pair_names(plan: &MappingPlan) -> Vec<&str> {
    plan.pairs.iter().map(|pair| pair.name.as_str()).collect()
}

/// What the role that asked may not do: another one may run the scripts, so it is no obstacle.
fn notes<'k>(
    manifest: &mut Manifest,
    options: &RepairOptions,
    targets: &BTreeMap<usize, Target>,
    spools: impl Iterator<Item = &'k (Act, usize)>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut grants: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (act, place) in spools {
        let Target { scope, rights, .. } = &targets[place];
        let table = scope.table.to_string();
        let lacking = missing(*act, rights);
        if !lacking.is_empty() {
            grants.entry(table).or_default().extend(lacking);
        }
        if !rights.temporary {
            manifest.manner.temporary = false;
        }
        if !options.triggers && !rights.replica {
            grants
                .entry("parameter session_replication_role".to_owned())
                .or_default()
                .insert("SET");
        }
    }
    let lacking = grants.into_iter().map(|(what, rights)| {
        let rights = rights.into_iter().collect::<Vec<_>>().join(", ");
        format!("{rights} on {what}")
    });
    let lacking = lacking.collect::<Vec<_>>().join("; ");
    if !lacking.is_empty() {
        notes.push(format!("this role has not what applying the repair takes: {lacking}"));
    }
    if !manifest.manner.temporary && !options.no_temp {
        notes.push(
            "this role may make no temporary tables: rows wait in settings instead".to_owned(),
        );
    }
    notes
}

fn write_manifest(folder: Folder, manifest: &Manifest) -> Result<(), Blocked> {
    let text = manifest.write().map_err(|error| Blocked::new(format!("the manifest: {error}")))?;
    let mut file = folder.file(Manifest::FILE)?;
    file.write(&text)?;
    file.write("\n")?;
    file.finish()?;
    folder.finish()
}

fn empty_manifest(prepared: &Prepared, options: &RepairOptions, run: &str) -> Manifest {
    let (spec, written) = (&prepared.spec, options.authority.other());
    let server = &prepared.servers[written];
    let now = Timestamp::now();
    Manifest {
        version: Manifest::VERSION,
        tool: concat!("pgreconcile ", env!("CARGO_PKG_VERSION")).to_owned(),
        spec: spec.name.clone(),
        spec_hash: spec.hash.clone(),
        scope: spec.scope(),
        run: run.to_owned(),
        authority: options.authority.name().to_owned(),
        place: Place {
            side: written.name().to_owned(),
            database: server.database.clone(),
            system_identifier: server.system_identifier.clone(),
            instance: server.instance.clone(),
        },
        manner: Manner { triggers: options.triggers, temporary: !options.no_temp },
        created_at: format_timestamp(now),
        expires_at: format_timestamp(now.checked_add(VALID).unwrap_or(now)),
        parts: Vec::new(),
        left_out: Vec::new(),
        unseen: Vec::new(),
        seal: String::new(),
    }
}
