//! `[[mapping]]`: which table and columns of one side answer to which of the other.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::accept::{Accept, read_accepts};
use super::compare::{CompareSettings, Unmapped};
use super::diagnostic::{Diagnostic, Placed, Span};
use super::fragment::Fragment;
use super::params::read_fragment;
use super::problems::Problems;
use super::reader::{Reader, describe, sentence};
use super::rule::{PairSettings, read_pair_settings};
use crate::schema::{BySide, ColumnName, NameError, Side, TableName};

/// What a side reads its rows from.
#[derive(Clone, Debug)]
pub enum Reads {
    /// A table, view, materialized, partitioned or foreign table.
    Table(Placed<TableName>),
    /// A SELECT of the operator's.
    Query(Fragment),
}

impl Reads {
    /// The table's name; `None` of a query.
    pub fn table(&self) -> Option<&TableName> {
        match self {
            Reads::Table(table) => Some(&table.value),
            Reads::Query(_) => None,
        }
    }

    /// Where it stands in the spec.
    pub fn span(&self) -> &Span {
        match self {
            Reads::Table(table) => &table.span,
            Reads::Query(query) => query.span(),
        }
    }
}

/// `[mapping.source]` or `[mapping.target]`.
#[derive(Clone, Debug)]
pub struct SideMapping {
    /// What it reads.
    pub reads: Reads,
    /// Whether rows of tables that inherit from it are left out.
    pub only: bool,
    /// Which rows of it.
    pub filter: Option<Fragment>,
    /// Columns that are not compared.
    pub ignore: Vec<Placed<ColumnName>>,
    /// The column that says when a row was last changed.
    pub changed_at: Option<Placed<ColumnName>>,
}

/// One entry of `[mapping.columns]`.
#[derive(Clone, Debug)]
pub struct ColumnRule {
    /// The pair's name: the target column's, or a free one where `target_sql` is given.
    pub pair: Placed<String>,
    /// How the source says it: a column of its own, or an expression.
    pub source: SourceExpression,
    /// How the target says it, if not as the column of the pair's name.
    pub target: Option<Fragment>,
    /// How the two values may differ, and whether they may be shown.
    pub settings: PairSettings,
}

impl ColumnRule {
    /// The SQL with which a side says the pair's value, if it does not say it as a column.
    pub fn fragment(&self, side: Side) -> Option<&Fragment> {
        match (side, &self.source) {
            (Side::Source, SourceExpression::Sql(fragment)) => Some(fragment),
            (Side::Source, SourceExpression::Column(_)) => None,
            (Side::Target, _) => self.target.as_ref(),
        }
    }
}

/// How the source says a value.
#[derive(Clone, Debug)]
pub enum SourceExpression {
    /// A source column.
    Column(Placed<ColumnName>),
    /// An expression over the source row.
    Sql(Fragment),
}

/// One mapping, checked as far as the file alone allows.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// The pairs that make the key, if the spec names them.
    pub key: Option<Placed<Vec<Placed<String>>>>,
    /// The pair by whose values rows are counted and judged apart.
    pub group_by: Option<Placed<String>>,
    /// What each side reads.
    pub sides: BySide<SideMapping>,
    /// Pairs that the spec writes out.
    pub columns: Vec<ColumnRule>,
    /// Divergence that is agreed to.
    pub accepts: Vec<Accept>,
    /// Whether columns of one name pair by themselves.
    pub pair_by_name: bool,
    /// What becomes of a column that is neither mapped nor ignored.
    pub unmapped: Unmapped,
}

pub(super) fn read_mapping(
    mut table: Reader<'_>,
    settings: &CompareSettings,
    params: &BTreeSet<String>,
) -> Option<Mapping> {
    let problems = table.problems();
    let name = table.string("name");
    let key = table.strings("key");
    let pair_by_name = table.boolean("pair_by_name").unwrap_or(settings.pair_by_name);
    let unmapped = table.choice("unmapped", &Unmapped::WORDS).unwrap_or(settings.unmapped);
    let group_by = table.string("group_by");
    let source = read_side(&mut table, Side::Source, params);
    let target = read_side(&mut table, Side::Target, params);
    let columns = match table.table("columns", "[mapping.columns]") {
        Some(columns) => columns
            .entries()
            .filter_map(|(pair, value)| read_column(pair, value, params, problems))
            .collect(),
        None => Vec::new(),
    };
    let accepts = read_accepts(&mut table, params);
    let span = table.span.clone();
    check_key(key.as_ref(), problems);
    let (Some(source), Some(target)) = (source, target) else {
        table.finish();
        return None;
    };
    let name = match (name, &target.reads) {
        (Some(name), _) => check_name(name, problems)?,
        (None, Reads::Table(table)) => table.value.name.clone(),
        (None, Reads::Query(_)) => {
            table.missing("name", "A mapping whose target is a query needs a name.");
            table.finish();
            return None;
        }
    };
    table.finish();
    let sides = BySide { source, target };
    Some(Mapping { name, span, key, group_by, sides, columns, accepts, pair_by_name, unmapped })
}

fn check_name(name: Placed<String>, problems: &Problems) -> Option<String> {
    let fits = !name.value.is_empty()
        && name.value.len() <= 200
        && !name.value.chars().any(char::is_control);
    if !fits {
        let message = "a mapping's name must have 1 to 200 bytes and no control characters";
        problems.push(Diagnostic::error(&name.span, message));
    }
    fits.then_some(name.value)
}

fn check_key(key: Option<&Placed<Vec<Placed<String>>>>, problems: &Problems) {
    let Some(key) = key else { return };
    if key.value.is_empty() {
        let hint = "Name the pairs that make a row unique, or leave \"key\" out.";
        problems.push(Diagnostic::error(&key.span, "\"key\" is empty").with_hint(hint));
    }
    let mut names = BTreeSet::new();
    for pair in &key.value {
        if !names.insert(&pair.value) {
            let message = format!("\"{}\" stands twice in \"key\"", pair.value);
            problems.push(Diagnostic::error(&pair.span, message));
        }
    }
}

fn read_side(
    mapping: &mut Reader<'_>,
    side: Side,
    params: &BTreeSet<String>,
) -> Option<SideMapping> {
    let (key, name) = match side {
        Side::Source => ("source", "[mapping.source]"),
        Side::Target => ("target", "[mapping.target]"),
    };
    let Some(mut table) = mapping.table(key, name) else {
        mapping.missing(name, &format!("Add {name} with table = \"schema.name\"."));
        return None;
    };
    let problems = table.problems();
    let of_table = table.string("table");
    let of_query = table.string("query");
    let filter = table.string("where");
    let ignore = table.strings("ignore");
    let column = |name: Placed<String>| Placed { value: ColumnName(name.value), span: name.span };
    let changed_at = table.string("changed_at").map(column);
    let only_at = table.value("only").map(|(span, _)| span);
    let only = table.boolean("only").unwrap_or(false);
    if let (true, Some(span), Some(_)) = (only, only_at, &of_query) {
        let message = "\"only\" is for a table that others inherit from, not for a query";
        let hint = "Write FROM ONLY within the query, and leave \"only\" out.";
        problems.push(Diagnostic::error(&span, message).with_hint(hint));
    }
    let reads = match (of_table, of_query) {
        (Some(text), None) => read_table(&text, problems).map(Reads::Table),
        (None, Some(query)) => read_fragment(&query, "query", params, problems).map(Reads::Query),
        (Some(_), Some(query)) => {
            let hint = "Keep one of them.";
            let message = "\"table\" and \"query\" exclude each other";
            problems.push(Diagnostic::error(&query.span, message).with_hint(hint));
            None
        }
        (None, None) => {
            table.missing("table", "Write table = \"schema.name\", or a query.");
            None
        }
    };
    let filter = filter.and_then(|text| read_fragment(&text, "where", params, problems));
    let ignore =
        ignore.map(|list| list.value.into_iter().map(column).collect()).unwrap_or_default();
    table.finish();
    Some(SideMapping { reads: reads?, only, filter, ignore, changed_at })
}

fn read_table(text: &Placed<String>, problems: &Problems) -> Option<Placed<TableName>> {
    match TableName::parse(&text.value) {
        Ok(value) => Some(Placed { value, span: text.span.clone() }),
        Err(why) => {
            let message = format!("\"{}\" does not name a table: {why}", text.value);
            let hint = match why {
                NameError::NoSchema => {
                    format!("Write schema.name, for example \"public.{}\".", text.value)
                }
                _ => "Write schema.name, with SQL's double quotes where needed.".into(),
            };
            problems.push(Diagnostic::error(&text.span, message).with_hint(hint));
            None
        }
    }
}

fn read_column(
    pair: Placed<String>,
    value: &toml::Spanned<DeValue<'_>>,
    params: &BTreeSet<String>,
    problems: &Problems,
) -> Option<ColumnRule> {
    match value.get_ref() {
        DeValue::String(column) => {
            let column = Placed { value: ColumnName(column.to_string()), span: value.span() };
            let source = SourceExpression::Column(column);
            Some(ColumnRule { pair, source, target: None, settings: PairSettings::default() })
        }
        DeValue::Table(inner) => {
            let table = Reader::new(inner, value.span(), "a column", problems);
            read_column_table(pair, table, params)
        }
        other => {
            let message = format!(
                "\"{}\" must be a source column or a table, not {}",
                pair.value,
                describe(other)
            );
            let hint = "Write a column's name, { from = \"…\" } or { sql = \"…\" }.";
            problems.push(Diagnostic::error(&value.span(), message).with_hint(hint));
            None
        }
    }
}

fn read_column_table(
    pair: Placed<String>,
    mut table: Reader<'_>,
    params: &BTreeSet<String>,
) -> Option<ColumnRule> {
    let problems = table.problems();
    let from = table.string("from");
    let sql = table.string("sql").map(|text| read_fragment(&text, "sql", params, problems));
    let target =
        table.string("target_sql").map(|text| read_fragment(&text, "target_sql", params, problems));
    let settings = read_pair_settings(&mut table);
    let source = match (from, sql) {
        (Some(from), None) => {
            let column = Placed { value: ColumnName(from.value), span: from.span };
            Some(SourceExpression::Column(column))
        }
        (None, Some(sql)) => sql.map(SourceExpression::Sql),
        (Some(_), Some(_)) => {
            let why = format!("pair \"{}\" has both \"from\" and \"sql\"", pair.value);
            let hint = sentence("keep one of them");
            problems.push(Diagnostic::error(&table.span, why).with_hint(hint));
            None
        }
        (None, None) => {
            table.missing(
                "from",
                "Name a source column with from, or write an expression with sql.",
            );
            None
        }
    };
    table.finish();
    let target = match target {
        Some(None) => return None,
        Some(fragment) => fragment,
        None => None,
    };
    Some(ColumnRule { pair, source: source?, target, settings })
}
