//! Access to PostgreSQL: a pool of connections, each with its prepared statements.
//!
//! A database that is slow, or does not answer at all, must not hold up requests for long. So every
//! statement has a deadline that PostgreSQL enforces. A frozen PostgreSQL enforces none, so database
//! work runs on threads of its own, and the request stops waiting for them after a deadline.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

pub use self::connection::Connection;
use self::outage::Outage;
pub use self::target::{Target, is_this_machine};
use crate::error::{Error, StartError};
use crate::line::{Line, Timeouts};

mod connection;
pub(crate) mod migrations;
mod outage;
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

thread_local! {
    /// How much of [`MAX_REQUEST_TIME`] is left for this thread's request. `None` outside requests.
    static TIME_LEFT: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// A pool of connections to one database with an up-to-date schema.
pub struct Database {
    pool: Arc<Pool>,
    /// A thread for each connection.
    line: Line<()>,
    outage: Outage,
}

struct Pool {
    target: Target,
    /// The connections that are not in use. The one that was used last is used next.
    idle: Mutex<Vec<Connection>>,
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
        let outage = Outage::new(target.place());
        let pool = Arc::new(Pool { target, idle: Mutex::default() });
        Ok(Database { pool, line: Line::new("query", MAX_CONNECTIONS)?, outage })
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
        let pool = Arc::clone(&self.pool);
        let limit = TIME_LEFT.get().map_or(MAX_TIME, |left| left.min(MAX_TIME));
        let timeouts = Timeouts { begin: limit, finish: limit };
        let outcome = count_time(|| self.line.run((), timeouts, move || pool.run(work)));
        match &outcome {
            Ok(Ok(_)) => self.outage.end(),
            Ok(Err(Error::Database(cause))) => self.outage.begin(cause),
            // A request that had little time left proves nothing.
            Err(Error::Busy(_)) if limit == MAX_TIME => {
                self.outage.begin("statements are not answered in time");
            }
            _ => {}
        }
        outcome?
    }

    /// Whether the log already says that the database is away.
    pub(crate) fn is_away(&self) -> bool {
        self.outage.is_away()
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

/// Counts the time that `wait` takes as time that this thread's request spends on the database.
pub(crate) fn count_time<T>(wait: impl FnOnce() -> T) -> T {
    let (begun, left) = (Instant::now(), TIME_LEFT.get());
    let outcome = wait();
    TIME_LEFT.set(left.map(|left| left.saturating_sub(begun.elapsed())));
    outcome
}
