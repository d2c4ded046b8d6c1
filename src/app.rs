//! What all handlers share: settings, database, sessions and authentication.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use maud::Markup;
use rouille::Request;

use crate::accounts::authentication::Authentication;
use crate::accounts::second_factor::SecondFactors;
use crate::config::{Config, Registration};
use crate::database::Database;
use crate::error::StartError;
use crate::files;
use crate::fresh::Fresh;
use crate::sessions::Sessions;

/// How often expired sessions are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The whole application. One `App` answers all requests, from any number of threads.
pub struct App {
    pub(crate) config: Config,
    pub(crate) database: Arc<Database>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) authentication: Authentication,
    pub(crate) second_factors: SecondFactors,
    /// The list of the members' files, as HTML.
    pub(crate) file_list: Fresh<Markup>,
}

impl App {
    /// Connects to the database, brings its schema up to date, and starts to delete expired sessions in
    /// the background.
    ///
    /// # Errors
    /// [`StartError::Setting`] for a setting that cannot work; [`StartError::Database`] if the database
    /// cannot answer now.
    pub fn new(config: Config) -> Result<App, StartError> {
        config.files.as_deref().map_or(Ok(()), files::must_be_listed)?;
        let database = Arc::new(Database::connect(&config.database_url)?);
        let sessions = Arc::new(Sessions::new(Arc::clone(&database), &config));
        sweep_in_background(&sessions);
        let authentication = Authentication::new(Arc::clone(&database), config.bcrypt_cost)?;
        let second_factors = SecondFactors::new(Arc::clone(&database));
        let file_list = Fresh::default();
        Ok(App { config, database, sessions, authentication, second_factors, file_list })
    }

    /// Whether the visitor uses https, according to the settings or to a trusted proxy.
    pub(crate) fn is_https(&self, request: &Request) -> bool {
        self.config.is_https() || request.is_secure()
    }

    /// Whether visitors may register.
    pub(crate) fn may_register(&self) -> bool {
        self.config.registration == Registration::Open
    }
}

/// Deletes expired sessions every minute, until the [`App`] is dropped.
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
