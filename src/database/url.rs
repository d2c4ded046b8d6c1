//! `DATABASE_URL`: where the database is, and how to get there.
//!
//! In: a connection string in either of libpq's forms. Out: a [`Target`]. The client's own parser
//! knows no `sslrootcert` and not every `sslmode`, so both are taken out before it reads the rest.

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use postgres::config::{Host, SslMode};
use postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PATIENCE;
use super::tls::{self, Verify};
use crate::error::{Error, one_line};

/// A database to connect to.
pub struct Target {
    /// Where it is, and as whom.
    pub config: Config,
    /// How to speak TLS with it.
    pub tls: MakeRustlsConnect,
    /// How much of its certificate is verified. `None` if TLS is not insisted on.
    pub verify: Option<Verify>,
}

/// A connection string cut in two.
#[derive(Default)]
struct Parts {
    rest: String,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
}

impl Target {
    /// The database that a connection string names.
    ///
    /// # Errors
    /// [`Error::Setting`] if it is no connection string, or names certificates that cannot be read.
    pub fn parse(url: &str) -> Result<Target, Error> {
        let wrong = |cause| Error::Setting("DATABASE_URL", cause);
        if url.is_empty() {
            return Err(wrong("not set; write postgres://user:password@host/name".to_owned()));
        }
        let Parts { rest, sslmode, sslrootcert } = Parts::of(url);
        let (mode, verify) =
            tls::mode(sslmode.as_deref(), sslrootcert.as_deref()).map_err(wrong)?;
        let tls = tls::connector(verify, sslrootcert.as_deref()).map_err(wrong)?;
        let mut config: Config = rest.parse().map_err(|e| wrong(one_line(&e)))?;
        // A server that is named by its address alone is verified by it.
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(&address.to_string());
            }
        }
        // A Unix socket never carries TLS, whatever the string says.
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let only_sockets = config.get_hosts().iter().all(is_socket);
        config.ssl_mode(if only_sockets { SslMode::Disable } else { mode });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(PATIENCE);
        }
        if config.get_application_name().is_none() {
            config.application_name("doorward");
        }
        Ok(Target { config, tls, verify })
    }

    /// A connection.
    ///
    /// # Errors
    /// [`Error::Database`] if no server answers there, or not the one that is wanted.
    pub fn connect(&self) -> Result<Client, Error> {
        self.config.connect(self.tls.clone()).map_err(|error| {
            let cause = one_line(&error);
            Error::Database(format!("DATABASE_URL: {cause}{}", tls::advice(&cause)))
        })
    }

    /// Whether nothing leaves this machine on the way.
    pub fn is_local(&self) -> bool {
        self.config.get_hosts().iter().all(|host| match host {
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

impl Parts {
    fn of(text: &str) -> Parts {
        let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let (head, pairs) = if is_url { url_pairs(text) } else { ("", word_pairs(text)) };
        let mut parts = Parts { rest: head.to_owned(), ..Parts::default() };
        for (raw, key, value) in pairs {
            let value = Some(value).filter(|value| !value.is_empty());
            match key.as_str() {
                "sslmode" => parts.sslmode = value,
                "sslrootcert" => parts.sslrootcert = value,
                _ => parts.rest.extend([raw, if is_url { "&" } else { " " }]),
            }
        }
        parts
    }
}

/// What stands before a URL's parameters, and each of them: as it stands, its key and its value.
fn url_pairs(text: &str) -> (&str, Vec<(&str, String, String)>) {
    // As for the client's parser, all before the first @ is user and password.
    let credentials = text.find('@').unwrap_or_default();
    let Some(mark) = text[credentials..].find('?') else { return (text, Vec::new()) };
    let (head, query) = text.split_at(credentials + mark + 1);
    let decode = |part| percent_decode_str(part).decode_utf8_lossy().into_owned();
    let pairs = query.split('&').filter(|raw| !raw.is_empty()).map(|raw| {
        let (key, value) = raw.split_once('=').unwrap_or((raw, ""));
        (raw, decode(key), decode(value))
    });
    (head, pairs.collect())
}

/// The parameters of the form `key=value key='quoted value'`: as each stands, its key and its value.
fn word_pairs(mut text: &str) -> Vec<(&str, String, String)> {
    let mut pairs = Vec::new();
    while !text.trim_start().is_empty() {
        let (key, after) = text.split_once('=').unwrap_or((text, ""));
        let (value, left) = word(after.trim_start());
        let raw = &text[..text.len() - left.len()];
        pairs.push((raw, key.trim().to_owned(), value));
        text = left;
    }
    pairs
}

/// The value at the start of a text, without quotes and backslashes, and what follows it.
fn word(text: &str) -> (String, &str) {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            '\'' if quoted => return (value, &text[at + 1..]),
            c if c.is_whitespace() && !quoted => return (value, &text[at..]),
            c => value.push(c),
        }
    }
    (value, "")
}
