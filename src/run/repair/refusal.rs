//! Mappings that cannot be repaired. Such a mapping is left out and named, and the repair is made for the
//! others. Rows that depend on its inserts are left out too, and so are deletes of rows to which its rows
//! refer.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::MappingPlan;
use crate::repair::{Described, Wanted, WantedPlace};
use crate::run::blocked::Blocked;

/// A mapping that cannot be repaired.
#[derive(Clone)]
pub(in crate::run) struct Refusal {
    /// The mapping, by place.
    pub(in crate::run) place: usize,
    /// Why, as a clause.
    pub(in crate::run) why: String,
    /// What to do, as a sentence.
    pub(in crate::run) hint: String,
}

/// Why a repair is not made.
pub(in crate::run) enum Unmade {
    /// Something stands in the way of all of it.
    Blocked(Blocked),
    /// Mappings that are to be left out.
    Refused(Vec<Refusal>),
}

impl From<Blocked> for Unmade {
    fn from(blocked: Blocked) -> Unmade {
        Unmade::Blocked(blocked)
    }
}

/// The mappings that are left out, as messages.
pub(in crate::run) fn messages(refusals: &[Refusal], plans: &[MappingPlan]) -> Vec<Blocked> {
    let message = |refusal: &Refusal| {
        let name = &plans[refusal.place].name;
        Blocked::new(format!("mapping \"{name}\" cannot be repaired: {}", refusal.why))
            .hinted(refusal.hint.clone())
    };
    refusals.iter().map(message).collect()
}

/// The rows that are left out with their mappings.
pub(in crate::run) fn described(
    refusals: &[Refusal],
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[Wanted]>,
) -> Vec<Described> {
    let places: BTreeSet<usize> = refusals.iter().map(|refusal| refusal.place).collect();
    let described = |place: &usize| {
        let why = refusals.iter().filter(|refusal| refusal.place == *place);
        let why: Vec<&str> = why.map(|refusal| refusal.why.as_str()).collect();
        Described {
            mapping: plans[*place].name.clone(),
            reason: format!("of a mapping that cannot be repaired: {}", why.join("; ")),
            rows: wanted[place].iter().map(|wanted| wanted.rows).sum(),
        }
    };
    places.iter().map(described).collect()
}

/// What the findings alone say against a mapping: their keys do not tell which rows they mean.
pub(in crate::run) fn of_findings(
    plans: &[MappingPlan],
    wanted: &BTreeMap<usize, &[Wanted]>,
) -> Vec<Refusal> {
    let refused = wanted.iter().filter_map(|(place, wanted)| {
        let plan = &plans[*place];
        let (why, hint) = match plan.redacted_key() {
            Some(pair) => (
                format!("key pair \"{}\" is redacted in the findings", pair.name),
                "Redact no pair of the key, compare again, then repair.",
            ),
            None if !wanted.iter().all(|wanted| has_key_of(plan, wanted)) => {
                ("its findings name another key than the spec".to_owned(), "Compare again.")
            }
            None => return None,
        };
        Some(Refusal { place: *place, why, hint: hint.to_owned() })
    });
    refused.collect()
}

/// Whether a finding's keys are made of the plan's key pairs.
fn has_key_of(plan: &MappingPlan, wanted: &Wanted) -> bool {
    let keys = match &wanted.place {
        WantedPlace::Key(key) => [Some(key), None],
        WantedPlace::Range(after, through) => [after.as_ref(), through.as_ref()],
    };
    keys.into_iter().flatten().all(|key| {
        let named = |name: &str| key.0.iter().any(|(known, _)| known == name);
        key.0.len() == plan.key_width && plan.key().iter().all(|pair| named(&pair.name))
    })
}
