//! A run that goes on: what is written down of every chunk on its way, and how a mapping comes back to
//! where it stood.
//!
//! The ledger has what the scan saw, and everything else follows from that again: suspects of chunks
//! that were compared before an interruption are looked at anew, as if they had just been met, so that
//! what has healed in between is not told. Chunks are not read twice; keys that differ are.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::mapping::MappingState;
use super::mapping::one_sided::Ruled;
use super::scan::pass::{Pass, PassProgress};
use super::scan::slots::{Outcome, Told};
use crate::compare::{Compared, Parts};
use crate::event::Event;
use crate::finding::{Disposition, Ruling};
use crate::ledger::{Checked, Kept, KeptState, LedgerError};
use crate::row::{Bound, KeyRange};
use crate::schema::Side;

/// Numbers of what a comparison by buckets has compared begin here, beyond all chunks.
pub(super) const FIRST_OF_PASS: u64 = 1 << 40;

/// Where a comparison by buckets stands.
#[derive(Debug, Serialize, Deserialize)]
struct PassState {
    /// How often it has compared something for good.
    booked: u64,
    stand: Stand,
}

#[derive(Debug, Serialize, Deserialize)]
enum Stand {
    /// It goes on from here.
    Open(Box<PassProgress>),
    /// Everything is compared.
    Finished,
    /// Key ranges are compared instead.
    Useless,
}

impl MappingState {
    /// Writes down what became of a chunk, at once where the order of keys can be told here.
    pub(super) fn keep_compared(&mut self, chunk: u64, compared: &Compared, desk: &mut Desk<'_>) {
        if desk.keeps()
            && let Some((range, rows)) = self.frontier.keep(chunk)
        {
            let checked = Checked::Compared(compared);
            desk.keep_chunk(&self.account.plan.name, (chunk, &range, rows), checked);
        }
    }

    /// Writes down what became of a chunk when all before it are done: chunks then hang together,
    /// whatever the order.
    pub(super) fn keep_told(&self, told: &Told, desk: &mut Desk<'_>) {
        let checked = match &told.outcome {
            Outcome::Compared(compared) => Checked::Compared(compared),
            Outcome::Skipped => Checked::Skipped,
            Outcome::Undecided(..) => return,
        };
        if !told.kept {
            let of = (told.chunk, &told.range, told.rows);
            desk.keep_chunk(&self.account.plan.name, of, checked);
        }
    }

    /// Writes down that a one-sided range stands: to look at it again would be to read it again. Rows
    /// under a rule are looked at again, for the rule may have expired by then.
    pub(super) fn keep_ruling(
        &self,
        (range, side): (&KeyRange, Side),
        (ruling, parts): (&Ruling, &Parts),
        desk: &mut Desk<'_>,
    ) {
        let stands = ruling.disposition() == Disposition::Confirmed && !parts.has_rules();
        if desk.keeps() && stands {
            let key = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
            // Written as a `Ruled` is read.
            let ruled = (side, key(&range.through), ruling, parts);
            desk.keep_ruling(&self.account.plan.name, &key(&range.after), &ruled);
        }
    }

    /// What was ruled of a one-sided range before an interruption.
    pub(super) fn ruled_before(&mut self, range: &KeyRange, side: Side) -> Option<(Ruling, Parts)> {
        let after = range.after.as_ref().map(|bound| bound.key.clone());
        let Ruled { side: of, through, ruling, parts } = self.ruled.remove(&after)?;
        let same = of == side && through.as_ref() == range.through.as_ref().map(|bound| &bound.key);
        same.then_some((ruling, parts))
    }

    /// Writes down what a pass has compared for good, and how it goes on.
    /// Gives it back to be taken in, unless it is only scanned here.
    pub(super) fn keep_passed(
        &mut self,
        compared: Compared,
        desk: &mut Desk<'_>,
    ) -> Option<Compared> {
        let (chunk, range) = (FIRST_OF_PASS + self.booked, KeyRange::everything());
        self.booked += 1;
        if let Some(scanned) = &mut self.scanned {
            self.frontier.passed(compared.rows.source.max(compared.rows.target));
            let outcome = Outcome::Compared(compared);
            scanned.push(Told { chunk, range, rows: 0, outcome, kept: false });
            return None;
        }
        let of = (chunk, &range, 0);
        desk.keep_chunk(&self.account.plan.name, of, Checked::Compared(&compared));
        self.keep_pass(true, desk);
        Some(compared)
    }

    /// Writes down how far a pass has come: now, or if it is time to.
    pub(super) fn keep_pass(&mut self, now: bool, desk: &mut Desk<'_>) {
        if !desk.keeps() || !(now || desk.is_time_to_keep()) {
            return;
        }
        let stand = match &self.pass {
            Some(pass) => Stand::Open(Box::new(pass.progress())),
            None if self.booked > 0 => Stand::Finished,
            None => Stand::Useless,
        };
        desk.keep_pass(&self.account.plan.name, &PassState { booked: self.booked, stand });
    }

    /// Comes back to where the mapping stood. What could not be compared is compared now, or told if the
    /// run is only told as a whole.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) async fn restore(
        &mut self,
        whole: bool,
        desk: &mut Desk<'_>,
    ) -> Result<(), LedgerError> {
        let name = self.account.plan.name.clone();
        let mut kept = desk.kept(&name).await?;
        kept.retain(|kept| whole || kept.state != KeptState::Undecided);
        let undecided = kept.iter().filter(|kept| kept.state == KeptState::Undecided);
        self.undecided_before = undecided.map(|kept| kept.chunk).collect();
        let (mut of_pass, chunks): (Vec<Kept>, Vec<Kept>) =
            kept.into_iter().partition(|kept| kept.chunk >= FIRST_OF_PASS);
        self.ruled = desk.rulings(&name).await?;
        let state = desk.kept_pass::<PassState>(&name).await?;
        self.booked = match &state {
            Some(PassState { booked, .. }) => *booked,
            None if whole => of_pass.len() as u64,
            // A part of a pass that a process of many had in hand: how it went on is not known.
            None => 0,
        };
        of_pass.retain(|kept| kept.chunk < FIRST_OF_PASS + self.booked);
        match (state, &mut self.pass) {
            (Some(PassState { stand: Stand::Open(progress), .. }), pass) => {
                let plan = &self.account.plan;
                pass.get_or_insert_with(|| Pass::of(plan, &desk.options)).go_on(*progress);
            }
            (Some(PassState { stand: Stand::Finished, .. }), pass) => {
                *pass = None;
                self.frontier.close();
            }
            (Some(PassState { stand: Stand::Useless, .. }), pass) => {
                *pass = None;
                self.frontier.read_in_ranges();
            }
            // Statistics may have changed, and the plan's choice with them: the run's own stands.
            (None, pass) if !chunks.is_empty() => *pass = None,
            // Many processes: one of them has compared all of it.
            (None, pass) if !of_pass.is_empty() => {
                *pass = None;
                self.frontier.close();
            }
            (None, _) => {}
        }
        let rows = chunks.iter().chain(&of_pass).map(|kept| match kept.state {
            KeptState::Clean(rows) => rows,
            KeptState::Dirty => kept.rows,
            KeptState::Skipped | KeptState::Undecided => 0,
        });
        let (rows, number) = (rows.sum(), chunks.len() as u64);
        desk.tell(Event::MappingResumed { mapping: self.account.index, chunks: number, rows });
        for Kept { chunk, state, .. } in of_pass {
            match state {
                KeptState::Clean(rows) => self.account.matched(rows, &Default::default()),
                KeptState::Dirty => self.to_recall.push_back(chunk),
                KeptState::Skipped | KeptState::Undecided => {}
            }
        }
        if !chunks.is_empty() {
            self.frontier.restore(chunks, &KeyRange::everything());
        }
        self.take_chunks(desk);
        Ok(())
    }

    /// Whether there is something to read from the ledger, and room for it.
    pub(super) fn recalls(&self, desk: &Desk<'_>) -> bool {
        let waits = !self.to_recall.is_empty() || self.frontier.to_recall().is_some();
        waits && !self.finished && !desk.queue.is_full() && !self.is_asking()
    }

    /// Reads what one chunk came to from the ledger. One that cannot be read is compared again.
    pub(super) async fn recall(&mut self, desk: &mut Desk<'_>) {
        let name = self.account.plan.name.clone();
        if let Some(chunk) = self.to_recall.pop_front() {
            match desk.outcome(&name, chunk).await {
                Ok(compared) => self.rescanned(KeyRange::everything(), compared, desk),
                Err(error) => {
                    let reason = format!("what was compared before is lost: {error}");
                    self.account.undecided(&KeyRange::everything(), 1, &reason, desk);
                }
            }
        } else if let Some(chunk) = self.frontier.to_recall()
            && self.undecided_before.remove(&chunk)
        {
            let reason = desk.reason(&name, chunk).await;
            let reason = reason.unwrap_or_else(|error| error.to_string());
            self.frontier.failed_before(chunk, reason);
            self.take_chunks(desk);
        } else if let Some(chunk) = self.frontier.to_recall() {
            let compared = desk.outcome(&name, chunk).await;
            self.frontier.recalled(chunk, compared.ok());
            self.take_chunks(desk);
        }
    }
}
