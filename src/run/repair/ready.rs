//! Verifies a folder of changes that somebody has reviewed: seals, time, the database, the tables, and
//! what the role may do.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use jiff::Timestamp;

use super::changes::Changes;
use super::folder::{open, open_folder};
use super::journal::Journal;
use super::target::{catalog, identity, missing, relation_of};
use super::verified::{Verified, broken};
use crate::files::Directory;
use crate::plan::MappingPlan;
use crate::prepare::{Blocked, Prepared, retry};
use crate::repair::{Act, Manifest, NoManifest, Part, Stage};
use crate::schema::{Rights, Server, Side, TableName};

/// A folder that was verified and may be applied.
pub struct Ready<'p> {
    /// Its manifest.
    pub manifest: Manifest,
    /// What the role lacks, if it lacks anything: it may look, and not execute.
    pub lacks: Option<Blocked>,
    /// The side that is written, if its server was started since the repair was made.
    pub restarted: Option<Side>,
    pub(in crate::run) prepared: &'p Prepared,
    folder: Directory,
    /// The changes of each part.
    changes: Vec<Verified>,
    pub(in crate::run) written: Side,
    /// Of each stage of each part, the plan's place.
    plans: Vec<usize>,
}

/// Verifies a folder: seals, time, spec, database, tables.
///
/// # Errors
/// The first thing that is not as it was when the scripts were made.
pub async fn ready<'p>(prepared: &'p Prepared, folder: &Path) -> Result<Ready<'p>, Blocked> {
    let again = "Make a new one: compare, then repair.";
    let folder = open_folder(folder)?;
    let manifest = read_manifest(&folder, again)?;
    let spec = &prepared.spec;
    if let Some(why) = manifest.stranger(&spec.name, &spec.hash, &spec.scope()) {
        return Err(
            Blocked::new(format!("the repair is not one of this spec: {why}")).with_hint(again)
        );
    }
    let mut changes = Vec::new();
    for Part { script, undo, changes: sealed, .. } in &manifest.parts {
        Verified::of(&folder, script)?;
        Verified::of(&folder, undo)?;
        changes.push(Verified::of(&folder, sealed)?);
    }
    let expires: Option<Timestamp> = manifest.expires_at.parse().ok();
    if expires.is_none_or(|expires| Timestamp::now() > expires) {
        let message = format!("the repair was valid until {}", manifest.expires_at);
        return Err(Blocked::new(message).with_hint(again));
    }
    let Some(written) = Side::BOTH.into_iter().find(|side| side.name() == manifest.place.side)
    else {
        return Err(Blocked::new("the manifest names no side"));
    };
    let server = &prepared.servers[written];
    let (made_for, here) = (&manifest.place, (&server.database, &server.system_identifier));
    if (&made_for.database, &made_for.system_identifier) != here {
        let message = format!(
            "the repair was made for database \"{}\" of another server, or of another name; the {written} is database \"{}\"",
            made_for.database, server.database
        );
        return Err(Blocked::new(message).with_hint("Check url in the spec."));
    }
    if let Some(why) = made_for.instance.copied(&server.instance) {
        let message =
            format!("the {written} is not the server that the repair was made for: {why}");
        return Err(Blocked::new(message).with_hint("Check url in the spec."));
    }
    let sequences = sequences(&changes)?;
    let checked = retry(async || check_tables(prepared, &manifest, written, &sequences).await);
    let (plans, lacks) = checked.await?;
    let restarted = made_for.instance.was_restarted(&server.instance).then_some(written);
    Ok(Ready { manifest, restarted, lacks, prepared, folder, changes, written, plans })
}

fn read_manifest(folder: &Directory, again: &str) -> Result<Manifest, Blocked> {
    let mut file = open(folder, Manifest::FILE)?;
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| Blocked::io(&folder.path_of(Manifest::FILE), &error))?;
    Manifest::read(&text).map_err(|why| match why {
        NoManifest::Broken => broken(Manifest::FILE),
        NoManifest::Unsealed => Blocked::new(format!(
            "{} has no seal: it was edited, or made by an earlier version",
            Manifest::FILE
        ))
        .with_hint(again),
        NoManifest::Unreadable => {
            Blocked::new(format!("{} is not readable", Manifest::FILE)).with_hint(again)
        }
    })
}

/// The sequences that are to be moved.
fn sequences(changes: &[Verified]) -> Result<BTreeSet<String>, Blocked> {
    let mut all = BTreeSet::new();
    for verified in changes {
        let stages = Changes::open(verified)?.heading.stages;
        all.extend(stages.into_iter().flat_map(|shape| shape.sequences).map(|(_, name)| name));
    }
    Ok(all)
}

/// Each part's table is the one that the script was made for, and defined as it was.
async fn check_tables(
    prepared: &Prepared,
    manifest: &Manifest,
    written: Side,
    sequences: &BTreeSet<String>,
) -> Result<(Vec<usize>, Option<Blocked>), Blocked> {
    let at_side = |error| Blocked::from((Some(written), error));
    let lease = prepared.pools[written].lease().await.map_err(at_side)?;
    let catalog = catalog(prepared, &lease, written);
    let (mut places, mut lacks) = (Vec::new(), None);
    for Stage { mapping, kind, table, .. } in manifest.parts.iter().flat_map(|part| &part.stages) {
        let place = prepared.plans.iter().position(|plan| plan.name == *mapping);
        let Some(place) = place else {
            return Err(Blocked::new(format!("the spec has no mapping \"{mapping}\"")));
        };
        let plan = &prepared.plans[place];
        let relation = relation_of(plan, written, &catalog).await?;
        let now = identity(&table.table, &relation, &catalog).await.map_err(at_side)?;
        if let Some(what) = table.changed(&now) {
            let message =
                format!("table {} was changed since the repair was made: {what}", table.table);
            return Err(Blocked::new(message).with_hint("Make a new one: compare, then repair."));
        }
        let server = &prepared.servers[written];
        let rights = catalog.rights(table.oid, server).await.map_err(at_side)?;
        lacks = lacks.or_else(|| lacking(manifest, &table.table, *kind, &rights, server));
        places.push(place);
    }
    let sequences: Vec<&str> = sequences.iter().map(String::as_str).collect();
    let unmovable = catalog.unmovable(&sequences).await.map_err(at_side)?;
    lacks = lacks.or_else(|| {
        let (name, role) = (unmovable.first()?, &prepared.servers[written].role);
        let message = format!("role \"{role}\" has not SELECT and UPDATE on sequence {name}");
        let hint = format!(
            "GRANT SELECT, UPDATE ON SEQUENCE {name} TO {role}; or name another role in the url."
        );
        Some(Blocked::new(message).with_hint(hint))
    });
    lease.give_back().await;
    Ok((places, lacks))
}

/// What the role may not do of what the repair does.
fn lacking(
    manifest: &Manifest,
    table: &TableName,
    kind: Act,
    rights: &Rights,
    server: &Server,
) -> Option<Blocked> {
    let role = &server.role;
    let refuse = |message: String, hint: String| Some(Blocked::new(message).with_hint(hint));
    if let [first, rest @ ..] = missing(kind, rights).as_slice() {
        let all = rest.iter().fold((*first).to_owned(), |all, right| format!("{all}, {right}"));
        return refuse(
            format!("role \"{role}\" has not {all} on {table}"),
            format!("GRANT {all} ON {table} TO {role}; or name another role in the url."),
        );
    }
    if manifest.manner.temporary && !rights.temporary {
        return refuse(
            format!("role \"{role}\" may make no temporary table in the database"),
            format!("GRANT TEMPORARY ON DATABASE … TO {role}; or make the repair with --no-temp."),
        );
    }
    if !manifest.manner.triggers && !rights.replica {
        return refuse(
            format!("role \"{role}\" may not switch triggers off"),
            format!(
                "GRANT SET ON PARAMETER session_replication_role TO {role}; before version 15 it takes a superuser."
            ),
        );
    }
    None
}

impl Ready<'_> {
    /// What was applied of it before.
    ///
    /// # Errors
    /// A record that cannot be believed.
    pub fn journal(&self) -> Result<Journal, Blocked> {
        Journal::read(&self.folder, &self.manifest.seal)
    }

    /// The parts, each with its place, from 1, and its changes.
    pub(in crate::run) fn parts(&self) -> impl Iterator<Item = (usize, &Part, &Verified)> {
        let parts = self.manifest.parts.iter().zip(&self.changes).enumerate();
        parts.map(|(at, (part, verified))| (at + 1, part, verified))
    }

    /// The mappings' plans of a part's stages.
    pub(in crate::run) fn plans_of(&self, place: usize) -> Vec<&MappingPlan> {
        let before = self.manifest.parts.iter().take(place - 1).map(|part| part.stages.len()).sum();
        let stages = self.manifest.parts.get(place - 1).map_or(0, |part| part.stages.len());
        let places = self.plans.iter().skip(before).take(stages);
        places.map(|place| &self.prepared.plans[*place]).collect()
    }

    /// A part's changes, from the first.
    pub(in crate::run) fn changes<'v>(
        &self,
        part: &Part,
        verified: &'v Verified,
    ) -> Result<Changes<'v>, Blocked> {
        let changes = Changes::open(verified)?;
        let heading = &changes.heading;
        let stages = || heading.stages.iter().zip(&part.stages);
        let fits = heading.rows == part.rows
            && heading.stages.len() == part.stages.len()
            && stages()
                .all(|(shape, stage)| shape.act == stage.kind && shape.table == stage.table.table);
        if fits { Ok(changes) } else { Err(verified.unreadable(None)) }
    }
}
