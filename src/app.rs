//! What all handlers share: settings, database, sessions and authentication.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use maud::Markup;
use rouille::Request;

use crate::accounts::authentication::Authentication;
use crate::accounts::links;
use crate::accounts::mail::{Mail, Server};
use crate::config::{Config, Registration};
use crate::database::Database;
use crate::error::StartError;
use crate::files;
use crate::fresh::Fresh;
use crate::sessions::Sessions;

/// How often expired sessions and links are deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// The whole application. One `App` answers all requests, from any number of threads.
pub struct App {
    pub(crate) config: Config,
    pub(crate) database: Arc<Database>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) authentication: Authentication,
    pub(crate) mail: Mail,
    /// The list of the members' files, as HTML.
    pub(crate) file_list: Fresh<Markup>,
}

impl App {
    /// Connects to the database, brings its schema up to date, and starts to delete expired sessions and links
    /// in the background.
    ///
    /// # Errors
    /// [`StartError::Setting`] for a setting that cannot work; [`StartError::Database`] if the database
    /// cannot answer now.
    pub fn new(config: Config) -> Result<App, StartError> {
        config.files.as_deref().map_or(Ok(()), files::must_be_listed)?;
        let mail_server = Server::new(&config)?;
        let database = Arc::new(Database::connect(&config.database_url)?);
        let sessions = Arc::new(Sessions::new(Arc::clone(&database), &config));
        sweep_in_background(&sessions, &database);
        let mail = Mail::start(mail_server, &database);
        let authentication = Authentication::new(Arc::clone(&database), &config)?;
        let file_list = Fresh::default();
        Ok(App { config, database, sessions, authentication, mail, file_list })
    }

    /// Whether the visitor uses https, according to the settings or to a trusted proxy.
    pub(crate) fn is_https(&self, request: &Request) -> bool {
        self.config.is_https() || request.is_secure()
    }

    /// Sends the mail that waits, for that long at most, because the program stops.
    pub fn finish(&self, timeout: Duration) {
        self.mail.finish(timeout);
    }

    /// Whether visitors may register.
    pub(crate) fn may_register(&self) -> bool {
        self.config.registration == Registration::Open
    }
}

/// Deletes expired sessions and links every minute, until the [`App`] is dropped.
fn sweep_in_background(sessions: &Arc<Sessions>, database: &Arc<Database>) {
    let (sessions, database) = (Arc::downgrade(sessions), Arc::downgrade(database));
    thread::spawn(move || {
        loop {
            thread::sleep(SWEEP_EVERY);
            let Some(sessions) = sessions.upgrade() else { return };
            let Some(database) = database.upgrade() else { return };
            for swept in [sessions.sweep(), links::sweep(&database)] {
                if let Err(error) = swept
                    && !error.is_outage()
                {
                    log::warn!("cannot sweep: {error}");
                }
            }
        }
    });
}
