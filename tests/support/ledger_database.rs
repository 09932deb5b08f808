//! A database that holds ledgers.

use pgreconcile::schema::Side;

use super::pair::Pair;

/// A database for ledgers, in which the reader may make the schema.
pub struct LedgerDatabase {
    pub pair: Pair,
}

impl LedgerDatabase {
    pub fn new() -> LedgerDatabase {
        let pair = Pair::new("select", "select");
        pair.sql(Side::Source, &format!("grant create on database {} to reader", pair.database));
        LedgerDatabase { pair }
    }

    pub fn sql(&self, sql: &str) -> String {
        self.pair.sql(Side::Source, sql)
    }

    pub fn url(&self) -> String {
        self.pair.url(Side::Source)
    }
}
