//! The pairs of columns: those that the spec lists, then those of one name.
//!
//! A column without a pair on either side is an error that names it, so that a column that is added
//! later is never left out in silence.

use super::pair::Expression;
use crate::problem::Problem;
use crate::schema::{BySide, ColumnName, ColumnType, Relation, Side};
use crate::spec::{
    Diagnostic, Mapping, PairSettings, Placed, SourceExpression, Span, Unmapped, did_you_mean,
};

/// A pair of columns or expressions before their common type is known.
#[derive(Clone, Debug)]
pub(super) struct ColumnPair {
    pub(super) name: String,
    /// Where the spec names it; for a pair by name, where it names what the target reads.
    pub(super) span: Span,
    /// Whether the spec names it.
    pub(super) is_named: bool,
    pub(super) sides: BySide<Expression>,
    pub(super) settings: PairSettings,
}

/// Pairs the columns. Reports columns that do not exist or have no pair.
pub(super) fn pair_columns(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<ColumnPair> {
    for (side, relation) in relations.iter() {
        for ignored in &mapping.sides[side].ignore {
            require_column(relation, side, &ignored.value, &ignored.span, problems);
        }
    }
    let mut pairs = listed_pairs(mapping, relations, problems);
    if mapping.pair_by_name {
        let named = pairs_by_name(mapping, relations, &pairs);
        pairs.extend(named);
    }
    report_unpaired(mapping, relations, &pairs, problems);
    pairs
}

fn listed_pairs(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<ColumnPair> {
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
                problems.push(Diagnostic::error(&rule.pair.span, message).with_hint(hint));
            }
        }
        let (name, span) = (rule.pair.value.clone(), rule.pair.span.clone());
        let settings = rule.settings.clone();
        pairs.push(ColumnPair { name, span, is_named: true, sides, settings });
    }
    pairs
}

fn pairs_by_name(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    listed: &[ColumnPair],
) -> Vec<ColumnPair> {
    let pairs_up = |name: &ColumnName| {
        relations.source.column(name).is_some()
            && Side::BOTH.iter().all(|side| !is_ignored(mapping, *side, name))
            && listed.iter().all(|pair| pair.name != name.0)
    };
    let columns = relations.target.columns.iter().map(|column| &column.name);
    columns
        .filter(|name| pairs_up(name))
        .map(|name| ColumnPair {
            name: name.0.clone(),
            span: mapping.sides.target.reads.span().clone(),
            is_named: false,
            sides: BySide::new(|_| Expression::Column(name.clone())),
            settings: PairSettings::default(),
        })
        .collect()
}

fn report_unpaired(
    mapping: &Mapping,
    relations: BySide<&Relation>,
    pairs: &[ColumnPair],
    problems: &mut Vec<Diagnostic>,
) {
    for (side, relation) in relations.iter() {
        let unpaired = relation.columns.iter().map(|column| &column.name).filter(|name| {
            let used = |pair: &ColumnPair| match &pair.sides[side] {
                Expression::Column(column) => column == *name,
                Expression::Sql(fragment) => fragment.mentions(&name.0),
            };
            !is_ignored(mapping, side, name) && !pairs.iter().any(used)
        });
        for name in unpaired {
            let message = format!("{side} column \"{name}\" is neither mapped nor ignored");
            let span = mapping.sides[side].reads.span();
            let problem = match mapping.unmapped {
                Unmapped::Error => Diagnostic::error(span, message),
                Unmapped::Warn => Diagnostic::warning(span, message),
                Unmapped::Ignore => continue,
            };
            problems.push(problem.with_hint(unpaired_hint(side, name, relations)));
        }
    }
}

fn unpaired_hint(side: Side, name: &ColumnName, relations: BySide<&Relation>) -> String {
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
    problems.push(Diagnostic::error(span, message).with_hint(hint));
}

/// Reports a pair that cannot be compared, with its types. The problem's message is a clause.
pub(super) fn report_pair(
    pair: &ColumnPair,
    types: &BySide<ColumnType>,
    problem: Problem,
    problems: &mut Vec<Diagnostic>,
) {
    let message = format!(
        "pair \"{}\" compares {} with {}: {}",
        pair.name, types.source.display, types.target.display, problem.message
    );
    let PairSettings { rule, tolerance, .. } = &pair.settings;
    let tolerance = tolerance.as_ref().map(|tolerance| &tolerance.span);
    let span = tolerance.or(rule.as_ref().map(|rule| &rule.span)).unwrap_or(&pair.span);
    problems.push(Diagnostic::of_problem(span, Problem { message, ..problem }));
}
