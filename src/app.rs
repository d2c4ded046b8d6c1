//! What every handler may use: settings, database, sessions, and what it takes to know who somebody is.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use maud::Markup;
use rouille::Request;

use crate::accounts::authentication::Authentication;
use crate::config::{Config, Registration};
use crate::database::Database;
use crate::error::StartError;
use crate::files::{self, Shared};
use crate::sessions::Sessions;

/// How often what has expired is dropped.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The whole application. One of these answers every request, from as many threads as you like.
pub struct App {
    pub(crate) config: Config,
    pub(crate) database: Arc<Database>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) authentication: Authentication,
    /// The members' files, as their page shows them.
    pub(crate) file_list: Shared<Markup>,
}

impl App {
    /// Connects to the database, brings its schema up to date and starts to sweep.
    ///
    /// # Errors
    /// [`StartError::Setting`] for a setting that cannot work, [`StartError::Database`] without a database.
    pub fn new(config: Config) -> Result<App, StartError> {
        config.files.as_deref().map_or(Ok(()), files::must_be_listed)?;
        let database = Arc::new(Database::connect(&config.database_url)?);
        let sessions = Arc::new(Sessions::new(Arc::clone(&database), &config));
        sweep_in_background(&sessions);
        let authentication = Authentication::new(Arc::clone(&database), config.bcrypt_cost)?;
        Ok(App { config, database, sessions, authentication, file_list: Shared::default() })
    }

    /// Whether the visitor came by https, as far as the settings or a trusted proxy tell.
    pub(crate) fn is_https(&self, request: &Request) -> bool {
        self.config.is_https() || request.is_secure()
    }

    /// Whether strangers may make an account.
    pub(crate) fn may_register(&self) -> bool {
        self.config.registration == Registration::Open
    }
}

/// Sweeps until the [`App`] is dropped.
fn sweep_in_background(sessions: &Arc<Sessions>) {
    let sessions = Arc::downgrade(sessions);
    thread::spawn(move || {
        loop {
            thread::sleep(SWEEP_EVERY);
            let Some(sessions) = sessions.upgrade() else { return };
            if let Err(error) = sessions.sweep()
                && !error.is_outage()
            {
                log::warn!("sessions: cannot sweep: {error}");
            }
        }
    });
}
