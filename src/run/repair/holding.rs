//! What the written side's columns make of values that come from other types: its server says it while
//! a repair is made, so that nothing is rounded, cut off or refused when it is applied.

use std::collections::BTreeSet;

use crate::compare::agree;
use crate::pg::{Remedy, Row};
use crate::prepare::Blocked;
use crate::repair::{Act, Change};
use crate::row::Record;
use crate::run::work::task_context::TaskContext;
use crate::schema::{BySide, PgType, Side};
use crate::{plan::Pair, sql};

/// A change that may still turn out to be none.
pub(in crate::run) struct Draft<'d> {
    pub(in crate::run) act: Act,
    pub(in crate::run) change: Change,
    /// The columns of the images that it sets.
    pub(in crate::run) set: Vec<usize>,
    /// Where a value comes from another type: its place in the images, and its pair.
    pub(in crate::run) converted: Vec<(usize, usize)>,
    /// The authority's row, if it has one.
    pub(in crate::run) right: Option<&'d Row>,
    /// What the written side's row holds, by column.
    pub(in crate::run) stored: Vec<Option<&'d str>>,
}

/// Whether a side's column may hold another value than the other side's says. Of one built-in type with
/// one modifier both hold the same, unless their encodings have other letters.
pub(in crate::run) fn converts(pair: &Pair, recodes: bool) -> bool {
    let BySide { source, target } = &pair.sides;
    let (source, target) = (&source.column_type, &target.column_type);
    let builtin = matches!(source.pg_type, PgType::Builtin(_));
    recodes || !(builtin && source.pg_type == target.pg_type && source.display == target.display)
}

/// Puts what the columns make of them in the place of converted values. Gives for each draft why it is
/// none, where a column would hold another value than the pair allows, or refuses it.
pub(in crate::run) async fn hold(
    hands: &TaskContext<'_>,
    written: Side,
    drafts: &mut [Draft<'_>],
) -> Result<Vec<Option<String>>, Blocked> {
    let plan = hands.plan;
    let pairs: BTreeSet<usize> =
        drafts.iter().flat_map(|draft| draft.converted.iter().map(|(_, pair)| *pair)).collect();
    let mut refused = vec![None; drafts.len()];
    let mut parts = vec![(0..drafts.len(), pairs.into_iter().collect::<Vec<_>>())];
    parts.retain(|(_, pairs)| !pairs.is_empty());
    let why = |pair: &usize| {
        let pair = &plan.pairs[*pair];
        let type_name = &pair.sides[written].column_type.display;
        format!("whose value of pair \"{}\" the {written}'s {type_name} does not hold", pair.name)
    };
    while let Some((range, pairs)) = parts.pop() {
        let values: Vec<Vec<Option<&str>>> = pairs
            .iter()
            .map(|pair| drafts[range.clone()].iter().map(|draft| draft.told(*pair)).collect())
            .collect();
        let held =
            match hands.query(written, sql::cast_values(plan, written, &pairs, &values)).await {
                Ok(held) => held,
                // The server does not say which value it refuses.
                Err((_, error)) if error.remedy == Remedy::Isolate => {
                    let middle = range.start + range.len() / 2;
                    match (range.len(), pairs.as_slice()) {
                        (0 | 1, [pair]) => refused[range.start] = Some(why(pair)),
                        (0 | 1, _) => {
                            parts.extend(pairs.into_iter().map(|pair| (range.clone(), vec![pair])));
                        }
                        _ => {
                            parts.push((middle..range.end, pairs.clone()));
                            parts.push((range.start..middle, pairs));
                        }
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
        for (place, row) in range.zip(&held) {
            for (at, pair) in pairs.iter().enumerate() {
                let Some(image) = drafts[place].place(*pair) else { continue };
                let right = drafts[place].right.and_then(|row| row.field(*pair));
                if !agree(&plan.pairs[*pair], right, row.field(at)) {
                    refused[place] = Some(why(pair));
                    continue;
                }
                let text: Option<String> =
                    row.get(pairs.len() + at).map_err(|error| (Some(written), error))?;
                if let Some(new) = &mut drafts[place].change.new {
                    new[image] = text;
                }
            }
        }
    }
    Ok(refused)
}

impl Draft<'_> {
    /// Where a converted pair stands in the images.
    fn place(&self, pair: usize) -> Option<usize> {
        self.converted.iter().find(|(_, other)| *other == pair).map(|(at, _)| *at)
    }

    fn told(&self, pair: usize) -> Option<&str> {
        self.change.new.as_ref()?[self.place(pair)?].as_deref()
    }
}
