//! The facts of one server about the mappings, read for hundreds of them at a time.
//!
//! Queries of the catalog name many relations in one statement. Each fragment of the operator's SQL is
//! checked in a statement of its own, several in flight at the same time. Whatever the batches, each mapping
//! has the facts and problems that it would have alone.

use std::collections::{BTreeMap, HashMap};

use crate::pg::{Catalog, PgError, QueryColumns, Remedy};
use crate::plan::{Facts, ZoneDependency, find_zone_dependency, may_depend_on_zone};
use crate::schema::{
    Column, ColumnName, ColumnType, Relation, RelationKind, SchemaName, Server, Shape, Side,
    TableName,
};
use crate::spec::{ColumnRule, Diagnostic, Fragment, Mapping, Reads, SideMapping, did_you_mean};

/// The maximum of missing tables for which a similar name is looked up. Each needs all names of a
/// schema, and no more problems than these are shown.
const MOST_SUGGESTIONS: usize = 100;

/// What is known of one mapping on one side.
struct MappingFacts<'m> {
    mapping: &'m Mapping,
    shape: Option<Shape>,
    relation: Option<Relation>,
    expressions: BTreeMap<String, ColumnType>,
    accepts: Vec<Option<Diagnostic>>,
    changed_at: Vec<String>,
    problems: Vec<Diagnostic>,
    /// Whether a problem keeps it from being planned.
    failed: bool,
}

/// What a fragment of the operator's SQL is for.
#[derive(Clone, Copy)]
enum FragmentUse<'m> {
    Filter,
    Column(&'m ColumnRule),
    Accept,
}

/// Reads facts about mappings of one side.
pub(crate) struct FactReader<'c> {
    pub(crate) catalog: &'c Catalog<'c>,
    pub(crate) server: &'c Server,
    /// Only rows that changed at this moment or later are compared, if there is one.
    pub(crate) moment: Option<&'c String>,
    /// The names of the relations in schemas in which a table was not found.
    names: HashMap<SchemaName, Vec<String>>,
    suggestions: usize,
}

impl<'c> FactReader<'c> {
    /// Creates the reader of one side.
    pub(crate) fn new(
        catalog: &'c Catalog<'c>,
        server: &'c Server,
        moment: Option<&'c String>,
    ) -> FactReader<'c> {
        let suggestions = MOST_SUGGESTIONS;
        FactReader { catalog, server, moment, names: HashMap::new(), suggestions }
    }

    fn side(&self) -> Side {
        self.catalog.side
    }

    /// Reads the facts about each mapping, in order; `None` for a mapping with a problem. Problems
    /// and warnings are appended in the mappings' order.
    ///
    /// # Errors
    /// What the server reports, unless it is about the spec.
    pub(crate) async fn facts(
        &mut self,
        mappings: &[&Mapping],
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Option<Facts>>, PgError> {
        let mut facts = Vec::with_capacity(mappings.len());
        for batch in mappings.chunks(self.catalog.most.max(1)) {
            for mut of_mapping in self.batch(batch).await? {
                problems.append(&mut of_mapping.problems);
                facts.push(self.fact(of_mapping));
            }
        }
        Ok(facts)
    }

    fn fact(&self, facts: MappingFacts<'_>) -> Option<Facts> {
        let MappingFacts { shape, relation, expressions, accepts, changed_at, failed, .. } = facts;
        let (shape, relation) = (shape?, relation.filter(|_| !failed)?);
        let moment = self.moment.cloned().filter(|_| relation.schema_usable);
        Some(Facts { shape, relation, expressions, accepts, changed_at, moment })
    }

    async fn batch<'m>(
        &mut self,
        mappings: &[&'m Mapping],
    ) -> Result<Vec<MappingFacts<'m>>, PgError> {
        let mut facts: Vec<MappingFacts<'m>> =
            mappings.iter().map(|mapping| MappingFacts::new(mapping)).collect();
        // Shapes come first: a change between the queries is noticed when rows are read.
        let queries = self.shapes(&mut facts).await?;
        self.tables(&mut facts).await?;
        self.queries(&mut facts, &queries).await?;
        self.fragments(&mut facts).await?;
        self.spreads(&mut facts).await?;
        self.zones(&mut facts).await?;
        Ok(facts)
    }

    /// Reads the shapes. Returns the columns of queries with their places.
    async fn shapes(
        &self,
        facts: &mut [MappingFacts<'_>],
    ) -> Result<Vec<(usize, QueryColumns)>, PgError> {
        let side = self.side();
        let reads: Vec<&Reads> = facts.iter().map(|facts| facts.reads(side)).collect();
        let shapes = self.catalog.shapes(&reads).await?;
        let mut queries = Vec::new();
        for (place, (facts, shape)) in facts.iter_mut().zip(shapes).enumerate() {
            match (shape, facts.reads(side)) {
                (Ok((shape, columns)), _) => {
                    facts.shape = Some(shape);
                    queries.extend(columns.map(|columns| (place, columns)));
                }
                (Err(error), Reads::Query(query)) => facts.reject(at_fragment(side, query, error)?),
                (Err(error), Reads::Table(_)) => return Err(error),
            }
        }
        Ok(queries)
    }

    /// Reads the tables.
    async fn tables(&mut self, facts: &mut [MappingFacts<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let named = facts.iter().filter_map(|facts| {
            let settings = facts.settings(side);
            Some((settings.reads.table()?, settings.only))
        });
        let mut found = self.catalog.tables(&named.collect::<Vec<_>>()).await?.into_iter();
        for facts in facts {
            let SideMapping { reads: Reads::Table(table), only, .. } = facts.settings(side) else {
                continue;
            };
            let relation = found.next().flatten();
            let kind = relation.as_ref().map(|relation| relation.kind);
            facts.relation = relation;
            let (message, hint) = match kind {
                None => {
                    let database = &self.server.database;
                    let message = format!(
                        "the {side} has no table \"{}\" in database \"{database}\"",
                        table.value
                    );
                    (message, self.hint_for_missing(&table.value).await?)
                }
                Some(RelationKind::Partitioned) if *only => {
                    let message =
                        format!("\"only\" excludes every row of partitioned table {}", table.value);
                    let hint = "All its rows are in its partitions: leave \"only\" out, or name \
                                a partition.";
                    (message, hint.to_owned())
                }
                Some(_) => continue,
            };
            facts.reject(Diagnostic::error(&table.span, message).with_hint(hint));
        }
        Ok(())
    }

    /// Returns a hint for a table that does not exist.
    async fn hint_for_missing(&mut self, table: &TableName) -> Result<String, PgError> {
        let schema = &table.schema;
        if !self.names.contains_key(schema) {
            let names = self.catalog.names_in(schema).await?;
            self.names.insert(schema.clone(), names);
        }
        let names = self.names.get(schema).map_or(&[][..], Vec::as_slice);
        if names.is_empty() {
            return Ok(format!(
                "Schema \"{schema}\" has no tables here; check the name and the database."
            ));
        }
        let may_suggest = self.suggestions > 0;
        self.suggestions = self.suggestions.saturating_sub(1);
        let near = may_suggest.then(|| did_you_mean(&table.name, names.iter().map(String::as_str)));
        Ok(match near.flatten() {
            Some(near) => format!("Did you mean \"{schema}.{near}\"?"),
            None => "Check the name; unquoted parts fold to lower case.".to_owned(),
        })
    }

    /// Reads the queries whose columns are known.
    async fn queries(
        &self,
        facts: &mut [MappingFacts<'_>],
        described: &[(usize, QueryColumns)],
    ) -> Result<(), PgError> {
        let side = self.side();
        let mut queries = Vec::new();
        for (place, columns) in described {
            if let Reads::Query(query) = facts[*place].reads(side) {
                queries.push((query, columns));
            }
        }
        let relations = self.catalog.queries(&queries).await?;
        for ((place, _), relation) in described.iter().zip(relations) {
            let facts = &mut facts[*place];
            match (relation, facts.reads(side)) {
                (Ok(relation), _) => facts.relation = Some(relation),
                (Err(error), Reads::Query(query)) => facts.reject(at_fragment(side, query, error)?),
                (Err(error), Reads::Table(_)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Checks each fragment of the operator's SQL on the server.
    async fn fragments(&self, facts: &mut [MappingFacts<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let mut places = Vec::new();
        let mut fragments = Vec::new();
        for (place, facts) in facts.iter().enumerate().filter(|(_, facts)| facts.is_usable()) {
            for (of, fragment) in facts.fragments(side) {
                places.push((place, of, fragment));
                fragments.push((facts.reads(side), fragment));
            }
        }
        let types = self.catalog.expressions(&fragments).await?;
        for ((place, of, fragment), found) in places.into_iter().zip(types) {
            let facts = &mut facts[place];
            let condition = |found: &ColumnType, what: &str| {
                let message = format!("{what} gives {}, not a condition", found.display);
                Diagnostic::error(fragment.span(), message)
            };
            match (of, found) {
                (FragmentUse::Column(rule), Ok(found)) => {
                    facts.expressions.insert(rule.pair.value.clone(), found);
                }
                (FragmentUse::Filter, Ok(found)) if found.display != "boolean" => {
                    facts.reject(condition(&found, &format!("\"where\" of the {side}")));
                }
                (FragmentUse::Filter, Ok(_)) => {}
                (FragmentUse::Accept, Ok(found)) => {
                    let wrong = found.display != "boolean";
                    facts.accepts.push(wrong.then(|| condition(&found, "\"where\"")));
                }
                (FragmentUse::Accept, Err(error)) => {
                    facts.accepts.push(Some(at_fragment(side, fragment, error)?));
                }
                (FragmentUse::Filter | FragmentUse::Column(_), Err(error)) => {
                    facts.reject(at_fragment(side, fragment, error)?);
                }
            }
        }
        Ok(())
    }

    /// Reads how the values of the last-modified columns are distributed.
    async fn spreads<'m>(&self, facts: &mut [MappingFacts<'m>]) -> Result<(), PgError> {
        let side = self.side();
        let spread = |facts: &MappingFacts<'m>| {
            let settings = facts.settings(side);
            Some((settings.reads.table()?, &settings.changed_at.as_ref()?.value))
                .filter(|_| facts.is_usable())
        };
        let columns: Vec<_> = facts.iter().map(spread).collect();
        let wanted: Vec<(&TableName, &ColumnName)> = columns.iter().flatten().copied().collect();
        let spreads = self.catalog.spreads(&wanted).await?;
        let mut spreads = spreads.into_iter();
        for (facts, _) in facts.iter_mut().zip(&columns).filter(|(_, column)| column.is_some()) {
            facts.changed_at = spreads.next().unwrap_or_default();
        }
        Ok(())
    }

    /// Adds a warning for each fragment of the operator's SQL that casts a column in the time zone
    /// of the session.
    async fn zones(&self, facts: &mut [MappingFacts<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let mut places = Vec::new();
        for (place, facts) in facts.iter().enumerate().filter(|(_, facts)| facts.is_usable()) {
            for (_, fragment) in facts.fragments(side) {
                let columns = facts.relation.iter().flat_map(|relation| &relation.columns);
                let named = columns.filter(|column| fragment.mentions(&column.name.0));
                let named: Vec<Column> = named.cloned().collect();
                if may_depend_on_zone(&named) {
                    places.push((place, facts.mapping, fragment, named));
                }
            }
        }
        let names = places.iter().map(|(_, _, _, named)| {
            named.iter().map(|column| &column.name).collect::<Vec<&ColumnName>>()
        });
        let names: Vec<Vec<&ColumnName>> = names.collect();
        let expressions = places.iter().zip(&names);
        let expressions = expressions.map(|((_, mapping, fragment, _), names)| {
            (&mapping.sides[side].reads, names.as_slice(), *fragment)
        });
        let described = self.catalog.told(&expressions.collect::<Vec<_>>()).await?;
        for ((place, _, fragment, named), described) in places.iter().zip(described) {
            let described = match described {
                Ok(described) => described,
                // A condition of the other side, or SQL that needs more of the row, has no warning.
                Err(error) if error.sqlstate.is_some() && error.remedy == Remedy::GiveUp => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(ZoneDependency { column, made }) =
                find_zone_dependency(&described, side, named)
            {
                let message = format!("{made} of {side} column \"{column}\" is taken in UTC");
                let hint =
                    "TimeZone is always UTC: write \"at time zone\" with the zone that is meant.";
                let warning = Diagnostic::warning(fragment.span(), message).with_hint(hint);
                facts[*place].problems.push(warning);
            }
        }
        Ok(())
    }
}

impl<'m> MappingFacts<'m> {
    fn new(mapping: &'m Mapping) -> MappingFacts<'m> {
        MappingFacts {
            mapping,
            shape: None,
            relation: None,
            expressions: BTreeMap::new(),
            accepts: Vec::new(),
            changed_at: Vec::new(),
            problems: Vec::new(),
            failed: false,
        }
    }

    fn settings(&self, side: Side) -> &'m SideMapping {
        &self.mapping.sides[side]
    }

    fn reads(&self, side: Side) -> &'m Reads {
        &self.settings(side).reads
    }

    /// Returns whether the operator's SQL can be checked. Where the schema cannot be used, the plan
    /// reports the missing grant, and expressions would only fail again.
    fn is_usable(&self) -> bool {
        !self.failed && self.relation.as_ref().is_some_and(|relation| relation.schema_usable)
    }

    /// Adds a problem that keeps the mapping from being planned.
    fn reject(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
        self.failed = true;
    }

    /// The operator's SQL in the order in which problems with it are reported.
    fn fragments(
        &self,
        side: Side,
    ) -> impl Iterator<Item = (FragmentUse<'m>, &'m Fragment)> + use<'m> {
        let Mapping { sides, columns, accepts, .. } = self.mapping;
        let filter = sides[side].filter.iter().map(|filter| (FragmentUse::Filter, filter));
        let columns = columns.iter();
        let columns =
            columns.filter_map(move |rule| Some((FragmentUse::Column(rule), rule.fragment(side)?)));
        let accepts = accepts.iter().map(|rule| (FragmentUse::Accept, &rule.condition));
        filter.chain(columns).chain(accepts)
    }
}

/// Returns what the server reports about the operator's SQL, with its place. Other errors are
/// returned as they are.
fn at_fragment(side: Side, fragment: &Fragment, error: PgError) -> Result<Diagnostic, PgError> {
    let about_sql = error.sqlstate.as_ref().is_some_and(|code| {
        ["42", "22", "0A", "21", "3F", "P0"].iter().any(|class| code.starts_with(class))
    });
    if !about_sql {
        return Err(error);
    }
    let problem = Diagnostic::error(
        fragment.span(),
        format!("the {side} refuses this SQL: {}", error.message),
    );
    let unresolved =
        ["42P01", "42883", "42704"].contains(&error.sqlstate.as_deref().unwrap_or_default());
    let path = unresolved
        .then(|| format!("Names resolve in pg_catalog only, unless [{side}] sets search_path."));
    // For an unknown function the server suggests casts, which may help.
    let hints: Vec<String> = error.hint.into_iter().chain(path).collect();
    Ok(if hints.is_empty() { problem } else { problem.with_hint(hints.join(" ")) })
}
