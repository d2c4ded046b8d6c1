//! The mail server, and what is written to people.

use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::time::Duration;

use lettre::Message;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{SmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::{commands, extension::ClientId};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::accounts::links::{LinkUrl, random_number};
use crate::config::Config;
use crate::database::is_this_machine;
use crate::error::{Error, StartError};

const SMTP: &str = "DOORWARD_SMTP";
const ODD: &str = "write smtps://user:password@host or smtp://user:password@host:587, and in the password \
     %2F for a slash, %23 for #, %25 for %, %3F for a question mark";

/// How long the server may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where mail goes, and what stands in all of it.
pub struct Server {
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    from: Mailbox,
    site_name: String,
    contact: Option<String>,
    /// The public URL.
    pub site: Url,
}

/// What is written to the owner of an account.
#[derive(Clone, Copy)]
pub enum Letter<'a> {
    /// A link to register.
    Invitation(&'a LinkUrl),
    /// A link for a new password.
    NewPassword(&'a LinkUrl),
    /// That the password was changed.
    PasswordChanged,
    /// That the email was changed, for the old address.
    EmailChanged,
    /// That a second factor was turned on or off.
    SecondFactorChanged,
}

/// Why a mail was not sent.
pub type Failure = Box<dyn StdError + Send + Sync>;

impl Server {
    /// The server of the settings. `None` if they name none.
    ///
    /// # Errors
    /// [`StartError::Setting`] for an URL that cannot be used, or a setting that is missing beside it. It does
    /// not show the URL, which may contain a password.
    pub fn new(config: &Config) -> Result<Option<Server>, StartError> {
        if config.smtp.is_empty() {
            return Ok(None);
        }
        let wrong = |text: &str| StartError::Setting(SMTP, text.to_owned());
        let odd = || wrong(ODD);
        let missing = |name, example| {
            StartError::Setting(name, format!("not set, but {SMTP} needs it: write {example}"))
        };
        let url = Url::parse(&config.smtp).map_err(|_| odd())?;
        // What is left of a password that was not encoded.
        let is_more = url.path().len() > 1 || url.query().or(url.fragment()).is_some();
        let host = url.host_str().filter(|host| !host.is_empty() && !is_more).ok_or_else(odd)?;
        let host = host.trim_matches(['[', ']']).to_owned();
        let tls = || TlsParameters::new(host.clone()).map_err(|error| wrong(&error.to_string()));
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls()?), 465),
            "smtp" if is_this_machine(&host) => (Tls::None, 25),
            "smtp" => (Tls::Required(tls()?), 587),
            _ => return Err(odd()),
        };
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, password) = (decoded(url.username()), url.password().map(decoded));
        let (from, site) = (config.mail_from.clone(), config.public_url.clone());
        Ok(Some(Server {
            port: url.port().unwrap_or(port),
            credentials: password.map(|password| Credentials::new(user, password)),
            from: from.ok_or_else(|| missing("DOORWARD_MAIL_FROM", "doorward@example.org"))?,
            site: site.ok_or_else(|| missing("DOORWARD_PUBLIC_URL", "https://example.org"))?,
            contact: config.contact.as_ref().map(|url| format!("Contact: {url}\n")),
            site_name: config.site_name.clone(),
            host,
            tls,
        }))
    }

    /// The mail with that letter.
    pub fn message(&self, to: &str, letter: Letter) -> Result<Message, Failure> {
        let (subject, text) = letter.words();
        let (name, site) = (&self.site_name, &self.site);
        let contact = self.contact.as_deref().unwrap_or_default();
        let mail = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to.parse()?))
            .subject(format!("{name}: {subject}"))
            .message_id(Some(format!("<{}@{}>", random_number()?, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(format!("Hello,\n\n{text}\n\n-- \n{name}\n{site}\n{contact}"))?;
        Ok(mail)
    }

    /// Writes a letter, and waits until the server has taken it.
    pub fn write(&self, to: &str, letter: Letter) -> Result<(), Failure> {
        self.send(&self.message(to, letter)?)
    }

    /// Sends a mail, and waits until the server has taken it.
    pub fn send(&self, mail: &Message) -> Result<(), Failure> {
        let mut connection = self.connect()?;
        connection.send(mail.envelope(), &mail.formatted())?;
        // The server has taken the mail, even if it does not say goodbye.
        let _ = connection.quit();
        Ok(())
    }

    /// Whether the server answers, and would take a mail from this sender.
    pub fn check(&self) -> Result<(), Failure> {
        let mut connection = self.connect()?;
        connection.command(commands::Mail::new(Some(self.from.email.clone()), vec![]))?;
        let _ = connection.quit();
        Ok(())
    }

    fn connect(&self) -> Result<SmtpConnection, SmtpError> {
        let name = ClientId::Domain(self.site.host_str().unwrap_or_default().to_owned());
        let address = (&*self.host, self.port);
        let wrapper = if let Tls::Wrapper(tls) = &self.tls { Some(tls) } else { None };
        let mut connection = SmtpConnection::connect(address, Some(TIMEOUT), &name, wrapper, None)?;
        if let Tls::Required(tls) = &self.tls {
            connection.starttls(tls, &name)?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials)?;
        }
        Ok(connection)
    }
}

impl Letter<'_> {
    /// Subject and text.
    fn words(self) -> (&'static str, String) {
        let changed = |what| {
            format!(
                "The {what} of your account was changed. If it was not you who did this or asked for it, \
                 tell whoever runs the site at once."
            )
        };
        match self {
            Letter::Invitation(link) => (
                "invitation",
                format!(
                    "You are invited. Make your account here, within 7 days:\n\n{}",
                    link.expose()
                ),
            ),
            Letter::NewPassword(link) => (
                "a new password",
                format!(
                    "Here you can choose a new password, within 24 hours:\n\n{}\n\n\
                     If you did not ask for this, do nothing: your password stays as it is.",
                    link.expose()
                ),
            ),
            Letter::PasswordChanged => ("your password was changed", changed("password")),
            Letter::EmailChanged => ("your email was changed", changed("email")),
            Letter::SecondFactorChanged => {
                ("your second factor was changed", changed("second factor"))
            }
        }
    }
}

/// Whether another try would fail, too: not if the server is away, says so, or the database did not answer.
pub(super) fn is_final(failure: &Failure) -> bool {
    let refused = failure.downcast_ref().map(SmtpError::is_permanent);
    refused.unwrap_or_else(|| !failure.is::<Error>())
}

/// What went wrong, for the administrator. The system calls an answer that takes too long a resource that is
/// temporarily unavailable.
pub fn cause(failure: &Failure) -> String {
    match failure.source().and_then(<dyn StdError>::downcast_ref).map(io::Error::kind) {
        Some(ErrorKind::WouldBlock) => format!("no answer within {TIMEOUT:?}"),
        _ => failure.to_string(),
    }
}
