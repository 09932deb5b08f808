//! Snapshots of the statements that a comparison sends: a DBA can read them there, and no text changes
//! unseen.

use super::blocks as blocks_of;
use super::*;
use crate::plan::{MappingPlan, sample};
use crate::row::{BlockRange, Bound, HashBuckets, Key, KeyRange, Region};
use crate::schema::{Builtin as B, BySide, ColumnName, Index, IndexColumn, Side};

/// A plan with a key of one column, and a pair of each form in which values are hashed.
fn narrow() -> MappingPlan {
    let columns = [
        ("id", B::Int8, true),
        ("state", B::Text, false),
        ("price", B::Numeric, false),
        ("ratio", B::Float8, false),
        ("at", B::TimestampTz, false),
        ("meta", B::Jsonb, false),
        ("paid", B::Bool, false),
    ];
    sample::same(&columns, &["id"])
}

/// A plan with a key of two columns without proof, renamed and computed columns, and a filter.
fn wide() -> MappingPlan {
    let columns = [("region", B::Text, true), ("number", B::Int4, false), ("old", B::Json, false)];
    let facts = sample::table(&columns, &[]);
    let columns = [("region", B::Text, true), ("number", B::Int4, false), ("new", B::Jsonb, false)];
    let target = sample::table(&columns, &[]);
    let mappings = r#"
[params]
regions = { type = "text[]", default = "{a,b}" }
[[mapping]]
key = ["region", "number"]
[mapping.source]
table = 'public."Odd"'
where = "region = any(:regions) -- of interest"
[mapping.target]
table = "svc.t"
[mapping.columns]
new = "old"
"#;
    sample::plan(mappings, BySide { source: &facts, target: &target }).unwrap().0
}

fn range(plan: &MappingPlan) -> KeyRange {
    let bound = |number: u8| {
        let fields: Vec<[u8; 1]> = plan.key().iter().map(|_| [number]).collect();
        let key = Key::new(fields.iter().map(<[u8; 1]>::as_slice));
        Some(Bound { key, text: plan.key().iter().map(|_| number.to_string()).collect() })
    };
    KeyRange { after: bound(1), through: bound(9) }
}

/// Statements with their names, texts and parameters.
fn written(statements: impl IntoIterator<Item = (&'static str, Option<Statement>)>) -> String {
    let written = statements.into_iter().filter_map(|(name, statement)| {
        let Statement { text, binds } = statement?;
        let binds: Vec<String> = binds
            .iter()
            .map(|bind| format!("{} {}", bind.oid, bind.value.escape_ascii()))
            .collect();
        Some(format!("-- {name}\n{text}\n-- {}\n", binds.join(", ")))
    });
    written.collect::<Vec<_>>().join("\n")
}

fn statements(plan: &MappingPlan, side: Side) -> String {
    let region = Region::whole(range(plan));
    let some = HashBuckets { of: 64, chosen: vec![3, 60] };
    let some_buckets = Region { buckets: Some(some), ..region.clone() };
    let blocks = Some(BlockRange { from: 8, until: Some(16) });
    let lying = Region { blocks, ..Region::whole(KeyRange::everything()) };
    let key = Key::new(plan.key().iter().map(|_| &[7][..]));
    let statements = [
        ("digest", Some(digest(plan, side, &region))),
        ("digest of everything", Some(digest(plan, side, &Region::whole(KeyRange::everything())))),
        ("digests by class", Some(bucket_digests(plan, side, &region, 64))),
        ("digests by class, as the rows lie", Some(bucket_digests(plan, side, &lying, 64))),
        ("keys and row hashes", Some(key_hashes(plan, side, &some_buckets))),
        ("canonical rows", Some(canonical_rows(plan, side, &range(plan)))),
        ("rows by key", Some(look_up(plan, side, &[&key, &key]))),
        ("boundary", Some(probe(plan, side, &range(plan), 1000))),
        ("last key up to", Some(neighbour(plan, side, Some(&key), Neighbour::UpTo))),
        ("first key behind", Some(neighbour(plan, side, Some(&key), Neighbour::Behind))),
        ("rows with a NULL in their key", Some(null_keys(plan, side))),
        ("histogram", histogram(plan, side)),
        ("number of blocks", blocks_of(plan, side)),
    ];
    written(statements)
}

#[test]
fn a_key_of_one_column() {
    insta::assert_snapshot!(statements(&narrow(), Side::Source));
}

#[test]
fn a_key_of_two_columns_that_nothing_proves() {
    insta::assert_snapshot!(statements(&wide(), Side::Source));
}

/// A plan with groups of a type whose equality is not equality of bytes, and rules on both sides.
fn grouped(key: &[&str]) -> MappingPlan {
    let columns = [("id", B::Int8, true), ("tenant", B::Int4, false), ("span", B::Interval, false)];
    let facts = sample::table(&columns, key);
    let mappings = r#"
[params]
since = { type = "int8", default = "7" }
[[mapping]]
key = ["id"]
group_by = "GROUP"
[[mapping.accept]]
where = "source.id < :since -- old"
reason = "archived"
until = "2027-01-31"
[[mapping.accept]]
where = "target.tenant = 7"
kinds = ["mismatch"]
reason = "known"
until = "2027-01-31"
[mapping.source]
table = "public.t"
where = "id <> :since"
[mapping.target]
table = "public.t"
"#;
    let group = if key.is_empty() { "span" } else { "tenant" };
    let mappings = mappings.replace("GROUP", group);
    sample::plan(&mappings, BySide { source: &facts, target: &facts }).unwrap().0
}

fn split(plan: &MappingPlan, side: Side) -> String {
    let region = Region::whole(range(plan));
    let by_class = DigestSplit { buckets: Some(64), rules: false };
    let by_rule = DigestSplit { buckets: None, rules: true };
    let key = Key::new(plan.key().iter().map(|_| &[7][..]));
    written([
        ("digest", Some(part_digests(plan, side, &region, DigestSplit::default()))),
        ("digests by class", Some(part_digests(plan, side, &region, by_class))),
        ("digests by rule", Some(part_digests(plan, side, &region, by_rule))),
        ("keys and row hashes", Some(key_hashes(plan, side, &region))),
        ("canonical rows", Some(canonical_rows(plan, side, &region.range))),
        ("canonical rows with rules", Some(canonical_rows_with_rules(plan, side, &region.range))),
        ("rows by key", Some(look_up(plan, side, &[&key]))),
        ("rows with a NULL in their key", Some(null_keys(plan, side))),
    ])
}

#[test]
fn groups_and_accept_rules() {
    insta::assert_snapshot!(split(&grouped(&["id"]), Side::Source));
}

#[test]
fn groups_by_text_and_a_key_that_nothing_proves() {
    insta::assert_snapshot!(split(&grouped(&[]), Side::Target));
}

#[test]
fn the_fields_of_an_answer_stand_where_they_are_said_to() {
    let plan = grouped(&["id"]);
    let LookupLayout { group, rules, .. } = LookupLayout::of(&plan);
    // Three canonical forms, their texts, the hash, then these.
    assert_eq!((group, rules), (Some(5), BySide { source: vec![(6, 0)], target: vec![(6, 1)] }));
    let fields = DigestSplit { buckets: Some(2), rules: true }.fields(&plan);
    assert_eq!(fields, PartFields { bucket: Some(4), group: Some(5), rule: Some(6) });
}

#[test]
fn a_pair_under_each_rule() {
    let columns = [
        ("id", B::Int8, true),
        ("doc", B::Text, false),
        ("name", B::Text, false),
        ("state", B::Text, false),
        ("note", B::Varchar, false),
        ("at", B::TimestampTz, false),
        ("opens", B::Time, false),
        ("price", B::Numeric, false),
        ("weight", B::Float4, false),
    ];
    let facts = sample::table(&columns, &["id"]);
    let rules = [
        ("doc", "rule = 'json'"),
        ("name", "rule = 'trimmed'"),
        ("state", "rule = 'case_insensitive'"),
        ("note", "rule = 'null_as_empty'"),
        ("at", "rule = 'precision(ms)'"),
        ("opens", "rule = 'precision(s)'"),
        ("price", "rule = 'precision(2)'"),
        ("weight", "tolerance = '0.5'"),
    ];
    let mut mapping = "[[mapping]]\n[mapping.source]\ntable = 'public.t'\n[mapping.target]\n\
                       table = 'public.t'\n[mapping.columns]\n"
        .to_owned();
    for (name, rule) in rules {
        mapping.push_str(&format!("{name} = {{ from = '{name}', {rule} }}\n"));
    }
    let plan = sample::plan(&mapping, BySide { source: &facts, target: &facts }).unwrap().0;
    let everything = Region::whole(KeyRange::everything());
    insta::assert_snapshot!(digest(&plan, Side::Source, &everything).text);
}

#[test]
fn what_is_asked_beside_the_rows() {
    let table = crate::schema::TableName::parse("public.t").unwrap();
    insta::assert_snapshot!(written([
        ("shapes", Some(shapes(&[Some(&table), None]))),
        ("read by views", Some(read_by_views(&[16_384]))),
        ("read by queries", Some(read_by_queries(&[&[16_384, 1_259], &[16_385]]))),
        ("relations", Some(relations(&[&table]))),
        ("columns", Some(relation_columns(&[(16_384, true)]))),
        ("indexes", Some(relation_indexes(&[16_384]))),
        ("spreads", Some(column_spreads(&[(&table, &ColumnName("at".to_owned()))]))),
        ("links of sequences", Some(sequence_links(&[16_384]))),
        ("sessions", Some(sessions())),
        ("replay of a standby", Some(replay_of_standby())),
        ("replay by standbys", Some(replay_by_standbys())),
        ("moment", Some(moment(std::time::Duration::from_millis(5_400_500)))),
        ("clock", Some(clock())),
    ]));
}

#[test]
fn what_changed_lately() {
    let columns = [("id", B::Int8, true), ("at", B::Timestamp, false)];
    let mut facts = sample::table(&columns, &["id"]);
    facts.moment = Some("2026-11-24 12:00:00.5+00".to_owned());
    let mapping = "[[mapping]]\nsource.table = 'public.t'\nsource.changed_at = 'at'\n\
                   source.where = 'id > 0'\ntarget.table = 'public.t'\ntarget.changed_at = 'at'\n";
    let plan = |facts: &crate::plan::Facts| {
        sample::plan(mapping, BySide { source: facts, target: facts }).unwrap().0
    };
    let passed_over = plan(&facts);
    let column = IndexColumn { name: Some(ColumnName("at".to_owned())), plain_order: true };
    let index = Index { name: "i".into(), unique: false, primary: false, columns: vec![column] };
    facts.relation.indexes.push(index);
    let found = plan(&facts);
    let (source, range) = (Side::Source, range(&found));
    insta::assert_snapshot!(written([
        ("keys", Some(changed_keys(&found, source, &range))),
        ("boundary where an index finds them", Some(probe(&found, source, &range, 1000))),
        ("boundary where none does", Some(probe(&passed_over, source, &range, 1000))),
    ]));
}
