//! A connection, and the statements that are prepared on it.

use std::collections::HashMap;

use postgres::types::ToSql;
use postgres::{Client, Error, Row, Statement, Transaction};

use super::Target;
use crate::error::one_line;

/// The deadlines that PostgreSQL enforces. They are shorter than those of this program, so that it cancels a
/// slow statement first, and the connection can be used again.
const DEADLINES: &str = "SET statement_timeout = '2s'; SET lock_timeout = '2s'";

/// The values for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// A connection. Each statement is prepared when it is used for the first time.
pub struct Connection {
    client: Client,
    /// The prepared statements, by their SQL.
    prepared: HashMap<&'static str, Statement>,
}

impl Connection {
    pub(super) fn open(target: &Target) -> Result<Connection, crate::Error> {
        let away = |error| crate::Error::Database(one_line(&error));
        let mut client = target.open().map_err(away)?;
        client.batch_execute(DEADLINES).map_err(away)?;
        Ok(Connection { client, prepared: HashMap::new() })
    }

    /// The connection, if the server still answers.
    pub(super) fn tested(mut self) -> Option<Connection> {
        self.client.simple_query("").is_ok().then_some(self)
    }

    /// The rows of a query.
    pub fn query(&mut self, sql: &'static str, params: Params) -> Result<Vec<Row>, Error> {
        let statement = self.prepare(sql)?;
        self.client.query(&statement, params)
    }

    /// The first row of a query. `None` if it has no rows.
    pub fn query_opt(&mut self, sql: &'static str, params: Params) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// Runs a statement, and returns the number of rows that it changed.
    pub fn execute(&mut self, sql: &'static str, params: Params) -> Result<u64, Error> {
        let statement = self.prepare(sql)?;
        self.client.execute(&statement, params)
    }

    /// Begins a transaction.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.client.transaction()
    }

    fn prepare(&mut self, sql: &'static str) -> Result<Statement, Error> {
        if let Some(known) = self.prepared.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}
