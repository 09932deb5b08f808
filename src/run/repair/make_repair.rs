//! Makes a repair: checks what can be written, reads the rows again and writes the folder of scripts.
//! Nothing is written before all mappings that cannot be repaired are known.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicUsize;

use jiff::{SignedDuration, Timestamp};

use super::read_rows::{Connections, MappingReader};
use super::written_tables::{acquire_both, read_written_tables, sessions};
use crate::finding::format_timestamp;
use crate::pg::Connection;
use crate::plan::MappingPlan;
use crate::prepare::{Prepared, retry};
use crate::problem::Problem;
use crate::repair::{
    ApplyMode, Exclusion, Manifest, Operation, RepairFindings, RepairItem, WrittenDatabase,
};
use crate::repair_folder::{FolderDraft, write_parts};
use crate::repair_plan::{
    MappingProblem, RepairError, RepairOptions, Selection, SpoolWriter, check_findings,
    excluded_rows, list_missing_privileges, name_mappings, order_changes, select,
};
use crate::row::Redactor;
use crate::schema::BySide;

/// How long a repair may be applied.
const VALID: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A repair that was made.
#[derive(Clone, Debug)]
pub struct RepairOutcome {
    /// The manifest of the folder; it may have no parts.
    pub manifest: Manifest,
    /// Mappings that are left out because they cannot be repaired.
    pub refused: Vec<Problem>,
    /// Rows that agree by now.
    pub agreed: u64,
    /// What is to be known before the repair is applied.
    pub notes: Vec<String>,
}

/// What one attempt to make a repair starts from.
struct RepairAttempt<'a> {
    prepared: &'a Prepared,
    options: &'a RepairOptions,
    plans: &'a [MappingPlan],
    wanted: BTreeMap<usize, &'a [RepairItem]>,
    /// Whether mappings are left out on whose rows others may depend.
    is_partial: bool,
    manifest: Manifest,
}

/// Makes a repair of what a run found.
///
/// A mapping that cannot be repaired is left out, unless none can be.
///
/// # Errors
/// All problems; nothing is written then.
pub async fn repair(
    prepared: &Prepared,
    options: &RepairOptions,
    findings: RepairFindings,
    out: &Path,
) -> Result<RepairOutcome, Vec<Problem>> {
    let mut plans = prepared.plans.clone();
    let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    plans.iter_mut().for_each(|plan| {
        plan.accepts.expire(today);
        // A script contains whole values.
        plan.hashes_large_values = false;
    });
    let selection =
        select(&plans, &options.mappings, &findings).map_err(|problem| vec![problem])?;
    let problems = check_findings(&plans, &selection.wanted);
    let mut manifest = empty_manifest(prepared, options, &findings.run);
    let Selection { wanted, excluded, incomplete } = selection;
    (manifest.left_out, manifest.unseen) = (excluded, incomplete);
    retry(async || {
        let connections = acquire_both(prepared).await.map_err(|problem| vec![problem])?;
        let attempt = RepairAttempt {
            prepared,
            options,
            plans: &plans,
            wanted: wanted.clone(),
            is_partial: false,
            manifest: manifest.clone(),
        };
        let made = Box::pin(make_repair(attempt, problems.clone(), &connections, out)).await;
        let BySide { source, target } = connections;
        tokio::join!(source.give_back(), target.give_back());
        made
    })
    .await
}

/// Makes a repair of every mapping that can be repaired: tries again without the mappings that turn out
/// not to be.
async fn make_repair(
    all: RepairAttempt<'_>,
    mut problems: Vec<MappingProblem>,
    connections: &BySide<Connection>,
    out: &Path,
) -> Result<RepairOutcome, Vec<Problem>> {
    let plans = all.plans;
    loop {
        let mut wanted = all.wanted.clone();
        wanted.retain(|mapping, _| !problems.iter().any(|problem| problem.mapping == *mapping));
        if wanted.is_empty() && !problems.is_empty() {
            return Err(name_mappings(&problems, plans));
        }
        let mut manifest = all.manifest.clone();
        manifest.left_out.extend(excluded_rows(&problems, plans, &all.wanted));
        let attempt = RepairAttempt { wanted, is_partial: !problems.is_empty(), manifest, ..all };
        match Box::pin(try_repair(attempt, connections, out)).await {
            Ok(made) => {
                return Ok(RepairOutcome { refused: name_mappings(&problems, plans), ..made });
            }
            Err(RepairError::Problem(problem)) => return Err(vec![problem]),
            Err(RepairError::Mappings(more)) => problems.extend(more),
        }
    }
}

/// Makes a repair of all mappings of an attempt.
async fn try_repair(
    attempt: RepairAttempt<'_>,
    connections: &BySide<Connection>,
    out: &Path,
) -> Result<RepairOutcome, RepairError> {
    let RepairAttempt { prepared, options, plans, wanted, is_partial, mut manifest } = attempt;
    let written = options.authority.other();
    let tables =
        read_written_tables(prepared, options, plans, &wanted, &connections[written]).await?;
    let folder = FolderDraft::create(out)?;
    let (sessions, redactor, groups) =
        (sessions(prepared), Redactor::of_process(), AtomicUsize::new(0));
    let connections =
        Connections { connections, sessions: &sessions, redactor: &redactor, groups_seen: &groups };
    let BySide { source, target } = &prepared.servers;
    let recodes = source.encoding != target.encoding;
    let settle = options.settle.unwrap_or(prepared.spec.compare.settle);
    let exclusion = |mapping: usize, reason: String, rows: u64| Exclusion {
        mapping: plans[mapping].name.clone(),
        reason,
        rows,
    };
    let mut agreed = 0;
    let mut spools: BTreeMap<(Operation, usize), SpoolWriter> = BTreeMap::new();
    for (mapping, table) in &tables {
        let context = connections.context(&plans[*mapping]);
        let mut reader = MappingReader::new(context, &table.scope, options, recodes);
        if is_partial {
            reader.query_foreign_keys(options.allow_cascade && options.triggers);
        }
        let builder = reader.read(wanted[mapping], settle).await?;
        agreed += builder.agreed;
        let excluded = builder.excluded.into_iter();
        manifest.left_out.extend(excluded.map(|(reason, rows)| exclusion(*mapping, reason, rows)));
        let own = builder.spools.into_iter();
        spools.extend(own.map(|(operation, spool)| ((operation, *mapping), spool)));
    }
    let operations = spools.keys().map(|(operation, mapping)| {
        let table = &tables[mapping];
        (*operation, &table.scope.table, &table.rights)
    });
    let (mut notes, temporary) = list_missing_privileges(operations, options);
    manifest.mode.temporary = temporary;
    let scopes = tables.iter().map(|(mapping, table)| (*mapping, &table.scope)).collect();
    let shape = |operation: Operation, mapping: usize| {
        let is_redacted = |pair: usize| plans[mapping].pairs[pair].settings.redact;
        tables[&mapping].scope.shape(operation, options.allow_cascade, is_redacted)
    };
    let (scripts, excluded) = order_changes(spools, &scopes, shape)?;
    let excluded = excluded.into_iter();
    manifest
        .left_out
        .extend(excluded.map(|((mapping, reason), rows)| exclusion(mapping, reason, rows)));
    notes.extend(write_parts(&folder, scripts, (plans, &tables), options, &mut manifest)?);
    folder.finish(&manifest)?;
    Ok(RepairOutcome { manifest, refused: Vec::new(), agreed, notes })
}

/// Returns a manifest without parts.
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
        written: WrittenDatabase {
            side: written.name().to_owned(),
            database: server.database.clone(),
            system_identifier: server.system_identifier.clone(),
            instance: server.instance.clone(),
        },
        mode: ApplyMode { triggers: options.triggers, temporary: !options.no_temp },
        created_at: format_timestamp(now),
        expires_at: format_timestamp(now.checked_add(VALID).unwrap_or(now)),
        parts: Vec::new(),
        left_out: Vec::new(),
        unseen: Vec::new(),
        checksum: String::new(),
    }
}
