//! Plans for unit tests, made like real plans: from a spec and the facts of catalogs.

use std::collections::BTreeMap;

use super::{Facts, MappingPlan, PlanOptions, plan_mapping};
use crate::schema::{
    Builtin, BySide, Collation, Column, ColumnName, ColumnType, DigestTrust, Index, IndexColumn,
    PgType, Relation, RelationKind, Server, Shape, Side,
};
use crate::spec::{self, Accept, Diagnostic, SpecText, StrategyChoice};

/// A column: name, type, NOT NULL.
pub(crate) type SampleColumn = (&'static str, Builtin, bool);

/// Returns the facts of a table with these columns and a primary key over some of them.
pub(crate) fn table(columns: &[SampleColumn], key: &[&str]) -> Facts {
    let column = |(name, builtin, not_null): &SampleColumn| Column {
        name: ColumnName((*name).to_owned()),
        column_type: ColumnType {
            display: builtin.name().to_owned(),
            pg_type: PgType::Builtin(*builtin),
            modifier: -1,
            collation: match builtin {
                Builtin::Text => Collation::Bytes,
                _ => Collation::None,
            },
            collation_id: None,
        },
        not_null: *not_null,
        readable: true,
        scattered: false,
        distinct: None,
    };
    let indexed =
        |name: &&str| IndexColumn { name: Some(ColumnName((*name).to_owned())), plain_order: true };
    let primary = Index {
        name: "pkey".to_owned(),
        unique: true,
        primary: true,
        columns: key.iter().map(indexed).collect(),
    };
    let relation = Relation {
        kind: RelationKind::Table,
        columns: columns.iter().map(column).collect(),
        indexes: (!key.is_empty()).then_some(primary).into_iter().collect(),
        estimated_rows: Some(1_000_000),
        row_security: false,
        schema_usable: true,
        heap: true,
        large: false,
        populated: true,
        oid: Some(1),
    };
    let (shape, changed_at) = (Shape::default(), Vec::new());
    let expressions = BTreeMap::new();
    Facts { shape, relation, expressions, accepts: Vec::new(), changed_at, moment: None }
}

/// Plans the first mapping of a spec; `mappings` is the text behind its head.
pub(crate) fn plan(
    mappings: &str,
    facts: BySide<&Facts>,
) -> Result<(MappingPlan, Vec<Diagnostic>), Vec<Diagnostic>> {
    let head = "version = 1\nname = \"sample\"\n[source]\nurl = \"a\"\n[target]\nurl = \"b\"\n";
    let text = SpecText { path: "sample.toml".into(), text: format!("{head}{mappings}") };
    let spec = spec::read(text, &BTreeMap::new(), &|_| None).map_err(|found| found.first)?;
    let server = Server {
        version: 150_018,
        database: "d".into(),
        role: "r".into(),
        overprivileged: false,
        encoding: "UTF8".into(),
        standby: false,
        system_identifier: None,
        instance: crate::schema::Instance { started: String::new(), wal: None },
        monitors: false,
        digests: DigestTrust::Probe("1".into()),
    };
    let servers = BySide { source: &server, target: &server };
    let options = PlanOptions {
        strategy: StrategyChoice::Auto,
        chunk_rows: None,
        sampled: false,
        sliced: false,
    };
    // A server accepts the conditions that name only its own row.
    let mut known = facts.map(Facts::clone);
    for side in Side::BOTH {
        let other = side.other();
        let refuse = |rule: &Accept| {
            let refused = rule.condition.mentions(other.name());
            refused.then(|| Diagnostic::error(&rule.span, format!("refused by the {side}")))
        };
        known[side].accepts = spec.mappings[0].accepts.iter().map(refuse).collect();
    }
    plan_mapping(&spec, &spec.mappings[0], servers, known.as_ref(), options)
}

/// Returns the plan of a table with the same columns and key on both sides.
pub(crate) fn same(columns: &[SampleColumn], key: &[&str]) -> MappingPlan {
    let facts = table(columns, key);
    let mappings = "[[mapping]]\n[mapping.source]\ntable = \"public.t\"\n\
                    [mapping.target]\ntable = \"public.t\"\n";
    plan(mappings, BySide { source: &facts, target: &facts }).unwrap().0
}
