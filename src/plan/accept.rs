//! Accept rules with the side of each condition.
//!
//! A condition names `source.` or `target.`, and only the server with that row can parse it. So both
//! servers parse it: the one that succeeds has the side.

use jiff::civil::Date;

use super::facts::Facts;
use super::pair::Pair;
use crate::finding::DivergenceKind;
use crate::schema::{BySide, Side};
use crate::spec::{Accept, Diagnostic, Fragment, Mapping, did_you_mean};

/// A rule that accepts divergence.
#[derive(Clone, Debug)]
pub struct AcceptRule {
    /// The side whose row the condition is about.
    pub side: Side,
    /// The rows that it accepts.
    pub condition: Fragment,
    /// The kinds of divergence that it accepts.
    pub kinds: Vec<DivergenceKind>,
    /// The pairs that may differ, by index; `None` for all.
    pub columns: Option<Vec<usize>>,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which the rule applies, in UTC.
    pub until: Date,
}

/// The accept rules of a mapping.
#[derive(Clone, Debug, Default)]
pub struct AcceptRules {
    /// Rules that apply.
    pub live: Vec<AcceptRule>,
    /// Rules that have expired: they do not apply, and are reported.
    pub expired: Vec<AcceptRule>,
}

impl AcceptRules {
    /// Moves the rules that have expired on this day out of `live`.
    pub fn expire(&mut self, today: Date) {
        let (live, expired) =
            std::mem::take(&mut self.live).into_iter().partition(|rule| rule.until >= today);
        self.live = live;
        self.expired.extend::<Vec<AcceptRule>>(expired);
    }

    /// Returns the indexes of the rules with a condition on a side's rows.
    pub fn of(&self, side: Side) -> Vec<usize> {
        self.indexes(|rule| rule.side == side)
    }

    /// Returns the indexes of the rules that may accept rows which only this side has.
    pub fn of_one_sided(&self, side: Side) -> Vec<usize> {
        self.indexes(|rule| {
            rule.side == side && rule.kinds.contains(&DivergenceKind::only_in(side))
        })
    }

    fn indexes(&self, fits: impl Fn(&AcceptRule) -> bool) -> Vec<usize> {
        let rules = self.live.iter().enumerate();
        rules.filter(|(_, rule)| fits(rule)).map(|(place, _)| place).collect()
    }

    /// Returns the first rule that accepts a divergence, of the rules whose conditions hold.
    pub fn find_covering(
        &self,
        kind: DivergenceKind,
        holding: &[usize],
        differing: impl Iterator<Item = usize> + Clone,
    ) -> Option<&AcceptRule> {
        let covers = |rule: &AcceptRule| {
            let lists_all =
                |columns: &Vec<usize>| differing.clone().all(|pair| columns.contains(&pair));
            rule.kinds.contains(&kind) && rule.columns.as_ref().is_none_or(lists_all)
        };
        let rules = self.live.iter().enumerate();
        rules
            .filter(|(place, _)| holding.contains(place))
            .map(|(_, rule)| rule)
            .find(|rule| covers(rule))
    }
}

/// Makes the accept rules of a mapping. Reports what is wrong with them.
pub(super) fn make_accept_rules(
    mapping: &Mapping,
    pairs: &[Pair],
    facts: BySide<&Facts>,
    problems: &mut Vec<Diagnostic>,
) -> AcceptRules {
    let mut rules = Vec::new();
    for (place, accept) in mapping.accepts.iter().enumerate() {
        let refusals = facts.map(|facts| facts.accepts.get(place).and_then(Option::as_ref));
        let side = find_side(accept, refusals).map_err(|problem| problems.push(problem));
        let columns = accept.columns.as_ref().map(|names| {
            names.iter().filter_map(|name| find_pair(pairs, name, "accept", problems)).collect()
        });
        let Ok(side) = side else { continue };
        rules.push(AcceptRule {
            side,
            condition: accept.condition.clone(),
            kinds: accept.kinds.clone(),
            columns,
            reason: accept.reason.clone(),
            until: accept.until,
        });
    }
    AcceptRules { live: rules, expired: Vec::new() }
}

/// Returns the side whose server parsed the condition.
fn find_side(accept: &Accept, refusals: BySide<Option<&Diagnostic>>) -> Result<Side, Diagnostic> {
    let span = accept.condition.span();
    let names = BySide::new(|side: Side| accept.condition.mentions(side.name()));
    match (refusals.source, refusals.target) {
        (None, Some(_)) => Ok(Side::Source),
        (Some(_), None) => Ok(Side::Target),
        (None, None) if names.source != names.target => {
            Ok(if names.source { Side::Source } else { Side::Target })
        }
        (None, None) => Err(Diagnostic::error(
            span,
            "\"where\" of this rule could be meant of either side",
        )
        .with_hint("Write source. or target. before its columns, to say whose row is meant.")),
        (Some(_), Some(_)) if names.source && names.target => {
            Err(Diagnostic::error(span, "\"where\" of this rule refers to both sides").with_hint(
                "One server evaluates it, and it has only its own row: name source. or target., not both.",
            ))
        }
        (Some(source), Some(target)) => {
            Err(if names.target { target.clone() } else { source.clone() })
        }
    }
}

/// Returns the index of the pair that groups the rows. Its values must not be redacted, and equal where
/// they agree, or one row would belong to two groups.
pub(super) fn find_group(
    mapping: &Mapping,
    pairs: &[Pair],
    problems: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let name = mapping.group_by.as_ref()?;
    let place = find_pair(pairs, name, "group_by", problems)?;
    let Pair { tolerance, settings, .. } = &pairs[place];
    let why = match (tolerance, settings.redact) {
        (None, false) => return Some(place),
        (Some(_), _) => "whose values may differ and still agree",
        (None, true) => "which is redacted, while groups are told by value",
    };
    let message = format!("group_by names \"{}\", {why}", name.value);
    let hint = "Name another pair, or one of your own with sql and target_sql.";
    problems.push(Diagnostic::error(&name.span, message).with_hint(hint));
    None
}

/// Returns the index of a pair that the spec names.
fn find_pair(
    pairs: &[Pair],
    name: &crate::spec::Placed<String>,
    what: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let place = pairs.iter().position(|pair| pair.name == name.value);
    if place.is_none() {
        let message = format!("{what} names \"{}\", which is not a pair", name.value);
        let names = pairs.iter().map(|pair| pair.name.as_str());
        let hint = match did_you_mean(&name.value, names) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => "A pair is named after its target column.".to_owned(),
        };
        problems.push(Diagnostic::error(&name.span, message).with_hint(hint));
    }
    place
}

#[cfg(test)]
mod tests {
    use super::super::{MappingPlan, sample};
    use super::*;
    use crate::schema::Builtin as B;

    fn plan(rest: &str) -> Result<MappingPlan, Vec<String>> {
        let columns = [("id", B::Int8, true), ("a", B::Int4, false), ("b", B::Text, false)];
        let facts = sample::table(&columns, &["id"]);
        let mappings = format!(
            "[[mapping]]\n{rest}\n[mapping.source]\ntable = \"public.t\"\n\
             [mapping.target]\ntable = \"public.t\"\n"
        );
        let planned = sample::plan(&mappings, BySide { source: &facts, target: &facts });
        planned.map(|(plan, _)| plan).map_err(|list| list.into_iter().map(|p| p.message).collect())
    }

    fn rule(condition: &str, rest: &str) -> String {
        format!(
            "accept = [{{ where = \"{condition}\", reason = \"r\", until = \"2027-01-31\"{rest} }}]"
        )
    }

    #[test]
    fn a_condition_has_the_side_that_it_names() {
        let side = |condition: &str| plan(&rule(condition, "")).unwrap().accepts.live[0].side;
        assert_eq!(side("source.a = 1"), Side::Source);
        assert_eq!(side("target.a = 1"), Side::Target);
        for (condition, message) in [
            ("source.a = target.a", "\"where\" of this rule refers to both sides"),
            ("a = 1", "\"where\" of this rule could be meant of either side"),
        ] {
            assert_eq!(plan(&rule(condition, "")).unwrap_err(), [message]);
        }
    }

    #[test]
    fn every_column_that_differs_must_be_listed() {
        let plan = plan(&rule("source.a = 1", ", columns = [\"a\"]")).unwrap();
        let covers = |kind, holding: &[usize], differing: &[usize]| {
            plan.accepts.find_covering(kind, holding, differing.iter().copied()).is_some()
        };
        assert!(covers(DivergenceKind::Mismatch, &[0], &[1]));
        assert!(!covers(DivergenceKind::Mismatch, &[0], &[1, 2]));
        assert!(!covers(DivergenceKind::Mismatch, &[], &[1]));
        assert!(!covers(DivergenceKind::OnlyInSource, &[0], &[]));
    }

    #[test]
    fn a_rule_applies_on_its_last_day_and_not_on_the_next() {
        let mut plan = plan(&rule("source.a = 1", "")).unwrap();
        plan.accepts.expire(jiff::civil::date(2027, 1, 31));
        assert_eq!((plan.accepts.live.len(), plan.accepts.expired.len()), (1, 0));
        plan.accepts.expire(jiff::civil::date(2027, 2, 1));
        assert_eq!((plan.accepts.live.len(), plan.accepts.expired.len()), (0, 1));
    }

    #[test]
    fn names_that_are_no_pairs_are_refused() {
        let found = plan(&rule("source.a = 1", ", columns = [\"c\"]")).unwrap_err();
        assert_eq!(found, ["accept names \"c\", which is not a pair"]);
        let found = plan("group_by = \"tenant\"").unwrap_err();
        assert_eq!(found, ["group_by names \"tenant\", which is not a pair"]);
        assert_eq!(plan("group_by = \"a\"").unwrap().group, Some(1));
        for settings in ["redact = true", "tolerance = '1'"] {
            let column = format!("group_by = \"a\"\ncolumns.a = {{ from = 'a', {settings} }}");
            assert!(plan(&column).unwrap_err()[0].starts_with("group_by names \"a\", wh"));
        }
    }
}
