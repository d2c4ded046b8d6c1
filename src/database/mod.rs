//! The way to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! In: SQL from `users.rs` and `sessions/`, which hold every query. Out: rows, or
//! [`Error::Database`], which a visitor sees as a 503 page.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use postgres::types::ToSql;
use postgres::{Client, Row, Statement};
use r2d2::{Pool, PooledConnection};
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

pub use self::diagnosis::{Diagnosis, diagnose};
pub use self::tls::Verify;
use self::url::Target;
pub use self::url::is_this_machine;
use crate::error::{Error, one_line};

mod diagnosis;
mod tls;
mod url;

type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// The values that stand for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Few, because a query takes less than a millisecond, and none is held while a password is hashed.
const MAX_CONNECTIONS: u32 = 8;

/// How long a request waits for a connection, and a connection for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

mod migrations {
    refinery::embed_migrations!("sql");
}

/// A pool of connections to one database, whose schema is in place.
pub struct Database {
    pool: Pool<Manager>,
}

/// What one connection has prepared, by its SQL.
struct Prepared(HashMap<&'static str, Statement>);

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
        let mut connection = self.connection()?;
        let statement = prepared(&mut connection, sql)?;
        Ok(connection.query(&statement, params)?)
    }

    /// The row of a query that has at most one. `None` if it has none.
    pub fn query_opt(&self, sql: &'static str, params: Params) -> Result<Option<Row>, Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The number of rows a statement changed.
    pub fn execute(&self, sql: &'static str, params: Params) -> Result<u64, Error> {
        let mut connection = self.connection()?;
        let statement = prepared(&mut connection, sql)?;
        Ok(connection.execute(&statement, params)?)
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<(), Error> {
        Ok(self.connection()?.is_valid(PATIENCE)?)
    }

    fn connection(&self) -> Result<PooledConnection<Manager>, Error> {
        // The pool tests each connection before it lends it, so a restarted server costs no request.
        self.pool.get().map_err(|error| Error::Database(one_line(&error)))
    }
}

/// The statement for `sql`, prepared once a connection.
fn prepared(
    connection: &mut PooledConnection<Manager>,
    sql: &'static str,
) -> Result<Statement, Error> {
    let known = PooledConnection::extensions_mut(connection);
    if let Some(statement) = known.get::<Prepared>().and_then(|known| known.0.get(sql)) {
        return Ok(statement.clone());
    }
    let statement = connection.prepare(sql)?;
    let known = PooledConnection::extensions_mut(connection);
    let mut statements = known.remove::<Prepared>().unwrap_or(Prepared(HashMap::new()));
    statements.0.insert(sql, statement.clone());
    known.insert(statements);
    Ok(statement)
}

/// Two servers that start at once may both try; the one that loses finds the work done.
fn migrate(client: &mut Client) -> Result<(), Error> {
    let mut tries = 10;
    loop {
        match migrations::migrations::runner().run(client) {
            Ok(_) => return Ok(()),
            Err(error) if tries == 0 => return Err(Error::Database(one_line(&error))),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
        tries -= 1;
    }
}
