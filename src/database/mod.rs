//! The way to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! In: SQL from `users.rs` and `sessions/`, which hold nearly every query. Out: rows, or
//! [`Error::Database`] or [`Error::Query`], never a "no"; a visitor sees a 503 page.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::thread;
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, Row, Statement, Transaction};
use r2d2::{Pool, PooledConnection};
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::tls::Verify;
pub use self::url::{Target, is_this_machine};
use crate::error::{Error, one_line};

mod tls;
mod url;

type Connection = PooledConnection<Manager>;
type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// The values that stand for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What one connection has prepared, by its SQL.
type Prepared = HashMap<&'static str, Statement>;

/// Few, because a query takes less than a millisecond, and none is held while a password is hashed.
const MAX_CONNECTIONS: u32 = 8;

/// How long a request waits for a connection, and a connection for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) mod migrations {
    refinery::embed_migrations!("sql");
    pub use migrations::runner;
}

/// A pool of connections to one database, whose schema is in place.
pub struct Database {
    pool: Pool<Manager>,
}

impl Database {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`Error::Setting`] if `url` is no connection string; [`Error::Database`] if no server
    /// answers there or the schema cannot be made.
    pub fn connect(url: &str) -> Result<Database, Error> {
        let target = Target::parse(url)?;
        migrate(&mut target.connect()?)?;
        let pool = Pool::builder()
            .max_size(MAX_CONNECTIONS)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .build_unchecked(Manager::new(target.config, target.tls));
        Ok(Database { pool })
    }

    /// The rows of a query.
    pub fn query(&self, sql: &'static str, params: Params) -> Result<Vec<Row>, Error> {
        let (mut connection, statement) = self.prepared(sql)?;
        Ok(connection.query(&statement, params)?)
    }

    /// The row of a query that has at most one. `None` if it has none.
    pub fn query_opt(&self, sql: &'static str, params: Params) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The number of rows a statement changed.
    pub fn execute(&self, sql: &'static str, params: Params) -> Result<u64, Error> {
        let (mut connection, statement) = self.prepared(sql)?;
        Ok(connection.execute(&statement, params)?)
    }

    /// Statements that all take effect, or none does.
    pub fn transaction<T>(
        &self,
        statements: impl FnOnce(&mut Transaction) -> Result<T, postgres::Error>,
    ) -> Result<T, Error> {
        let mut connection = self.connection()?;
        let mut transaction = connection.transaction()?;
        let outcome = statements(&mut transaction)?;
        transaction.commit()?;
        Ok(outcome)
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<(), Error> {
        Ok(self.connection()?.is_valid(PATIENCE)?)
    }

    fn connection(&self) -> Result<Connection, Error> {
        // The pool tests each connection before it lends it, so a restarted server costs no request.
        self.pool.get().map_err(|error| Error::Database(one_line(&error)))
    }

    /// A connection and the statement for `sql`, prepared once on each.
    fn prepared(&self, sql: &'static str) -> Result<(Connection, Statement), Error> {
        let mut connection = self.connection()?;
        // Out and back in, because looking and preparing both want the connection.
        let mut known: Prepared =
            Connection::extensions_mut(&mut connection).remove().unwrap_or_default();
        let statement = match known.entry(sql) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => new.insert(connection.prepare(sql)?).clone(),
        };
        Connection::extensions_mut(&mut connection).insert(known);
        Ok((connection, statement))
    }
}

/// Two servers that start at once may both try; the one that loses finds the work done.
fn migrate(client: &mut Client) -> Result<(), Error> {
    let mut tries = 10;
    while let Err(error) = migrations::runner().run(client) {
        if tries == 0 {
            return Err(Error::Database(one_line(&error)));
        }
        tries -= 1;
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
