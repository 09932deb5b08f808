//! Queries the written side about drafts of changes. `repair::plan` writes the statements and decides what
//! follows from the answers; what a server rejects is divided until the one value or row is found.

use std::collections::BTreeMap;

use crate::pg::{PgError, Remedy, Row};
use crate::problem::Problem;
use crate::repair::plan::{
    CastCheck, DraftChange, DraftFacts, ForeignKeyFacts, ForeignKeyQuery, GeneratedColumnQuery,
    IndexValueCheck, IndexValueRow, KeyConflict, KeyConflictQuery,
};
use crate::repair::{Operation, WritableMapping};
use crate::run::work::task_context::TaskContext;
use crate::schema::Side;
use crate::sql::Statement;

/// The SQLSTATE of a privilege that the role lacks.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Queries the written side about drafts of one mapping.
#[derive(Clone, Copy)]
pub(super) struct DraftQueries<'q> {
    pub(super) context: &'q TaskContext<'q>,
    pub(super) scope: &'q WritableMapping,
    pub(super) written: Side,
    /// Whether foreign keys are queried, and if so, whether rows may be deleted or changed together with
    /// the row to which they refer.
    pub(super) foreign_keys: Option<bool>,
}

impl DraftQueries<'_> {
    /// Queries everything that decides about drafts. Returns for each draft why it is refused, if it is,
    /// and what the server reported.
    pub(super) async fn query(
        &self,
        drafts: &mut [DraftChange<'_, Row>],
    ) -> Result<(Vec<Option<String>>, DraftFacts), Problem> {
        let mut refused = self.check_casts(drafts).await?;
        let mut facts = self.read_index_values(drafts, &mut refused).await?;
        facts.key_conflicts = self.find_key_conflicts(drafts, &refused).await?;
        facts.differing = self.find_differing(drafts, &refused).await?;
        if let Some(cascades) = self.foreign_keys {
            facts.foreign_keys = self.query_foreign_keys(drafts, cascades).await?;
        }
        Ok((refused, facts))
    }

    fn at_written(&self, error: PgError) -> Problem {
        Problem::from((Some(self.written), error))
    }

    /// Replaces converted values by what the columns make of them. Returns the reason for each draft that
    /// is refused.
    async fn check_casts(
        &self,
        drafts: &mut [DraftChange<'_, Row>],
    ) -> Result<Vec<Option<String>>, Problem> {
        let mut check = CastCheck::new(self.context.plan, self.written, drafts);
        while let Some(query) = check.next() {
            match self.context.query(self.written, check.statement(&query)).await {
                Ok(rows) => {
                    let fields = query.width()..2 * query.width();
                    let texts = |row: &Row| fields.clone().map(|field| row.get(field)).collect();
                    let texts: Result<Vec<Vec<Option<String>>>, _> =
                        rows.iter().map(texts).collect();
                    check.apply(query, &rows, texts.map_err(|error| self.at_written(error))?);
                }
                Err((_, error)) if error.remedy == Remedy::Isolate => check.divide(query),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(check.finish())
    }

    /// Reads the values of drafts in opaque indexes. Drafts that an index or a CHECK constraint rejects
    /// become refused.
    async fn read_index_values(
        &self,
        drafts: &[DraftChange<'_, Row>],
        refused: &mut [Option<String>],
    ) -> Result<DraftFacts, Problem> {
        let check = IndexValueCheck::new(self.scope, self.written, drafts, refused);
        let Some(mut check) = check else { return Ok(DraftFacts::default()) };
        if let Some((columns, statement)) = check.placeholder_query() {
            let rows = self.context.query(self.written, statement).await?;
            if let Some(row) = rows.first() {
                let text = |(at, column)| Ok((column, row.get(at)?));
                let texts: Result<Vec<_>, _> = columns.into_iter().enumerate().map(text).collect();
                check.add_placeholders(texts.map_err(|error| self.at_written(error))?);
            }
        }
        let (width, checks) = check.widths();
        let answer = |row: &Row| -> Result<IndexValueRow, PgError> {
            Ok(IndexValueRow {
                values: (0..width).map(|field| row.get(field)).collect::<Result<_, _>>()?,
                passes: (width..width + checks)
                    .map(|field| row.get(field))
                    .collect::<Result<_, _>>()?,
            })
        };
        while let Some(query) = check.next() {
            match self.context.query(self.written, check.statement(&query)).await {
                Ok(rows) => {
                    let answers: Result<Vec<_>, _> = rows.iter().map(answer).collect();
                    check.apply(&query, answers.map_err(|error| self.at_written(error))?);
                }
                Err((_, error)) if error.remedy == Remedy::Isolate => check.divide(query),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(check.finish())
    }

    /// Finds the inserts whose key another row has.
    async fn find_key_conflicts(
        &self,
        drafts: &[DraftChange<'_, Row>],
        refused: &[Option<String>],
    ) -> Result<BTreeMap<usize, KeyConflict>, Problem> {
        let plan = self.context.plan;
        let query = KeyConflictQuery::new(plan, self.written, self.scope, drafts, refused);
        let Some((query, statement)) = query else { return Ok(BTreeMap::new()) };
        let rows = self.context.query(self.written, statement).await?;
        let rows = rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Result<Vec<(i64, bool)>, _> = rows.collect();
        Ok(query.conflicts(rows.map_err(|error| self.at_written(error))?))
    }

    /// Finds the drafts in which a generated column will differ, with its pairs.
    async fn find_differing(
        &self,
        drafts: &[DraftChange<'_, Row>],
        refused: &[Option<String>],
    ) -> Result<BTreeMap<usize, Vec<usize>>, Problem> {
        let mut differing = BTreeMap::new();
        for operation in [Operation::Insert, Operation::Update] {
            let (plan, table) = (self.context.plan, (self.scope, self.written));
            let query = GeneratedColumnQuery::new(plan, table, drafts, refused, operation);
            let Some(query) = query else { continue };
            match self.compute_columns(&query).await {
                Ok(rows) => differing.extend(query.differing(&rows)),
                // The expression rejects a row or the role: applying the row will report it.
                Err(error) if error.sqlstate.is_some() && error.remedy != Remedy::Retry => {}
                Err(error) => return Err(self.at_written(error)),
            }
        }
        Ok(differing)
    }

    /// Computes generated columns, and returns them as the fields of their pairs.
    async fn compute_columns(
        &self,
        query: &GeneratedColumnQuery<'_, '_, Row>,
    ) -> Result<Vec<Row>, PgError> {
        let context = self.context;
        let rows = context.query(self.written, query.values_statement()).await;
        let rows = rows.map_err(|(_, error)| error)?;
        let texts = |column: usize| rows.iter().map(|row| row.get(column)).collect();
        let texts: Vec<Vec<Option<String>>> =
            (0..query.width()).map(texts).collect::<Result<_, PgError>>()?;
        let rows = context.query(self.written, query.fields_statement(&texts)).await;
        rows.map_err(|(_, error)| error)
    }

    /// Queries the parents and children of drafts.
    async fn query_foreign_keys(
        &self,
        drafts: &[DraftChange<'_, Row>],
        cascades: bool,
    ) -> Result<ForeignKeyFacts, Problem> {
        let (plan, scope) = (self.context.plan, self.scope);
        let mut facts = ForeignKeyFacts::default();
        for (key, link) in scope.stored.parents.iter().enumerate() {
            let query = ForeignKeyQuery::parents(plan, scope, drafts, link);
            for (draft, rows) in self.count_rows(query).await? {
                if rows == 0 {
                    facts.missing.entry(draft).or_default().push(key);
                }
            }
        }
        for (key, link) in scope.stored.referrers.iter().enumerate() {
            let query = ForeignKeyQuery::children(plan, scope, drafts, link, cascades);
            for (draft, rows) in self.count_rows(query).await? {
                if rows > 0 {
                    facts.referred.entry(draft).or_default().push((key, rows));
                }
            }
        }
        Ok(facts)
    }

    /// Counts the rows at the other end of a foreign key, by draft. Returns nothing for a table that the
    /// role may not read.
    async fn count_rows(
        &self,
        query: Option<(ForeignKeyQuery, Statement)>,
    ) -> Result<BTreeMap<usize, u64>, Problem> {
        let Some((query, statement)) = query else { return Ok(BTreeMap::new()) };
        let rows = match self.context.query(self.written, statement).await {
            Ok(rows) => rows,
            Err((_, error)) if error.sqlstate.as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(error.into()),
        };
        let rows = rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Result<Vec<(i64, i64)>, _> = rows.collect();
        Ok(query.counts(rows.map_err(|error| self.at_written(error))?))
    }
}
