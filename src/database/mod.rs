//! Access to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! A database that is slow, or does not answer at all, must not hold up requests for long. So every
//! statement has a deadline that PostgreSQL enforces. A frozen PostgreSQL enforces none, so database
//! work runs on threads of its own, and the request stops waiting for them after a deadline.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use postgres::types::ToSql;
use postgres::{Client, Row, Statement, Transaction};

pub use self::target::{Target, is_this_machine};
use crate::error::{Error, StartError, one_line};
use crate::line::{Line, Timeouts};
use crate::network::network;

pub(crate) mod migrations;
mod target;

/// The size of the pool. Few connections are enough: a query takes less than a millisecond, and no
/// connection is held while a password is hashed.
const MAX_CONNECTIONS: usize = 8;

/// How long a connection waits for a server that does not answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one call of [`Database::run`] may take.
const MAX_TIME: Duration = Duration::from_millis(2_500);

/// How long all calls of [`Database::run`] in one request may take together. A request may also wait for
/// another request's query, for up to [`MAX_TIME`]. Both together must stay under 8 s.
const MAX_REQUEST_TIME: Duration = Duration::from_secs(5);

/// The deadlines that PostgreSQL enforces. They are shorter than those of this program, so that it cancels a
/// slow statement first, and the connection can be used again.
const DEADLINES: &str = "SET statement_timeout = '2s'; SET lock_timeout = '2s'";

/// The request that a thread is at.
#[derive(Clone, Copy)]
struct Request {
    /// The visitor's network: networks take turns. All that is no request is one more.
    network: IpAddr,
    /// How much of [`MAX_REQUEST_TIME`] is left.
    time_left: Duration,
}

thread_local! {
    static REQUEST: Cell<Request> = const {
        Cell::new(Request { network: IpAddr::V4(Ipv4Addr::UNSPECIFIED), time_left: Duration::MAX })
    };
}

/// A pool of connections to one database with an up-to-date schema.
pub struct Database {
    pool: Arc<Pool>,
    /// A thread for each connection.
    line: Line<IpAddr>,
    /// Whether the log says that the database does not answer.
    is_away: AtomicBool,
}

struct Pool {
    target: Target,
    /// The connections that are not in use. The one that was used last is used next.
    idle: Mutex<Vec<Connection>>,
}

/// A connection. Each statement is prepared when it is used for the first time.
pub struct Connection {
    client: Client,
    /// The prepared statements, by their SQL.
    prepared: HashMap<&'static str, Statement>,
}

/// The values for `$1`, `$2` and so on in a query.
pub type Params<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Database {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StartError::Setting`] if `url` is not a valid connection string, or a migration fails;
    /// [`StartError::Database`] if the database cannot answer now.
    pub fn connect(url: &str) -> Result<Database, StartError> {
        let target = Target::parse(url)?;
        migrations::run(&mut target.connect()?)?;
        let pool = Arc::new(Pool { target, idle: Mutex::default() });
        let line = Line::new("query", MAX_CONNECTIONS)?;
        Ok(Database { pool, line, is_away: AtomicBool::new(false) })
    }

    /// Begins a request of that visitor on this thread. From now on, its database work may take 5 s in all, and
    /// takes turns with that of other networks.
    pub fn begin_request(&self, ip: IpAddr) {
        REQUEST.set(Request { network: network(ip), time_left: MAX_REQUEST_TIME });
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
        let pool = Arc::clone(&self.pool);
        let Request { network, time_left } = REQUEST.get();
        let limit = time_left.min(MAX_TIME);
        let timeouts = Timeouts { begin: limit, finish: limit };
        let outcome =
            count_time(|| self.line.run(network, timeouts, move || pool.run(work))).flatten();
        // The log has a line when an outage begins and one when it ends, not one for each request.
        match &outcome {
            Ok(_) if self.is_away() && self.is_away.swap(false, SeqCst) => {
                log::warn!("database at {}: answers again", self.pool.target.place());
            }
            // A request that had little time left proves nothing.
            Err(Error::Busy(_)) if limit < MAX_TIME => {}
            Err(cause @ (Error::Busy(_) | Error::Database(_)))
                if !self.is_away.swap(true, SeqCst) =>
            {
                log::error!("database at {}: no answer: {cause}", self.pool.target.place());
            }
            _ => {}
        }
        outcome
    }

    /// Whether the log already says that the database is away.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(SeqCst)
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<(), Error> {
        // Every connection is tested before it is used.
        self.run(|_| Ok(()))
    }
}

impl Pool {
    fn run<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, postgres::Error>,
    ) -> Result<T, Error> {
        let idle = self.idle.lock().pop();
        // The test finds connections that were lost, such as when PostgreSQL was restarted.
        let mut connection = match idle.and_then(Connection::tested) {
            Some(connection) => connection,
            None => Connection::open(&self.target)?,
        };
        let outcome = work(&mut connection).map_err(Error::from);
        // After an outage, a new connection may lead to another server.
        if !outcome.as_ref().is_err_and(Error::is_outage) {
            self.idle.lock().push(connection);
        }
        outcome
    }
}

impl Connection {
    fn open(target: &Target) -> Result<Connection, Error> {
        let away = |error| Error::Database(one_line(&error));
        let mut client = target.open().map_err(away)?;
        client.batch_execute(DEADLINES).map_err(away)?;
        Ok(Connection { client, prepared: HashMap::new() })
    }

    /// The connection, if the server still answers.
    fn tested(mut self) -> Option<Connection> {
        self.client.simple_query("").is_ok().then_some(self)
    }

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

    fn prepare(&mut self, sql: &'static str) -> Result<Statement, postgres::Error> {
        if let Some(known) = self.prepared.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client.prepare(sql)?;
        self.prepared.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// Counts the time that `wait` takes as time that this thread's request spends on the database.
pub(crate) fn count_time<T>(wait: impl FnOnce() -> T) -> T {
    let (begun, request) = (Instant::now(), REQUEST.get());
    let outcome = wait();
    let time_left = request.time_left.saturating_sub(begun.elapsed());
    REQUEST.set(Request { time_left, ..request });
    outcome
}
