//! The mail server, and what is written to people.

use std::time::Duration;

use lettre::Message;
use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{SmtpConnection, TlsParameters};
use lettre::transport::smtp::{commands, extension::ClientId};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::accounts::links::{LinkUrl, random_number};
use crate::config::Config;
use crate::database::is_this_machine;
use crate::error::{Cause, StartError};

const SMTP: &str = "DOORWARD_SMTP";
const ODD: &str = "write smtps://user:password@host or smtp://user:password@host:587, and in the password \
     %2F for a slash, %23 for #, %25 for %, %3F for a question mark";

/// How long the server may take for each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where mail goes, and what stands in all of it.
pub struct Server {
    url: Url,
    from: Mailbox,
    site_name: String,
    /// The public URL.
    pub site: Url,
    contact: String,
}

/// What is written to the owner of an account.
pub struct Letter {
    subject: String,
    text: String,
}

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
        let missing = |name, example| {
            StartError::Setting(name, format!("not set, but {SMTP} needs it: write {example}"))
        };
        let is_complete = |url: &Url| {
            // What is left of a password that was not encoded.
            let is_more = url.path().len() > 1 || url.query().or(url.fragment()).is_some();
            let has_host = url.host_str().is_some_and(|host| !host.is_empty());
            matches!(url.scheme(), "smtp" | "smtps") && has_host && !is_more
        };
        let url = Url::parse(&config.smtp).ok().filter(is_complete);
        let (from, site) = (config.mail_from.clone(), config.public_url.clone());
        let contact = config.contact.as_ref().map(|url| format!("Contact: {url}\n"));
        Ok(Some(Server {
            url: url.ok_or_else(|| StartError::Setting(SMTP, ODD.to_owned()))?,
            from: from.ok_or_else(|| missing("DOORWARD_MAIL_FROM", "doorward@example.org"))?,
            site_name: config.site_name.clone(),
            site: site.ok_or_else(|| missing("DOORWARD_PUBLIC_URL", "https://example.org"))?,
            contact: contact.unwrap_or_default(),
        }))
    }

    /// Writes a letter, and waits until the server has taken it.
    pub fn write(&self, to: &str, letter: &Letter) -> Result<(), Cause> {
        self.send(&self.message(to, letter)?)
    }

    /// The mail with that letter.
    pub fn message(&self, to: &str, Letter { subject, text }: &Letter) -> Result<Message, Cause> {
        let Server { from, site_name, site, contact, .. } = self;
        let mail = Message::builder()
            .from(from.clone())
            .to(Mailbox::new(None, to.parse()?))
            .subject(format!("{site_name}: {subject}"))
            .message_id(Some(format!("<{}@{}>", random_number()?, from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(format!("Hello,\n\n{text}\n\n-- \n{site_name}\n{site}\n{contact}"))?;
        Ok(mail)
    }

    /// Sends a mail, and waits until the server has taken it.
    pub fn send(&self, mail: &Message) -> Result<(), Cause> {
        let mut connection = self.connect()?;
        connection.send(mail.envelope(), &mail.formatted())?;
        connection.abort(); // which says goodbye first
        Ok(())
    }

    /// Whether the server answers, and would take a mail from this sender.
    pub fn check(&self) -> Result<(), Cause> {
        let mut connection = self.connect()?;
        connection.command(commands::Mail::new(Some(self.from.email.clone()), vec![]))?;
        connection.abort();
        Ok(())
    }

    fn connect(&self) -> Result<SmtpConnection, Cause> {
        let name = ClientId::Domain(self.site.host_str().unwrap_or_default().to_owned());
        let host = self.url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let tls = || TlsParameters::new(host.to_owned()).map(Some);
        let (wrapper, starttls, port) = match self.url.scheme() {
            "smtps" => (tls()?, None, 465),
            _ if is_this_machine(host) => (None, None, 25),
            _ => (None, tls()?, 587),
        };
        let places = &*self.url.socket_addrs(|| Some(port))?;
        let mut connection =
            SmtpConnection::connect(places, Some(TIMEOUT), &name, wrapper.as_ref(), None)?;
        if let Some(tls) = &starttls {
            connection.starttls(tls, &name)?;
        }
        if let Some(password) = self.url.password() {
            let [user, password] = [self.url.username(), password]
                .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned());
            connection.auth(DEFAULT_MECHANISMS, &Credentials::new(user, password))?;
        }
        Ok(connection)
    }
}

impl Letter {
    /// A link to register.
    pub fn invitation(link: &LinkUrl) -> Letter {
        let text = "You are invited. Make your account here, within 7 days:\n\n";
        Letter { subject: "invitation".to_owned(), text: text.to_owned() + link.expose() }
    }

    /// A link for a new password.
    pub fn new_password(link: &LinkUrl) -> Letter {
        let text = format!(
            "Here you can choose a new password, within 24 hours:\n\n{}\n\n\
             If you did not ask for this, do nothing: your password stays as it is.",
            link.expose()
        );
        Letter { subject: "a new password".to_owned(), text }
    }

    /// News of a change: of the password, the email (for the old address) or the second factor.
    pub fn changed(what: &str) -> Letter {
        let text = format!(
            "The {what} of your account was changed. If it was not you who did this or asked for it, \
             tell whoever runs the site at once."
        );
        Letter { subject: format!("your {what} was changed"), text }
    }
}

/// What went wrong, for the administrator.
pub fn cause(failure: &Cause) -> String {
    // What the system calls an answer that takes too long.
    failure.to_string().replace("Resource temporarily unavailable", "no answer in time")
}
