//! A run that goes on: what is written down of every chunk on its way, and how a mapping comes back to
//! where it stood.
//!
//! The ledger has what the scan saw, and everything else follows from that again: candidates of chunks
//! that were compared before an interruption are looked at anew, as if they had just been met, so that
//! what has healed in between is not told. Chunks are not read twice; keys that differ are.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::mapping::MappingState;
use super::mapping::one_sided::Ruled;
use super::scan::pass::{Pass, PassProgress};
use super::scan::slots::{Outcome, Told};
use crate::compare::{PartCounts, RangeComparison};
use crate::event::Event;
use crate::finding::{Disposition, ReadAgain, Ruling};
use crate::ledger::{Checked, Kept, KeptState, LedgerError, StoredChunks, StoredPass};
use crate::row::{Bound, Key, KeyRange};
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

/// What the ledger has of a mapping of an interrupted run.
#[derive(Default)]
struct Stored {
    /// Chunks of key ranges.
    chunks: Vec<Kept>,
    /// What a comparison by buckets has compared for good, by number.
    of_pass: Vec<Kept>,
    /// How much that was.
    booked: u64,
    state: Option<Stand>,
    ruled: HashMap<Option<Key>, Ruled>,
    /// Stored results that are damaged.
    damaged: u64,
    /// The places of the chunks among them.
    places: Vec<i64>,
    /// The shards among them.
    shards: u64,
}

impl Stored {
    /// Returns whether what is sound counts without what is damaged. Key ranges do, for what they leave
    /// uncovered is read again. A comparison by buckets counts as a whole, and so does a sample, which
    /// takes and skips chunks in turn.
    fn adds_up(&self, sample: bool) -> bool {
        let numbered = |(at, kept): (usize, &Kept)| kept.chunk == FIRST_OF_PASS + at as u64;
        let all = self.of_pass.len() as u64 == self.booked;
        let whole = all && self.of_pass.iter().enumerate().all(numbered);
        whole && (self.shards == 0 || self.of_pass.is_empty()) && (self.damaged == 0 || !sample)
    }
}

impl MappingState {
    /// Writes down what became of a chunk, at once where the order of keys can be told here.
    pub(super) fn keep_compared(
        &mut self,
        chunk: u64,
        compared: &RangeComparison,
        desk: &mut Desk<'_>,
    ) {
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
        (ruling, parts): (&Ruling, &PartCounts),
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
    pub(super) fn ruled_before(
        &mut self,
        range: &KeyRange,
        side: Side,
    ) -> Option<(Ruling, PartCounts)> {
        let after = range.after.as_ref().map(|bound| bound.key.clone());
        let Ruled { side: of, through, ruling, parts } = self.ruled.remove(&after)?;
        let same = of == side && through.as_ref() == range.through.as_ref().map(|bound| &bound.key);
        same.then_some((ruling, parts))
    }

    /// Writes down what a pass has compared for good, and how it goes on.
    /// Gives it back to be taken in, unless it is only scanned here.
    pub(super) fn keep_passed(
        &mut self,
        compared: RangeComparison,
        desk: &mut Desk<'_>,
    ) -> Option<RangeComparison> {
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
        if desk.starts_over(&name) {
            desk.forget_checkpoints(&name);
            return Ok(());
        }
        let mut stored = self.stored(whole, desk).await?;
        if !stored.adds_up(desk.options.sample.is_some()) {
            desk.forget_checkpoints(&name);
            stored = Stored { damaged: stored.damaged.max(1), ..Stored::default() };
        }
        let Stored { chunks, of_pass, state, ruled, damaged, places, .. } = stored;
        let undecided = chunks.iter().chain(&of_pass);
        let undecided = undecided.filter(|kept| kept.state == KeptState::Undecided);
        self.undecided_before = undecided.map(|kept| kept.chunk).collect();
        (self.ruled, self.booked) = (ruled, of_pass.len() as u64);
        match (state, &mut self.pass) {
            (Some(Stand::Open(progress)), pass) => {
                let plan = &self.account.plan;
                pass.get_or_insert_with(|| Pass::of(plan, &desk.options)).go_on(*progress);
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
                desk.forget_checkpoints(&name);
            }
            places.into_iter().for_each(|place| desk.forget_chunk(&name, place));
        }
        desk.tell(Event::MappingResumed { mapping: self.account.index, chunks: number, rows });
        self.take_chunks(desk);
        Ok(())
    }

    /// Reads what the ledger has of a mapping, and counts what of it is damaged.
    async fn stored(&self, whole: bool, desk: &mut Desk<'_>) -> Result<Stored, LedgerError> {
        let plan = &self.account.plan;
        let StoredChunks { sound, damaged: mut places } = desk.kept(&plan.name).await?;
        let (ruled, rulings) = desk.rulings(&plan.name).await?;
        let pass = desk.kept_pass::<PassState>(&plan.name).await?;
        let shards = if whole { desk.damaged_shards(&plan.name).await? } else { 0 };
        let (sound, strange): (Vec<Kept>, Vec<Kept>) =
            sound.into_iter().partition(|kept| plan.fits(&kept.range));
        places.extend(strange.iter().map(|kept| kept.chunk.cast_signed()));
        let mut damaged = places.len() as u64 + rulings + shards;
        let counts = |kept: &Kept| whole || kept.state != KeptState::Undecided;
        let (mut of_pass, chunks): (Vec<Kept>, Vec<Kept>) =
            sound.into_iter().filter(counts).partition(|kept| kept.chunk >= FIRST_OF_PASS);
        let (booked, state) = match pass {
            StoredPass::Sound(PassState { booked, stand }) => (booked, Some(stand)),
            // What a process of many had compared counts if it is all of it.
            StoredPass::Nothing if whole => (of_pass.len() as u64, None),
            // A part of a pass that a process of many had in hand: how it went on is not known.
            StoredPass::Nothing => (0, None),
            StoredPass::Damaged => {
                damaged += 1;
                (of_pass.len() as u64 + 1, None)
            }
        };
        of_pass.retain(|kept| kept.chunk < FIRST_OF_PASS.saturating_add(booked));
        Ok(Stored { chunks, of_pass, booked, state, ruled, damaged, places, shards })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::sample;
    use crate::run::options::Options;
    use crate::schema::Builtin;
    use crate::spec::CompareSettings;

    /// Where a pass of a table that no index serves stands.
    fn written() -> Vec<u8> {
        let plan =
            sample::same(&[("id", Builtin::Int4, true), ("v", Builtin::Text, false)], &["id"]);
        let pass = Pass::of(&plan, &Options::of(&CompareSettings::default()));
        let stand = Stand::Open(Box::new(pass.progress()));
        postcard::to_stdvec(&PassState { booked: 3, stand }).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn random_bytes_are_no_pass(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = postcard::take_from_bytes::<PassState>(&bytes);
            let _ = postcard::take_from_bytes::<Ruled>(&bytes);
        }

        #[test]
        fn a_pass_of_cut_or_flipped_bytes_is_read_or_refused(
            at in any::<prop::sample::Index>(),
            bit in 0..8_u32,
        ) {
            let mut bytes = written();
            prop_assert!(postcard::take_from_bytes::<PassState>(&bytes).is_ok());
            let at = at.index(bytes.len());
            prop_assert!(postcard::take_from_bytes::<PassState>(&bytes[..at]).is_err());
            bytes[at] ^= 1 << bit;
            let _ = postcard::take_from_bytes::<PassState>(&bytes);
        }
    }

    #[test]
    fn what_a_pass_has_compared_counts_as_a_whole() {
        let kept = |chunk: u64| Kept {
            chunk: FIRST_OF_PASS + chunk,
            range: KeyRange::everything(),
            rows: 0,
            state: KeptState::Dirty,
        };
        let stored = |numbers: &[u64], booked: u64| Stored {
            of_pass: numbers.iter().map(|number| kept(*number)).collect(),
            booked,
            ..Stored::default()
        };
        assert!(stored(&[], 0).adds_up(true) && stored(&[0, 1], 2).adds_up(false));
        assert!(!stored(&[0], 2).adds_up(false) && !stored(&[0, 2], 2).adds_up(false));
        assert!(!Stored { shards: 1, ..stored(&[0], 1) }.adds_up(false));
        // Chunks of keys count by themselves, unless a sample has to count them.
        assert!(Stored { damaged: 1, shards: 1, ..stored(&[], 0) }.adds_up(false));
        assert!(!Stored { damaged: 1, ..stored(&[], 0) }.adds_up(true));
    }
}
