//! The way to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! A server that is slow is worse than one that is gone, because nothing says so. Every statement has a
//! deadline on the server, and everything that is done with the database has one on our side as well:
//! it runs on a thread that the request can leave behind, since a frozen server obeys no deadline.

use std::cell::Cell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use postgres::types::ToSql;
use postgres::{Client, Row, Statement, Transaction};
use r2d2::{CustomizeConnection, Pool, PooledConnection};
use r2d2_postgres::PostgresConnectionManager;
use tokio_postgres_rustls::MakeRustlsConnect;

use self::outage::Outage;
pub use self::tls::Verify;
pub use self::url::{Target, is_this_machine};
use crate::error::{Error, StartError, one_line};
use crate::line::{Line, Patience};

pub(crate) mod migrations;
mod outage;
mod tls;
mod url;

type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// The values that stand for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

/// What one connection has prepared, by its SQL.
type Prepared = HashMap<&'static str, Statement>;

/// Few, because a query takes less than a millisecond, and none is held while a password is hashed.
const MAX_CONNECTIONS: u32 = 8;

/// How long a request waits for a connection, and a connection for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What each connection asks of the server: to give up before we do, so that the connection stays of use.
const DEADLINES: &str = "SET statement_timeout = '2s'; SET lock_timeout = '2s'";

/// How long one thing may take that is done with the database.
const MAX_TIME: Duration = Duration::from_millis(2_500);

/// How long all may take together that one request does with it. Beside it, a request may have waited
/// for another that asks the same, so this and [`MAX_TIME`] must stay under 8 s.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(5);

thread_local! {
    /// What is left of this time for the request that this thread answers. `None` outside requests.
    static TIME_LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A pool of connections to one database, whose schema is in place.
pub struct Database {
    pool: Pool<Manager>,
    line: Line<()>,
    outage: Outage,
}

/// One of them, lent to whoever does something with it.
pub struct Connection(PooledConnection<Manager>);

impl Database {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StartError::Setting`] if `url` is no connection string; [`StartError::Database`] if no server
    /// answers there or the schema cannot be made.
    pub fn connect(url: &str) -> Result<Database, StartError> {
        let target = Target::parse(url)?;
        migrations::run(&mut target.connect()?)?;
        let outage = Outage::new(target.place());
        let pool = Pool::builder()
            .max_size(MAX_CONNECTIONS)
            .min_idle(Some(1))
            .connection_timeout(PATIENCE)
            .connection_customizer(Box::new(Deadlines))
            .error_handler(Box::new(outage.clone()))
            .event_handler(Box::new(outage.clone()))
            .build_unchecked(Manager::new(target.config, target.tls));
        Ok(Database { pool, line: Line::new("query", MAX_CONNECTIONS as usize)?, outage })
    }

    /// Begins a request on this thread: what it does with the database from now on may take
    /// 5 s in all.
    pub fn begin_request(&self) {
        TIME_LEFT.set(Some(MAX_REQUEST_TIME));
    }

    /// Does something with a connection.
    ///
    /// # Errors
    /// As [`Error::is_outage`] tells: the database cannot answer in time, or a mistake of ours.
    pub fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (pool, begun, left) = (self.pool.clone(), Instant::now(), TIME_LEFT.get());
        let limit = left.map_or(MAX_TIME, |left| left.min(MAX_TIME));
        let outcome = self.line.run((), Patience { begin: limit, end: limit }, move || {
            // The pool tests each connection before it lends it, so a restarted server costs no request.
            let connection = pool.get().map_err(|error| Error::Database(one_line(&error)))?;
            work(&mut Connection(connection)).map_err(Error::from)
        });
        TIME_LEFT.set(left.map(|left| left.saturating_sub(begun.elapsed())));
        if let Err(Error::Busy(_)) = &outcome {
            self.outage.begin(Some("statements are not answered in time".to_owned()));
        }
        outcome?
    }

    /// Counts a request that failed, for the log's line on the outage. `false` if there is none.
    pub(crate) fn counts_failure(&self) -> bool {
        self.outage.counts_failure()
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<(), Error> {
        // To be lent a connection is enough, as it has just been tested.
        self.run(|_| Ok(()))
    }
}

impl Connection {
    /// The rows of a query.
    pub fn query(
        &mut self,
        sql: &'static str,
        params: Params,
    ) -> Result<Vec<Row>, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.0.query(&statement, params)
    }

    /// The row of a query that has at most one. `None` if it has none.
    pub fn query_opt(
        &mut self,
        sql: &'static str,
        params: Params,
    ) -> Result<Option<Row>, postgres::Error> {
        Ok(self.query(sql, params)?.into_iter().next())
    }

    /// The number of rows a statement changed.
    pub fn execute(&mut self, sql: &'static str, params: Params) -> Result<u64, postgres::Error> {
        let statement = self.prepare(sql)?;
        self.0.execute(&statement, params)
    }

    /// Begins statements that all take effect when they are committed, or none does.
    pub fn transaction(&mut self) -> Result<Transaction<'_>, postgres::Error> {
        self.0.transaction()
    }

    /// The statement for `sql`, prepared once on each connection.
    fn prepare(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        // Out and back in, because looking and preparing both want the connection.
        let mut known: Prepared =
            PooledConnection::extensions_mut(&mut self.0).remove().unwrap_or_default();
        let statement = match known.entry(sql) {
            Entry::Occupied(known) => Ok(known.get().clone()),
            Entry::Vacant(new) => self.0.prepare(sql).map(|made| new.insert(made).clone()),
        };
        PooledConnection::extensions_mut(&mut self.0).insert(known);
        statement
    }
}

/// Sets the server's deadlines on each new connection.
#[derive(Debug)]
struct Deadlines;

impl CustomizeConnection<Client, postgres::Error> for Deadlines {
    fn on_acquire(&self, client: &mut Client) -> Result<(), postgres::Error> {
        client.batch_execute(DEADLINES)
    }
}
