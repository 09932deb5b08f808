//! Resuming a mapping: what is stored of every chunk during a run, and how a mapping is restored.

use super::checkpoints::{FIRST_OF_PASS, PassState, RulingRecord, Stand, Stored};
use super::context::Context;
use super::mapping::MappingState;
use super::one_sided::Ruled;
use crate::chunks::{Checked, Kept, KeptState, Outcome, Pass, Told};
use crate::compare::{Compared, Parts};
use crate::event::Event;
use crate::finding::{Disposition, ReadAgain, Ruling};
use crate::row::{Bound, KeyRange};
use crate::schema::Side;

/// A stored outcome that is to be read from the ledger.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ToRead {
    /// A result of a table scan by blocks.
    Pass(u64),
    /// The reason why a chunk could not be compared.
    Reason(u64),
    /// The outcome of a chunk.
    Chunk(u64),
}

impl MappingState {
    /// Writes down what became of a chunk, at once where the order of keys can be told here.
    pub(crate) fn keep_compared(
        &mut self,
        chunk: u64,
        compared: &Compared,
        context: &mut Context<'_>,
    ) {
        if context.checkpoints.are_stored()
            && let Some((range, rows)) = self.frontier.keep(chunk)
        {
            let checked = Checked::Compared(compared);
            context.checkpoints.store_chunk(
                &self.account.plan.name,
                (chunk, &range, rows),
                checked,
            );
        }
    }

    /// Writes down what became of a chunk when all before it are done: chunks then hang together,
    /// whatever the order.
    pub(crate) fn keep_told(&self, told: &Told, context: &mut Context<'_>) {
        let checked = match &told.outcome {
            Outcome::Compared(compared) => Checked::Compared(compared),
            Outcome::Skipped => Checked::Skipped,
            Outcome::Undecided(..) => return,
        };
        if !told.kept {
            let of = (told.chunk, &told.range, told.rows);
            context.checkpoints.store_chunk(&self.account.plan.name, of, checked);
        }
    }

    /// Writes down that a one-sided range stands: to look at it again would be to read it again. Rows
    /// under a rule are looked at again, for the rule may have expired by then.
    pub(crate) fn keep_ruling(
        &self,
        (range, side): (&KeyRange, Side),
        (ruling, parts): (&Ruling, &Parts),
        context: &mut Context<'_>,
    ) {
        let stands = ruling.disposition() == Disposition::Confirmed && !parts.has_rules();
        if context.checkpoints.are_stored() && stands {
            let key = |bound: &Option<Bound>| bound.as_ref().map(|bound| bound.key.clone());
            let ruled = RulingRecord { side, through: key(&range.through), ruling, parts };
            let name = &self.account.plan.name;
            context.checkpoints.store_ruling(name, &key(&range.after), &ruled);
        }
    }

    /// What was ruled of a one-sided range before an interruption.
    pub(crate) fn ruled_before(&mut self, range: &KeyRange, side: Side) -> Option<(Ruling, Parts)> {
        let after = range.after.as_ref().map(|bound| bound.key.clone());
        let Ruled { side: of, through, ruling, parts } = self.ruled.remove(&after)?;
        let same = of == side && through.as_ref() == range.through.as_ref().map(|bound| &bound.key);
        same.then_some((ruling, parts))
    }

    /// Writes down what a pass has compared for good, and how it goes on.
    /// Gives it back to be taken in, unless it is only scanned here.
    pub(crate) fn keep_passed(
        &mut self,
        compared: Compared,
        context: &mut Context<'_>,
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
        context.checkpoints.store_chunk(&self.account.plan.name, of, Checked::Compared(&compared));
        self.keep_pass(true, context);
        Some(compared)
    }

    /// Writes down how far a pass has come: now, or if it is time to.
    pub(crate) fn keep_pass(&mut self, now: bool, context: &mut Context<'_>) {
        if !context.checkpoints.are_stored() || !(now || context.checkpoints.are_due()) {
            return;
        }
        let stand = match &self.pass {
            Some(pass) => Stand::Open(Box::new(pass.progress())),
            None if self.booked > 0 => Stand::Finished,
            None => Stand::Useless,
        };
        context
            .checkpoints
            .store_pass(&self.account.plan.name, &PassState { booked: self.booked, stand });
    }

    /// Restores where the mapping stood, from what is stored.
    pub(crate) fn restore(&mut self, stored: Stored, context: &mut Context<'_>) {
        let name = self.account.plan.name.clone();
        let stored = if stored.adds_up(context.settings.chunks.sample.is_some()) {
            stored
        } else {
            context.checkpoints.forget_mapping(&name);
            Stored { damaged: stored.damaged.max(1), ..Stored::default() }
        };
        let Stored { chunks, of_pass, state, ruled, damaged, places, .. } = stored;
        let undecided = chunks.iter().chain(&of_pass);
        let undecided = undecided.filter(|kept| kept.state == KeptState::Undecided);
        self.undecided_before = undecided.map(|kept| kept.chunk).collect();
        (self.ruled, self.booked) = (ruled, of_pass.len() as u64);
        match (state, &mut self.pass) {
            (Some(Stand::Open(progress)), pass) => {
                let plan = &self.account.plan;
                pass.get_or_insert_with(|| Pass::of(plan, context.settings.chunks))
                    .go_on(*progress);
            }
            (Some(Stand::Finished), pass) => {
                *pass = None;
                self.frontier.close();
            }
            (Some(Stand::Useless), pass) => {
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
        let rows = rows.fold(0, u64::saturating_add);
        let kept = of_pass.len() as u64;
        for Kept { chunk, state, .. } in of_pass {
            match state {
                KeptState::Clean(rows) => self.account.matched(rows, &Default::default()),
                KeptState::Dirty => self.to_recall.push_back(chunk),
                KeptState::Skipped | KeptState::Undecided => {}
            }
        }
        let all = chunks.len() as u64;
        let number = match chunks.is_empty() {
            true => 0,
            false => self.frontier.restore(chunks, &KeyRange::everything()),
        };
        if damaged > 0 || number == 0 && all > 0 {
            let (damaged, chunks_kept) = (damaged.max(1), kept + number);
            self.account.read_again = Some(ReadAgain { damaged, chunks_kept });
            if number == 0 && all > 0 {
                context.checkpoints.forget_mapping(&name);
            }
            for place in places {
                context.checkpoints.forget_chunk(&name, place);
            }
        }
        context.report(Event::MappingResumed { mapping: self.account.index, chunks: number, rows });
        self.take_chunks(context);
    }

    /// Returns whether there is something to read from the ledger, and room for it.
    pub(crate) fn recalls(&self, is_full: bool) -> bool {
        let waits = !self.to_recall.is_empty() || self.frontier.to_recall().is_some();
        waits && !self.finished && !is_full && !self.is_asking()
    }

    /// Returns the stored outcome that is to be read next.
    pub(crate) fn next_to_read(&mut self) -> Option<ToRead> {
        if let Some(chunk) = self.to_recall.pop_front() {
            return Some(ToRead::Pass(chunk));
        }
        let chunk = self.frontier.to_recall()?;
        Some(match self.undecided_before.remove(&chunk) {
            true => ToRead::Reason(chunk),
            false => ToRead::Chunk(chunk),
        })
    }

    /// Takes a stored result of a table scan by blocks, or why it could not be read.
    pub(crate) fn pass_recalled(
        &mut self,
        compared: Result<Compared, String>,
        context: &mut Context<'_>,
    ) {
        match compared {
            Ok(compared) => self.rescanned(KeyRange::everything(), compared, context),
            Err(error) => {
                let reason = format!("what was compared before is lost: {error}");
                self.account.undecided(&KeyRange::everything(), 1, &reason, context);
            }
        }
    }

    /// Takes the reason why a chunk could not be compared.
    pub(crate) fn reason_recalled(
        &mut self,
        chunk: u64,
        reason: String,
        context: &mut Context<'_>,
    ) {
        self.frontier.failed_before(chunk, reason);
        self.take_chunks(context);
    }

    /// Takes the stored outcome of a chunk. A chunk without one is compared again.
    pub(crate) fn chunk_recalled(
        &mut self,
        chunk: u64,
        compared: Option<Compared>,
        context: &mut Context<'_>,
    ) {
        self.frontier.recalled(chunk, compared);
        self.take_chunks(context);
    }
}
