//! What one side's server says of the mappings, hundreds of them at a time.
//!
//! Questions about the catalog name many relations in one statement. Each fragment of the operator's SQL
//! goes to the server in a statement of its own, several on their way at once. Whatever the batches, each
//! mapping gets the answers and the problems that it would get alone.

use std::collections::{BTreeMap, HashMap};

use crate::pg::{Catalog, PgError, QueryColumns, Remedy};
use crate::plan::{Facts, InZone, depends_on_zone, may_depend_on_zone};
use crate::schema::{
    Column, ColumnName, ColumnType, Relation, RelationKind, SchemaName, Server, Shape, Side,
    TableName,
};
use crate::spec::{ColumnRule, Diagnostic, Fragment, Mapping, Reads, SideMapping, did_you_mean};

/// Missing tables for which a similar name is looked up. It takes all names of a schema for each, and no
/// more problems than these are shown.
const MOST_SUGGESTIONS: usize = 100;

/// What is known of one mapping on one side, as far as it has been asked.
struct Asked<'m> {
    mapping: &'m Mapping,
    shape: Option<Shape>,
    relation: Option<Relation>,
    expressions: BTreeMap<String, ColumnType>,
    accepts: Vec<Option<Diagnostic>>,
    changed_at: Vec<String>,
    problems: Vec<Diagnostic>,
    /// Whether there is something wrong with it, so that it cannot be planned.
    failed: bool,
}

/// What a fragment of the operator's SQL is for.
#[derive(Clone, Copy)]
enum Use<'m> {
    Filter,
    Column(&'m ColumnRule),
    Accept,
}

/// Asks for facts about mappings of one side.
pub(super) struct Asking<'c> {
    pub(super) catalog: &'c Catalog<'c>,
    pub(super) server: &'c Server,
    /// Rows that changed at this moment or later are asked for, if only they are.
    pub(super) moment: Option<&'c String>,
    /// Names of the relations in schemas in which a table was not found.
    names: HashMap<SchemaName, Vec<String>>,
    suggestions: usize,
}

impl<'c> Asking<'c> {
    pub(super) fn new(
        catalog: &'c Catalog<'c>,
        server: &'c Server,
        moment: Option<&'c String>,
    ) -> Asking<'c> {
        let suggestions = MOST_SUGGESTIONS;
        Asking { catalog, server, moment, names: HashMap::new(), suggestions }
    }

    fn side(&self) -> Side {
        self.catalog.side
    }

    /// The facts about each mapping, in order; `None` if there is a problem with it. Problems and warnings
    /// are appended in the mappings' order.
    ///
    /// # Errors
    /// What the server says, unless it is about the spec.
    pub(super) async fn facts(
        &mut self,
        mappings: &[&Mapping],
        problems: &mut Vec<Diagnostic>,
    ) -> Result<Vec<Option<Facts>>, PgError> {
        let mut facts = Vec::with_capacity(mappings.len());
        for batch in mappings.chunks(self.catalog.most.max(1)) {
            for mut asked in self.batch(batch).await? {
                problems.append(&mut asked.problems);
                facts.push(self.fact(asked));
            }
        }
        Ok(facts)
    }

    fn fact(&self, asked: Asked<'_>) -> Option<Facts> {
        let Asked { shape, relation, expressions, accepts, changed_at, failed, .. } = asked;
        let (shape, relation) = (shape?, relation.filter(|_| !failed)?);
        let moment = self.moment.cloned().filter(|_| relation.schema_usable);
        Some(Facts { shape, relation, expressions, accepts, changed_at, moment })
    }

    async fn batch<'m>(&mut self, mappings: &[&'m Mapping]) -> Result<Vec<Asked<'m>>, PgError> {
        let mut asked: Vec<Asked<'m>> =
            mappings.iter().map(|mapping| Asked::new(mapping)).collect();
        // Before anything else: what changes between the answers is noticed when rows are read.
        let queries = self.shapes(&mut asked).await?;
        self.tables(&mut asked).await?;
        self.queries(&mut asked, &queries).await?;
        self.fragments(&mut asked).await?;
        self.spreads(&mut asked).await?;
        self.zones(&mut asked).await?;
        Ok(asked)
    }

    /// Asks for the shapes. Gives the columns of queries, by place.
    async fn shapes(&self, asked: &mut [Asked<'_>]) -> Result<Vec<(usize, QueryColumns)>, PgError> {
        let side = self.side();
        let reads: Vec<&Reads> = asked.iter().map(|asked| asked.reads(side)).collect();
        let shapes = self.catalog.read_shapes(&reads).await?;
        let mut queries = Vec::new();
        for (place, (asked, shape)) in asked.iter_mut().zip(shapes).enumerate() {
            match (shape, asked.reads(side)) {
                (Ok((shape, columns)), _) => {
                    asked.shape = Some(shape);
                    queries.extend(columns.map(|columns| (place, columns)));
                }
                (Err(error), Reads::Query(query)) => asked.refuse(at_fragment(side, query, error)?),
                (Err(error), Reads::Table(_)) => return Err(error),
            }
        }
        Ok(queries)
    }

    /// Asks for the tables that are read from.
    async fn tables(&mut self, asked: &mut [Asked<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let named = asked.iter().filter_map(|asked| {
            let settings = asked.settings(side);
            Some((settings.reads.table()?, settings.only))
        });
        let mut found = self.catalog.read_tables(&named.collect::<Vec<_>>()).await?.into_iter();
        for asked in asked {
            let SideMapping { reads: Reads::Table(table), only, .. } = asked.settings(side) else {
                continue;
            };
            let relation = found.next().flatten();
            let kind = relation.as_ref().map(|relation| relation.kind);
            asked.relation = relation;
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
                        format!("\"only\" leaves nothing of partitioned table {}", table.value);
                    let hint = "All its rows stand in its partitions: leave \"only\" out, or name \
                                a partition.";
                    (message, hint.to_owned())
                }
                Some(_) => continue,
            };
            asked.refuse(Diagnostic::error(&table.span, message).hinted(hint));
        }
        Ok(())
    }

    /// What may have been meant by a table that is not there.
    async fn hint_for_missing(&mut self, table: &TableName) -> Result<String, PgError> {
        let schema = &table.schema;
        if !self.names.contains_key(schema) {
            let names = self.catalog.read_relation_names(schema).await?;
            self.names.insert(schema.clone(), names);
        }
        let names = self.names.get(schema).map_or(&[][..], Vec::as_slice);
        if names.is_empty() {
            return Ok(format!(
                "Schema \"{schema}\" has no tables here; check the name and the database."
            ));
        }
        let looked = self.suggestions > 0;
        self.suggestions = self.suggestions.saturating_sub(1);
        let near = looked.then(|| did_you_mean(&table.name, names.iter().map(String::as_str)));
        Ok(match near.flatten() {
            Some(near) => format!("Did you mean \"{schema}.{near}\"?"),
            None => "Check the name; unquoted parts fold to lower case.".to_owned(),
        })
    }

    /// Asks for the queries that are read from, whose columns are known.
    async fn queries(
        &self,
        asked: &mut [Asked<'_>],
        described: &[(usize, QueryColumns)],
    ) -> Result<(), PgError> {
        let side = self.side();
        let mut queries = Vec::new();
        for (place, columns) in described {
            if let Reads::Query(query) = asked[*place].reads(side) {
                queries.push((query, columns));
            }
        }
        let relations = self.catalog.read_query_relations(&queries).await?;
        for ((place, _), relation) in described.iter().zip(relations) {
            let asked = &mut asked[*place];
            match (relation, asked.reads(side)) {
                (Ok(relation), _) => asked.relation = Some(relation),
                (Err(error), Reads::Query(query)) => asked.refuse(at_fragment(side, query, error)?),
                (Err(error), Reads::Table(_)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Puts each fragment of the operator's SQL to the server.
    async fn fragments(&self, asked: &mut [Asked<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let mut places = Vec::new();
        let mut fragments = Vec::new();
        for (place, asked) in asked.iter().enumerate().filter(|(_, asked)| asked.is_usable()) {
            for (of, fragment) in asked.fragments(side) {
                places.push((place, of, fragment));
                fragments.push((asked.reads(side), fragment));
            }
        }
        let types = self.catalog.read_expression_types(&fragments).await?;
        for ((place, of, fragment), found) in places.into_iter().zip(types) {
            let asked = &mut asked[place];
            let condition = |found: &ColumnType, what: &str| {
                let message = format!("{what} gives {}, not a condition", found.display);
                Diagnostic::error(fragment.span(), message)
            };
            match (of, found) {
                (Use::Column(rule), Ok(found)) => {
                    asked.expressions.insert(rule.pair.value.clone(), found);
                }
                (Use::Filter, Ok(found)) if found.display != "boolean" => {
                    asked.refuse(condition(&found, &format!("\"where\" of the {side}")));
                }
                (Use::Filter, Ok(_)) => {}
                (Use::Accept, Ok(found)) => {
                    let wrong = found.display != "boolean";
                    asked.accepts.push(wrong.then(|| condition(&found, "\"where\"")));
                }
                (Use::Accept, Err(error)) => {
                    asked.accepts.push(Some(at_fragment(side, fragment, error)?));
                }
                (Use::Filter | Use::Column(_), Err(error)) => {
                    asked.refuse(at_fragment(side, fragment, error)?);
                }
            }
        }
        Ok(())
    }

    /// Asks how the values of the last-modified columns are spread.
    async fn spreads<'m>(&self, asked: &mut [Asked<'m>]) -> Result<(), PgError> {
        let side = self.side();
        let spread = |asked: &Asked<'m>| {
            let settings = asked.settings(side);
            Some((settings.reads.table()?, &settings.changed_at.as_ref()?.value))
                .filter(|_| asked.is_usable())
        };
        let columns: Vec<_> = asked.iter().map(spread).collect();
        let wanted: Vec<(&TableName, &ColumnName)> = columns.iter().flatten().copied().collect();
        let spreads = self.catalog.read_histograms(&wanted).await?;
        let mut spreads = spreads.into_iter();
        for (asked, _) in asked.iter_mut().zip(&columns).filter(|(_, column)| column.is_some()) {
            asked.changed_at = spreads.next().unwrap_or_default();
        }
        Ok(())
    }

    /// Warns of each fragment of the operator's SQL that casts a column in the time zone of the session.
    async fn zones(&self, asked: &mut [Asked<'_>]) -> Result<(), PgError> {
        let side = self.side();
        let mut places = Vec::new();
        for (place, asked) in asked.iter().enumerate().filter(|(_, asked)| asked.is_usable()) {
            for (_, fragment) in asked.fragments(side) {
                let columns = asked.relation.iter().flat_map(|relation| &relation.columns);
                let named = columns.filter(|column| fragment.mentions(&column.name.0));
                let named: Vec<Column> = named.cloned().collect();
                if may_depend_on_zone(&named) {
                    places.push((place, asked.mapping, fragment, named));
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
        let told = self.catalog.read_expression_outputs(&expressions.collect::<Vec<_>>()).await?;
        for ((place, _, fragment, named), told) in places.iter().zip(told) {
            let told = match told {
                Ok(told) => told,
                // Of the other side's condition, or of SQL that needs more of the row, nothing is said.
                Err(error) if error.sqlstate.is_some() && error.remedy == Remedy::GiveUp => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(InZone { column, made }) = depends_on_zone(&told, side, named) {
                let message = format!("{made} of {side} column \"{column}\" is taken in UTC");
                let hint = "TimeZone is pinned: say \"at time zone\" with the zone that is meant.";
                let warning = Diagnostic::warning(fragment.span(), message).hinted(hint);
                asked[*place].problems.push(warning);
            }
        }
        Ok(())
    }
}

impl<'m> Asked<'m> {
    fn new(mapping: &'m Mapping) -> Asked<'m> {
        Asked {
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

    /// Whether the operator's SQL can be tried on it. Where the schema cannot be used, the plan says so,
    /// with the grant that is missing; expressions would only fail again.
    fn is_usable(&self) -> bool {
        !self.failed && self.relation.as_ref().is_some_and(|relation| relation.schema_usable)
    }

    /// Notes a problem that keeps the mapping from being planned.
    fn refuse(&mut self, problem: Diagnostic) {
        self.problems.push(problem);
        self.failed = true;
    }

    /// The operator's SQL in the order in which problems with it are reported.
    fn fragments(&self, side: Side) -> impl Iterator<Item = (Use<'m>, &'m Fragment)> + use<'m> {
        let Mapping { sides, columns, accepts, .. } = self.mapping;
        let filter = sides[side].filter.iter().map(|filter| (Use::Filter, filter));
        let columns = columns.iter();
        let columns =
            columns.filter_map(move |rule| Some((Use::Column(rule), rule.fragment(side)?)));
        let accepts = accepts.iter().map(|rule| (Use::Accept, &rule.condition));
        filter.chain(columns).chain(accepts)
    }
}

/// What the server says of the operator's SQL, at its place; an error that is not about the SQL goes on.
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
    let path = unresolved.then(|| {
        format!("Names resolve in pg_catalog only, unless search_path of [{side}] says otherwise.")
    });
    // Of an unknown function the server says that casts may help, and they may.
    let hints: Vec<String> = error.hint.into_iter().chain(path).collect();
    Ok(if hints.is_empty() { problem } else { problem.hinted(hints.join(" ")) })
}
