//! The start of the server. As a service, it does not wait long for the database: until that answers,
//! visitors get a 503 page at once.

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use rouille::{Request, Response};

use crate::app::App;
use crate::config::Config;
use crate::error::StartError;
use crate::http::headers;
use crate::process::is_service;

/// How long the start waits for the database before visitors get the 503 page.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pause between two tries to reach the database.
const PAUSE: Duration = Duration::from_millis(500);

/// The text of the 503 page. The site's own pages need the [`App`], which needs the database.
const AWAY: &str = "The site cannot reach its database. Please try again in a moment.\n";

/// An [`App`] that may not be ready yet.
#[derive(Clone)]
pub struct Starting(Arc<OnceLock<App>>);

impl Starting {
    /// Starts the application. A service does not wait for its database, because visitors already connect
    /// to systemd's socket: further tries follow in the background. A person who typed the command gets an
    /// error instead.
    ///
    /// # Errors
    /// Those of [`App::new`]; in a service, only those that waiting cannot correct.
    pub fn begin(config: Config) -> Result<Starting, StartError> {
        if !is_service() {
            return App::new(config).map(|app| Starting(Arc::new(app.into())));
        }
        let starting = Starting(Arc::default());
        // Without a buffer, so `send` succeeds only if `begin` still waits for it.
        let (outcome, first_outcome) = mpsc::sync_channel(0);
        let tries = starting.clone();
        thread::spawn(move || tries.try_until_ready(&config, &outcome));
        // Without an outcome in time, the tries go on.
        first_outcome.recv_timeout(PATIENCE).unwrap_or(Ok(())).map(|()| starting)
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

    /// Does what is left to do before the program ends, for that long at most. Returns whether the
    /// database has ever answered.
    pub fn finish(&self, timeout: Duration) -> bool {
        self.0.get().inspect(|app| app.finish(timeout)).is_some()
    }

    /// Sends the outcome while `begin` waits for it. Later errors go to the log, but none twice in a row.
    fn try_until_ready(&self, config: &Config, outcome: &SyncSender<Result<(), StartError>>) {
        let mut logged = String::new();
        loop {
            let tried = App::new(config.clone()).map(|app| drop(self.0.set(app)));
            let line = tried.as_ref().map_or_else(ToString::to_string, |()| String::new());
            let can_change = matches!(tried, Err(StartError::Database(_)));
            if !can_change && outcome.send(tried).is_ok() {
                return;
            }
            if self.0.get().is_some() {
                log::info!("the database answers");
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
