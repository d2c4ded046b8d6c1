//! The start of the server as a service, which does not wait long for the database. Until the database
//! answers, visitors get a 503 page at once.

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

/// How long the start waits for the database before visitors get the 503 page.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause between two tries to reach the database.
const PAUSE: Duration = Duration::from_millis(500);

/// The text of the 503 page. The site's own pages need the [`App`], which needs the database.
const AWAY: &str = "The site cannot reach its database. Please try again in a moment.\n";

/// An [`App`] that may not be ready yet.
#[derive(Clone)]
pub struct Starting(Arc<OnceLock<App>>);

impl From<App> for Starting {
    fn from(app: App) -> Starting {
        Starting(Arc::new(OnceLock::from(app)))
    }
}

impl Starting {
    /// Starts the application. If the database does not answer, further tries follow in the background.
    ///
    /// # Errors
    /// Those of [`App::new`] that waiting cannot correct.
    pub fn begin(config: Config) -> Result<Starting, StartError> {
        let starting = Starting(Arc::default());
        // Without a buffer, so `send` succeeds only if `begin` still waits for it.
        let (outcome, first_outcome) = mpsc::sync_channel(0);
        let tries = starting.clone();
        thread::spawn(move || tries.try_until_ready(&config, &outcome));
        match first_outcome.recv_timeout(PATIENCE) {
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

    /// Does what is left to do before the program ends, for that long at most.
    pub fn finish(&self, timeout: Duration) {
        if let Some(app) = self.0.get() {
            app.finish(timeout);
        }
    }

    /// Whether the database has answered.
    pub fn is_ready(&self) -> bool {
        self.0.get().is_some()
    }

    /// Sends the outcome while `begin` waits for it. Later errors go to the log, but none twice in a row.
    fn try_until_ready(&self, config: &Config, outcome: &SyncSender<Result<(), StartError>>) {
        let mut logged = String::new();
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
            if line != logged {
                log::warn!("{line}; trying again, visitors get a 503 page meanwhile");
                logged = line;
            }
            thread::sleep(PAUSE);
        }
    }
}
