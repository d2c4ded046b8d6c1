//! The start of the application, which need not wait for its database: until that answers, visitors
//! get a 503 page at once instead of a connection that says nothing.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rouille::{Request, Response};

use crate::app::App;
use crate::config::Config;
use crate::error::StartError;
use crate::http::headers;

/// How long a start waits for the database before it tells visitors that it is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause between two tries to reach it.
const PAUSE: Duration = Duration::from_millis(500);

/// What visitors read meanwhile. The site's own pages need the [`App`], and that needs the database.
const AWAY: &str = "The site cannot reach its database. Please try again in a moment.\n";

/// An [`App`], as soon as its database answers.
#[derive(Clone)]
pub struct Starting(Arc<OnceLock<App>>);

impl From<App> for Starting {
    fn from(app: App) -> Starting {
        Starting(Arc::new(OnceLock::from(app)))
    }
}

impl Starting {
    /// Starts the application. A database that is away or slow is tried again and again in the
    /// background.
    ///
    /// # Errors
    /// What waiting would not mend: as [`App::new`], but for a database that is away.
    pub fn begin(config: Config) -> Result<Starting, StartError> {
        let starting = Starting(Arc::default());
        // Without room: what is sent was received.
        let (outcome, first) = mpsc::sync_channel(0);
        let tries = starting.clone();
        thread::spawn(move || tries.try_until_ready(&config, &outcome));
        match first.recv_timeout(PATIENCE) {
            Ok(outcome) => outcome.map(|()| starting),
            Err(RecvTimeoutError::Timeout) => Ok(starting),
            Err(RecvTimeoutError::Disconnected) => {
                Err(StartError::System("start", io::Error::other("a thread panicked")))
            }
        }
    }

    /// Answers a request.
    pub fn handle(&self, request: &Request) -> Response {
        if let Some(app) = self.0.get() {
            return app.handle(request);
        }
        let mut response = Response::text(AWAY).with_status_code(503);
        response.headers.push(("Retry-After".into(), "5".into()));
        headers::secure(&mut response, request.is_secure());
        response
    }

    /// Whether the database has answered.
    pub fn is_ready(&self) -> bool {
        self.0.get().is_some()
    }

    /// Tells the outcome while somebody waits for it. Later, what is wrong goes to the log, once for
    /// each cause.
    fn try_until_ready(&self, config: &Config, outcome: &SyncSender<Result<(), StartError>>) {
        let mut known = String::new();
        loop {
            let error = match App::new(config.clone()) {
                Ok(app) => {
                    let _ = self.0.set(app);
                    if outcome.send(Ok(())).is_err() {
                        log::info!("the database answers");
                    }
                    return;
                }
                Err(error) => error,
            };
            let line = error.to_string();
            let is_final = !matches!(error, StartError::Database(_));
            if is_final && outcome.send(Err(error)).is_ok() {
                return;
            }
            if line != known {
                log::warn!("{line}; trying again, visitors get a 503 page meanwhile");
                known = line;
            }
            thread::sleep(PAUSE);
        }
    }
}
