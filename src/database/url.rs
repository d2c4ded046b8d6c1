//! `DATABASE_URL`: where the database is, and how to get there.
//!
//! It is a connection string in either of libpq's forms. The client's own parser knows no
//! `sslrootcert` and not every `sslmode`, so both are taken out before it reads the rest.

use std::net::IpAddr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PATIENCE;
use super::tls::{self, Verify};
use crate::error::{StartError, is_outage, one_line};

/// How long the client's own default lets a connection be silent before it is probed: too long.
const CLIENTS_KEEPALIVE_IDLE: Duration = Duration::from_hours(2);

/// How long we do.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);

/// A parameter of a connection string: as it stands there, its key, and its value.
type Parameter<'a> = (&'a str, String, String);

/// What a right value looks like.
const EXAMPLES: &str = "write postgres://user:password@host/name or \"host=… user=… dbname=…\"";

/// A database to connect to.
pub struct Target {
    /// Where it is, and as whom.
    pub config: Config,
    /// How to speak TLS with it.
    pub tls: MakeRustlsConnect,
    /// How much of its certificate is verified.
    pub verify: Verify,
}

impl Target {
    /// The database that a connection string names.
    ///
    /// # Errors
    /// [`StartError::Setting`] if it is no connection string, or names certificates that cannot be read.
    pub fn parse(url: &str) -> Result<Target, StartError> {
        let wrong = |cause| StartError::Setting("DATABASE_URL", cause);
        if let Some(cause) = misunderstanding(url) {
            return Err(wrong(cause));
        }
        let (rest, sslmode, sslrootcert) = without_tls(url);
        let (mode, verify) = tls::mode(&sslmode, &sslrootcert).map_err(wrong)?;
        let tls = tls::connector(verify, &sslrootcert).map_err(wrong)?;
        let mut config: Config =
            rest.parse().map_err(|e| wrong(format!("{}; {EXAMPLES}", one_line(&e))))?;
        // A server that is named by its address alone is verified by it.
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(&address.to_string());
            }
        }
        // A Unix socket never carries TLS, whatever the string says.
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let only_sockets =
            config.get_hostaddrs().is_empty() && config.get_hosts().iter().all(is_socket);
        config.ssl_mode(if only_sockets { SslMode::Disable } else { mode });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        // Nothing says that a machine is gone but that it stops confirming what was sent.
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(PATIENCE);
        }
        // While we wait for an answer, only probes tell that a machine or the way to it is gone.
        if config.get_keepalives_idle() == CLIENTS_KEEPALIVE_IDLE {
            config.keepalives_idle(KEEPALIVE_IDLE);
            config.keepalives_interval(PATIENCE).keepalives_retries(2);
        }
        if config.get_application_name().is_none() {
            config.application_name("doorward");
        }
        Ok(Target { config, tls, verify })
    }

    /// A connection.
    ///
    /// # Errors
    /// [`StartError::Database`] if no server answers there, or not the one that is wanted;
    /// [`StartError::Setting`] if one answers that refuses the role, the password or the database, or whose
    /// certificate cannot be verified.
    pub fn connect(&self) -> Result<Client, StartError> {
        self.config.connect(self.tls.clone()).map_err(|error| {
            let (cause, place) = (one_line(&error), self.place());
            let advice = if cause.contains("Peer authentication failed") {
                "; it lets in only the system's user of that name: type `sudo -u` and the name before"
            } else {
                tls::advice(&cause)
            };
            let is_refused = error.code().is_some_and(|code| !is_outage(code));
            if is_refused || !advice.is_empty() {
                return StartError::Setting("DATABASE_URL", format!("{place}: {cause}{advice}"));
            }
            StartError::Database(format!("DATABASE_URL: {place}: {cause}"))
        })
    }

    /// The hosts and ports or sockets of the database, for people.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let hosts = self.config.get_hosts().iter().enumerate().map(|(n, host)| {
            let port = ports.get(n).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Unix(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
                Host::Tcp(name) => format!("{name}:{port}"),
            }
        });
        hosts.collect::<Vec<_>>().join(", ")
    }

    /// Whether nothing leaves this machine on the way.
    pub fn is_local(&self) -> bool {
        // An address beside a name is what is connected to.
        self.config.get_hostaddrs().iter().all(IpAddr::is_loopback)
            && self.config.get_hosts().iter().all(|host| match host {
                Host::Unix(_) => true,
                Host::Tcp(name) => is_this_machine(name),
            })
    }
}

/// Whether a host's name or address, in brackets or not, can only mean this machine.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// What is wrong with a connection string that would otherwise be taken for another. `None` if all is
/// well. Never shows any of it, for a password is in it.
fn misunderstanding(text: &str) -> Option<String> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if text.is_empty() {
        Some(format!("not set; {EXAMPLES}"))
    } else if !is_url && (text.contains("://") || !text.contains('=')) {
        Some(format!("not the address of a PostgreSQL database; {EXAMPLES}"))
    } else if is_url && text.matches('@').count() > 1 {
        let signs = "@ as %40, # as %23, / as %2F, ? as %3F and % as %25";
        Some(format!("more than one @; in a user's name or password write {signs}"))
    } else {
        None
    }
}

/// A connection string without `sslmode` and `sslrootcert`, and these two; empty if not given.
fn without_tls(text: &str) -> (String, String, String) {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    let (head, parameters) = if is_url { url_parameters(text) } else { ("", parameters(text)) };
    let (mut rest, mut sslmode, mut sslrootcert) = (head.to_owned(), String::new(), String::new());
    for (raw, key, value) in parameters {
        match key.as_str() {
            "sslmode" => sslmode = value,
            "sslrootcert" => sslrootcert = value,
            _ => rest.extend([raw, if is_url { "&" } else { " " }]),
        }
    }
    (rest, sslmode, sslrootcert)
}

/// What stands before a URL's parameters, and they.
fn url_parameters(text: &str) -> (&str, Vec<Parameter<'_>>) {
    // As for the client's parser, all before the first @ is user and password.
    let credentials = text.find('@').unwrap_or_default();
    let Some(mark) = text[credentials..].find('?') else { return (text, Vec::new()) };
    let (head, query) = text.split_at(credentials + mark + 1);
    let decode = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let parameters = query.split('&').filter(|raw| !raw.is_empty()).map(|raw| {
        let (key, value) = raw.split_once('=').unwrap_or((raw, ""));
        (raw, decode(key), decode(value))
    });
    (head, parameters.collect())
}

/// The parameters of the form `key=value key='quoted value'`, where a backslash may stand before
/// any character of a value.
fn parameters(mut text: &str) -> Vec<Parameter<'_>> {
    let mut parameters = Vec::new();
    while !text.trim_start().is_empty() {
        let (key, after) = text.split_once('=').unwrap_or((text, ""));
        let after = after.trim_start();
        let unquoted = after.strip_prefix('\'');
        let is_end = |c: char| if unquoted.is_some() { c == '\'' } else { c.is_whitespace() };
        let mut value = String::new();
        let mut chars = unquoted.unwrap_or(after).chars();
        while let Some(c) = chars.next().filter(|c| !is_end(*c)) {
            value.extend(if c == '\\' { chars.next() } else { Some(c) });
        }
        let (raw, left) = text.split_at(text.len() - chars.as_str().len());
        parameters.push((raw, key.trim().to_owned(), value));
        text = left;
    }
    parameters
}
