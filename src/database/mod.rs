//! Access to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! A database that is slow, or does not answer at all, must not hold up requests for long. So every
//! statement has a deadline that PostgreSQL enforces. A frozen PostgreSQL enforces none, so database
//! work also runs on threads of its own, and the request stops waiting for them after a deadline.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Row, Statement, Transaction};
use r2d2::{ManageConnection, NopErrorHandler, Pool};

use self::outage::Outage;
pub use self::target::{Target, is_this_machine};
use crate::error::{Error, StartError, one_line};
use crate::line::{Line, Timeouts};

pub(crate) mod migrations;
mod outage;
mod target;

/// The values for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// The size of the pool. Few connections are enough: a query takes less than a millisecond, and no
/// connection is held while a password is hashed.
const MAX_CONNECTIONS: u32 = 8;

/// How long the pool waits for a free connection, and a connection for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The deadlines that PostgreSQL enforces. They are shorter than ours, so that it cancels a slow
/// statement first, and its connection can be used again.
const DEADLINES: &str = "SET statement_timeout = '2s'; SET lock_timeout = '2s'";

/// How long one call of [`Database::run`] may take.
const MAX_TIME: Duration = Duration::from_millis(2_500);

/// How long all calls of [`Database::run`] in one request may take together. A request may also wait for
/// another request's query, for up to [`MAX_TIME`]. Both together must stay under 8 s.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(5);

thread_local! {
    /// How much of [`MAX_REQUEST_TIME`] is left for this thread's request. `None` outside requests.
    static TIME_LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A pool of connections to one database with an up-to-date schema.
pub struct Database {
    pool: Pool<Manager>,
    line: Line<()>,
    outage: Arc<Outage>,
}

/// A connection of the pool.
pub struct Connection {
    client: Client,
    /// The statements that are prepared on this connection, by their SQL.
    prepared: HashMap<&'static str, Statement>,
}

/// Makes and tests the connections of the pool.
struct Manager {
    target: Target,
    outage: Arc<Outage>,
}

impl Database {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StartError::Setting`] if `url` is not a valid connection string, or a migration fails;
    /// [`StartError::Database`] if the database cannot answer now.
    pub fn connect(url: &str) -> Result<Database, StartError> {
        let target = Target::parse(url)?;
        migrations::run(&mut target.connect()?)?;
        let outage = Arc::new(Outage::new(target.place()));
        let pool = Pool::builder()
            .max_size(MAX_CONNECTIONS)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .error_handler(Box::new(NopErrorHandler))
            .build_unchecked(Manager { target, outage: Arc::clone(&outage) });
        Ok(Database { pool, line: Line::new("query", MAX_CONNECTIONS as usize)?, outage })
    }

    /// Begins a request on this thread. From now on, its database work may take 5 s in all.
    pub fn begin_request(&self) {
        TIME_LEFT.set(Some(MAX_REQUEST_TIME));
    }

    /// Runs `work` with a connection, on a thread of the pool, and waits for its result.
    ///
    /// # Errors
    /// An outage ([`Error::is_outage`]) if the database does not answer in time; any other error is a
    /// mistake of ours.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let pool = self.pool.clone();
        let limit = TIME_LEFT.get().map_or(MAX_TIME, |left| left.min(MAX_TIME));
        let timeouts = Timeouts { begin: limit, finish: limit };
        let outcome = count_time(|| {
            self.line.run((), timeouts, move || {
                // The pool tests a connection before it returns it, so no request fails after PostgreSQL
                // was restarted.
                let mut connection =
                    pool.get().map_err(|error| Error::Database(one_line(&error)))?;
                work(&mut connection).map_err(Error::from)
            })
        });
        match &outcome {
            Ok(Err(Error::Database(cause))) => self.outage.begin(cause),
            // A request that had little time left proves nothing.
            Err(Error::Busy(_)) if limit == MAX_TIME => {
                self.outage.begin("statements are not answered in time");
            }
            _ => {}
        }
        outcome?
    }

    /// Counts a failed request for the log line about the current outage. `false` if there is no outage.
    pub(crate) fn counts_failure(&self) -> bool {
        self.outage.counts_failure()
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<(), Error> {
        // The pool has just tested the connection that it returns.
        self.run(|_| Ok(()))
    }
}

/// Counts the time that `wait` takes as time that this thread's request spends on the database.
pub(crate) fn count_time<T>(wait: impl FnOnce() -> T) -> T {
    let (begun, left) = (Instant::now(), TIME_LEFT.get());
    let outcome = wait();
    TIME_LEFT.set(left.map(|left| left.saturating_sub(begun.elapsed())));
    outcome
}

impl Connection {
    /// The rows of a query.
    pub fn query(
        &mut self,
        sql: &'static str,
        params: Params,
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.client.query(&statement, params)
    }

    /// The first row of a query. `None` if it has no rows.
    pub fn query_opt(
        &mut self,
        sql: &'static str,
        params: Params,
    ) -> Result<Option<Row>, postgres::Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// Runs a statement, and returns the number of rows that it changed.
    pub fn execute(&mut self, sql: &'static str, params: Params) -> Result<u64, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.client.execute(&statement, params)
    }

    /// Begins a transaction.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, postgres::Error> {
        self.client.transaction()
    }

    /// The prepared statement for `sql`; prepares it if this connection has not yet.
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(known) = self.prepared.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

impl ManageConnection for Manager {
    type Connection = Connection;
    type Error = postgres::Error;

    fn connect(&self) -> Result<Connection, postgres::Error> {
        let mut client =
            self.target.open().inspect_err(|error| self.outage.begin(&one_line(error)))?;
        client.batch_execute(DEADLINES)?;
        self.outage.end();
        Ok(Connection { client, prepared: HashMap::new() })
    }

    /// Tests a connection before a request gets it.
    fn is_valid(&self, connection: &mut Connection) -> Result<(), postgres::Error> {
        connection.client.simple_query("")?;
        self.outage.end();
        Ok(())
    }

    fn has_broken(&self, connection: &mut Connection) -> bool {
        connection.client.is_closed()
    }
}
