//! The shape of what a mapping's side reads from: which server, database, relation and columns.
//!
//! Chunks of one comparison are read one after the other, and an interrupted one continues hours later.
//! Together they are one result only if each was read from the same relation. If two shapes differ, it is
//! not: the rows of a server after a failover, or of a table that was created again, say nothing about the
//! rows that were read before.

use serde::{Deserialize, Serialize};

use super::instance::Instance;

/// What one side of a mapping reads from, as its server's catalog identifies it at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// `server_version_num`.
    pub version: u32,
    /// The cluster's identifier, if the role may read it. A standby has that of its primary.
    pub system: Option<String>,
    /// Whether the server is a standby.
    pub standby: bool,
    /// The timeline of a primary. `None` for a standby, which follows its primary from one to the next
    /// without losing rows.
    pub timeline: Option<u32>,
    /// The database's name.
    pub database: String,
    /// The database's OID, which changes if it is dropped and created again.
    pub database_oid: u32,
    /// The relation's OID; `None` for a query, or if the relation does not exist any more.
    pub relation: Option<u32>,
    /// Every column, in order.
    pub columns: Vec<ShapeColumn>,
    /// The number of partitions or children of the relation, on all levels.
    pub partitions: u64,
    /// A hash of which they are.
    pub partition_set: Option<String>,
    /// The file of the table, if its rows are read by blocks: a rewritten table has its rows in other blocks.
    /// `None` if it does not matter.
    pub filenode: Option<u32>,
    /// The relations that a query or a view reads, with the view itself. `None` in a run of a version that
    /// did not read them.
    #[serde(default)]
    pub relations: Option<Vec<ShapeRelation>>,
    /// The running server. `None` in a run of a version that did not read it.
    #[serde(default)]
    pub instance: Option<Instance>,
}

/// A relation that is read through a view or by a query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeRelation {
    /// Its name with its schema.
    pub name: String,
    /// Its OID.
    pub oid: u32,
    /// A hash of a view's definition.
    pub definition: Option<String>,
    /// How many partitions or children it has, on all levels.
    pub partitions: u64,
    /// A hash of which they are.
    pub partition_set: Option<String>,
    /// Its columns, if a query reads it. Those that a view reads can only be changed with the view.
    pub columns: Vec<ShapeColumn>,
}

/// The properties of a column that determine what is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeColumn {
    /// Its name.
    pub name: String,
    /// Its number in the relation, which is never reused.
    pub number: i32,
    /// Its type, as SQL.
    pub type_name: String,
    /// Its collation with all properties that determine its order, if it has one. `None` in a run of a
    /// version that did not read it.
    #[serde(default)]
    pub collation: Option<String>,
    /// The version of its collation on the server, if it has versions: with another version the same keys
    /// may have another order.
    pub collation_version: Option<String>,
}

impl Shape {
    /// Returns what has changed since this shape was read, as a clause; `None` if nothing has. Properties
    /// that this shape does not have are not compared.
    pub fn difference(&self, now: &Shape) -> Option<String> {
        self.server_difference(now)
            .or_else(|| self.relation_difference(now))
            .or_else(|| self.beneath_difference(now))
            .or_else(|| self.columns_difference(now))
    }

    /// Returns why `later`, which was read after this shape, is of a file copy of the server, as a clause;
    /// `None` if it is not, or if that is unknown.
    pub fn copied(&self, later: &Shape) -> Option<String> {
        self.instance.as_ref()?.copied(later.instance.as_ref()?)
    }

    /// Returns whether the server was started after this shape was read, or is a copy that was.
    pub fn was_restarted(&self, later: &Shape) -> bool {
        match (&self.instance, &later.instance) {
            (Some(before), Some(now)) => before.was_restarted(now),
            _ => false,
        }
    }

    fn server_difference(&self, now: &Shape) -> Option<String> {
        if let (Some(before), Some(after)) = (&self.system, &now.system)
            && before != after
        {
            return Some(format!(
                "it is another server: system identifier {before} has become {after}"
            ));
        }
        let (before, after) = (self.version / 10_000, now.version / 10_000);
        if before != after {
            return Some(format!("PostgreSQL {before} has become PostgreSQL {after}"));
        }
        match (self.standby, now.standby) {
            (true, false) => return Some("the standby was promoted".to_owned()),
            (false, true) => return Some("the primary has become a standby".to_owned()),
            _ => {}
        }
        if let (Some(before), Some(after)) = (self.timeline, now.timeline)
            && before != after
        {
            return Some(format!("it failed over: timeline {before} has become {after}"));
        }
        if self.database != now.database {
            let (before, after) = (&self.database, &now.database);
            return Some(format!("database \"{before}\" has become \"{after}\""));
        }
        (self.database_oid != now.database_oid)
            .then(|| format!("database \"{}\" was dropped and made again", self.database))
    }

    fn relation_difference(&self, now: &Shape) -> Option<String> {
        if self.relation != now.relation {
            let what = match now.relation {
                None => "what is read does not exist any more",
                Some(_) => "what is read was dropped and made again",
            };
            return Some(what.to_owned());
        }
        if (self.partitions, &self.partition_set) != (now.partitions, &now.partition_set) {
            let (before, after) = (self.partitions, now.partitions);
            return Some(format!(
                "partitions were attached or detached: there were {before} and are {after}"
            ));
        }
        (self.filenode.is_some() && self.filenode != now.filenode)
            .then(|| "the table was rewritten while it was read block by block".to_owned())
    }

    fn beneath_difference(&self, now: &Shape) -> Option<String> {
        let (before, now) = (self.relations.as_ref()?, now.relations.as_ref()?);
        let other = before.iter().find_map(|before| {
            let name = &before.name;
            match now.iter().find(|now| now.oid == before.oid) {
                Some(now) => before.difference(now),
                None if now.iter().any(|now| now.name == *name) => {
                    Some(format!("\"{name}\" was dropped and made again"))
                }
                None => Some(format!("\"{name}\" is not read any more")),
            }
        });
        let new = || now.iter().find(|now| before.iter().all(|before| before.oid != now.oid));
        other.or_else(|| Some(format!("\"{}\" is read and was not before", new()?.name)))
    }

    fn columns_difference(&self, now: &Shape) -> Option<String> {
        for before in &self.columns {
            let what = format!("column \"{}\"", before.name);
            match before.now_in(&now.columns) {
                None => return Some(format!("{what} does not exist any more")),
                Some(after) => {
                    if let Some(why) = before.difference(after, &what) {
                        return Some(why);
                    }
                }
            }
        }
        let new = now.columns.iter().find(|column| column.now_in(&self.columns).is_none());
        new.map(|column| format!("column \"{}\" is new", column.name))
    }
}

impl ShapeRelation {
    /// Returns what has changed of a relation that a view or a query reads. An added or dropped column is no
    /// change here: if it were read, the view or the query would have changed.
    fn difference(&self, now: &ShapeRelation) -> Option<String> {
        let name = &self.name;
        if self.definition != now.definition {
            return Some(format!("the view \"{name}\" was redefined"));
        }
        if (self.partitions, &self.partition_set) != (now.partitions, &now.partition_set) {
            let (before, after) = (self.partitions, now.partitions);
            return Some(format!(
                "partitions of \"{name}\" were attached or detached: there were {before} and are \
                 {after}"
            ));
        }
        self.columns.iter().find_map(|before| {
            let what = format!("column \"{}\" of \"{name}\"", before.name);
            before.difference(before.now_in(&now.columns)?, &what)
        })
    }
}

impl ShapeColumn {
    /// Finds the column of the same name.
    fn now_in<'n>(&self, columns: &'n [ShapeColumn]) -> Option<&'n ShapeColumn> {
        columns.iter().find(|column| column.name == self.name)
    }

    fn difference(&self, now: &ShapeColumn, what: &str) -> Option<String> {
        if self.type_name != now.type_name {
            return Some(format!("{what} was {} and is {}", self.type_name, now.type_name));
        }
        if self.number != now.number {
            return Some(format!("{what} was dropped and made again"));
        }
        if let (Some(before), Some(after)) = (&self.collation, &now.collation)
            && before != after
        {
            return Some(format!("the collation of {what} was \"{before}\" and is \"{after}\""));
        }
        (self.collation_version != now.collation_version).then(|| {
            format!(
                "the collation of {what} has another version: {} has become {}",
                self.collation_version.as_deref().unwrap_or("none"),
                now.collation_version.as_deref().unwrap_or("none")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, number: i32) -> ShapeColumn {
        ShapeColumn {
            name: name.to_owned(),
            number,
            type_name: "integer".to_owned(),
            collation: Some("de icu de".to_owned()),
            collation_version: Some("2.36".to_owned()),
        }
    }

    fn shape() -> Shape {
        Shape {
            version: 150_018,
            system: Some("1".to_owned()),
            standby: false,
            timeline: Some(1),
            database: "d".to_owned(),
            database_oid: 5,
            relation: Some(20_000),
            columns: vec![column("id", 1), column("v", 2)],
            partitions: 2,
            partition_set: Some("ab".to_owned()),
            filenode: Some(30_000),
            relations: Some(vec![beneath("a.v", 20_000), beneath("a.t", 20_001)]),
            instance: None,
        }
    }

    fn beneath(name: &str, oid: u32) -> ShapeRelation {
        ShapeRelation {
            name: name.to_owned(),
            oid,
            definition: Some("ef".to_owned()),
            partitions: 1,
            partition_set: Some("gh".to_owned()),
            columns: vec![column("x", 1), column("y", 2)],
        }
    }

    #[test]
    fn equal_shapes_do_not_differ() {
        assert_eq!(shape().difference(&shape()), None);
        // a minor version changes no value
        assert_eq!(shape().difference(&Shape { version: 150_019, ..shape() }), None);
        // properties that were not read are not compared
        let open =
            Shape { system: None, timeline: None, filenode: None, relations: None, ..shape() };
        assert_eq!(open.difference(&shape()), None);
        // A relation that a view or a query reads may be renamed, or get other columns.
        let renamed = ShapeRelation { name: "b.u".to_owned(), ..beneath("a.t", 20_001) };
        let columns = vec![column("x", 1), column("z", 3)];
        let renamed = vec![beneath("a.v", 20_000), ShapeRelation { columns, ..renamed }];
        assert_eq!(shape().difference(&Shape { relations: Some(renamed), ..shape() }), None);
    }

    #[test]
    fn every_change_is_described() {
        let other_type = ShapeColumn { type_name: "bigint".to_owned(), ..column("v", 2) };
        let other_order = ShapeColumn { collation: Some("en".to_owned()), ..column("v", 2) };
        let newer = ShapeColumn { collation_version: Some("2.37".to_owned()), ..column("v", 2) };
        let with = |columns: &[ShapeColumn]| Shape { columns: columns.to_vec(), ..shape() };
        let id = || column("id", 1);
        let over = |now: &[ShapeRelation]| {
            let relations = [&[beneath("a.v", 20_000)], now].concat();
            Shape { relations: Some(relations), ..shape() }
        };
        let table = || beneath("a.t", 20_001);
        for (now, said) in [
            (Shape { system: Some("2".into()), ..shape() }, "another server"),
            (Shape { version: 160_002, ..shape() }, "PostgreSQL 15 has become PostgreSQL 16"),
            (Shape { standby: true, timeline: None, ..shape() }, "has become a standby"),
            (Shape { timeline: Some(2), ..shape() }, "timeline 1 has become 2"),
            (Shape { database: "e".into(), ..shape() }, "database \"d\" has become \"e\""),
            (Shape { database_oid: 6, ..shape() }, "database \"d\" was dropped and made again"),
            (Shape { relation: None, ..shape() }, "does not exist any more"),
            (Shape { relation: Some(1), ..shape() }, "was dropped and made again"),
            (Shape { partitions: 3, ..shape() }, "there were 2 and are 3"),
            (Shape { partition_set: Some("cd".into()), ..shape() }, "attached or detached"),
            (Shape { filenode: Some(1), ..shape() }, "rewritten"),
            (over(&[]), "\"a.t\" is not read any more"),
            (over(&[beneath("a.t", 7)]), "\"a.t\" was dropped and made again"),
            (over(&[table(), beneath("a.u", 7)]), "\"a.u\" is read and was not before"),
            (over(&[ShapeRelation { definition: None, ..table() }]), "view \"a.t\" was redefined"),
            (
                over(&[ShapeRelation { partitions: 3, ..table() }]),
                "of \"a.t\" were attached or detached: there were 1 and are 3",
            ),
            (
                over(&[ShapeRelation { columns: vec![column("x", 3)], ..table() }]),
                "column \"x\" of \"a.t\" was dropped and made again",
            ),
            (with(&[id()]), "column \"v\" does not exist any more"),
            (with(&[id(), column("v", 3)]), "column \"v\" was dropped and made again"),
            (with(&[id(), other_type]), "column \"v\" was integer and is bigint"),
            (with(&[id(), other_order]), "of column \"v\" was \"de icu de\" and is \"en\""),
            (with(&[id(), newer]), "has another version: 2.36 has become 2.37"),
            (with(&[id(), column("v", 2), column("w", 3)]), "column \"w\" is new"),
        ] {
            let difference = shape().difference(&now).unwrap_or_default();
            assert!(difference.contains(said), "{difference:?} does not say {said:?}");
        }
        let standby = Shape { standby: true, timeline: None, ..shape() };
        assert_eq!(standby.difference(&shape()).as_deref(), Some("the standby was promoted"));
    }
}
