//! Which columns answer to which: the pairs that the spec writes out, then those of one name.
//!
//! A column left over on either side is an error that names it: a column that somebody adds next
//! month must never go uncompared in silence.

use super::common_type::Refusal;
use super::pair::Expression;
use crate::schema::{BySide, ColumnName, Relation, Side};
use crate::spec::{
    Diagnostic, Mapping, Placed, SourceExpression, Span, Terms, Unmapped, did_you_mean,
};

/// A pair before its types are known to meet.
#[derive(Clone, Debug)]
pub(super) struct PairCandidate {
    pub(super) name: String,
    /// Where the spec names it; the mapping's own place for a pair by name.
    pub(super) span: Span,
    /// Whether the spec names it.
    pub(super) asked: bool,
    pub(super) sides: BySide<Expression>,
    pub(super) terms: Terms,
}

/// Pairs columns, and reports what does not exist or is left over.
pub(super) fn pair(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<PairCandidate> {
    for (side, relation) in relations.iter() {
        for ignored in &mapping.sides[side].ignore {
            require_column(relation, side, &ignored.value, &ignored.span, problems);
        }
    }
    let mut pairs = written_out(mapping, relations, problems);
    if mapping.pair_by_name {
        let named = by_name(mapping, relations, &pairs);
        pairs.extend(named);
    }
    report_left_over(mapping, relations, &pairs, problems);
    pairs
}

fn written_out(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<PairCandidate> {
    let mut pairs = Vec::new();
    for rule in &mapping.columns {
        let source = match &rule.source {
            SourceExpression::Sql(fragment) => Expression::Sql(fragment.clone()),
            SourceExpression::Column(Placed { value, span }) => {
                require_column(relations.source, Side::Source, value, span, problems);
                Expression::Column(value.clone())
            }
        };
        let target = match &rule.target {
            Some(fragment) => Expression::Sql(fragment.clone()),
            None => {
                let column = ColumnName(rule.pair.value.clone());
                require_column(relations.target, Side::Target, &column, &rule.pair.span, problems);
                Expression::Column(column)
            }
        };
        let sides = BySide { source, target };
        for (side, expression) in sides.iter() {
            if let Expression::Column(column) = expression
                && is_ignored(mapping, side, column)
            {
                let message = format!("{side} column \"{column}\" is both mapped and ignored");
                let hint = "Take it out of \"ignore\" or out of [mapping.columns].";
                problems.push(Diagnostic::error(&rule.pair.span, message).hinted(hint));
            }
        }
        let (name, span) = (rule.pair.value.clone(), rule.pair.span.clone());
        let terms = rule.terms.clone();
        pairs.push(PairCandidate { name, span, asked: true, sides, terms });
    }
    pairs
}

fn by_name(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    written_out: &[PairCandidate],
) -> Vec<PairCandidate> {
    let pairs_up = |name: &ColumnName| {
        relations.source.column(name).is_some()
            && Side::BOTH.iter().all(|side| !is_ignored(mapping, *side, name))
            && written_out.iter().all(|pair| pair.name != name.0)
    };
    let columns = relations.target.columns.iter().map(|column| &column.name);
    columns
        .filter(|name| pairs_up(name))
        .map(|name| PairCandidate {
            name: name.0.clone(),
            span: mapping.sides.target.reads.span().clone(),
            asked: false,
            sides: BySide::new(|_| Expression::Column(name.clone())),
            terms: Terms::default(),
        })
        .collect()
}

fn report_left_over(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    pairs: &[PairCandidate],
    problems: &mut Vec<Diagnostic>,
) {
    for (side, relation) in relations.iter() {
        let left_over = relation.columns.iter().map(|column| &column.name).filter(|name| {
            let used = |pair: &PairCandidate| match &pair.sides[side] {
                Expression::Column(column) => column == *name,
                Expression::Sql(fragment) => fragment.mentions(&name.0),
            };
            !is_ignored(mapping, side, name) && !pairs.iter().any(used)
        });
        for name in left_over {
            let message = format!("{side} column \"{name}\" is neither mapped nor ignored");
            let span = mapping.sides[side].reads.span();
            let problem = match mapping.unmapped {
                Unmapped::Error => Diagnostic::error(span, message),
                Unmapped::Warn => Diagnostic::warning(span, message),
                Unmapped::Ignore => continue,
            };
            problems.push(problem.hinted(left_over_hint(side, name, relations)));
        }
    }
}

fn left_over_hint(side: Side, name: &ColumnName, relations: BySide<&Relation>) -> String {
    let others = relations[side.other()].columns.iter().map(|column| column.name.0.as_str());
    let near = did_you_mean(&name.0, others.filter(|other| *other != name.0));
    let map = match (side, near) {
        (Side::Source, Some(near)) => format!("Map it with {near} = \"{name}\""),
        (Side::Target, Some(near)) => format!("Map it with {name} = \"{near}\""),
        (_, None) => "Map it in [mapping.columns]".to_owned(),
    };
    format!("{map}, or add it to \"ignore\" of [mapping.{side}].")
}

fn is_ignored(mapping: &Mapping, side: Side, column: &ColumnName) -> bool {
    mapping.sides[side].ignore.iter().any(|ignored| ignored.value == *column)
}

pub(super) fn require_column(
    relation: &Relation,
    side: Side,
    name: &ColumnName,
    span: &Span,
    problems: &mut Vec<Diagnostic>,
) {
    if relation.column(name).is_some() {
        return;
    }
    let message = format!("the {side} has no column \"{name}\"");
    let columns = || relation.columns.iter().map(|column| column.name.0.as_str());
    let hint = match did_you_mean(&name.0, columns()) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!("Its columns are {}.", columns().collect::<Vec<_>>().join(", ")),
    };
    problems.push(Diagnostic::error(span, message).hinted(hint));
}

/// Reports a pair whose types do not meet.
pub(super) fn refuse_meeting(
    pair: &PairCandidate,
    types: BySide<&str>,
    refusal: Refusal,
    problems: &mut Vec<Diagnostic>,
) {
    let message = format!(
        "pair \"{}\" compares {} with {}: {}",
        pair.name, types.source, types.target, refusal.why
    );
    let Terms { rule, tolerance, .. } = &pair.terms;
    let tolerance = tolerance.as_ref().map(|tolerance| &tolerance.span);
    let span = tolerance.or(rule.as_ref().map(|rule| &rule.span)).unwrap_or(&pair.span);
    problems.push(Diagnostic::error(span, message).hinted(refusal.hint));
}
