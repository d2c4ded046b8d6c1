//! `DATABASE_URL`: which database to connect to, and how.
//!
//! Connections to other machines use TLS and verify the server's certificate and name, unless the setting
//! contains `sslmode=disable`. The system's certificates are trusted, or those in the file that the
//! environment variable `SSL_CERT_FILE` names.

use std::net::IpAddr;

use postgres::config::{Host, SslMode};
use postgres::{Client, Config};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::PATIENCE;
use crate::error::{StartError, is_outage, one_line};

/// What a right value looks like.
const EXAMPLES: &str = "write postgres://user:password@host/name or \"host=… user=… dbname=…\"";

/// How to write the characters that have a meaning in a URL.
const ESCAPES: &str =
    "in a user's name or password write @ as %40, # as %23, / as %2F, ? as %3F, % as %25";

/// What to do about an error that contains the first text.
const ADVICE: [(&str, &str); 5] = [
    ("UnknownIssuer", "write the file of its authority's certificate into SSL_CERT_FILE"),
    ("CaUsedAsEndEntity", "let an authority sign the certificate, or make one with CA:FALSE"),
    ("not valid for", "connect by a name in the certificate, or make one with this name in it"),
    ("does not support TLS", "switch ssl on there, or do without by sslmode=disable"),
    ("Peer authentication failed", "run this as the system's user of that name: sudo -u NAME …"),
];

/// A database to connect to.
pub struct Target {
    config: Config,
    tls: MakeRustlsConnect,
    /// Whether connections use TLS, and verify the server.
    pub is_tls: bool,
    /// Whether the database is on this machine.
    pub is_local: bool,
}

impl Target {
    /// Parses a connection string.
    ///
    /// # Errors
    /// [`StartError::Setting`] if it is invalid, or if TLS is needed and no certificate is trusted.
    pub fn parse(text: &str) -> Result<Target, StartError> {
        let mut config = parse(text).map_err(|cause| StartError::Setting("DATABASE_URL", cause))?;
        let (addresses, hosts) = (config.get_hostaddrs(), config.get_hosts());
        // If there is an address beside a name, the client connects to the address.
        let is_local = addresses.iter().all(IpAddr::is_loopback)
            && hosts.iter().all(|host| match host {
                Host::Unix(_) => true,
                Host::Tcp(name) => is_this_machine(name),
            });
        // The client never uses TLS on a socket, and `Prefer` is what it reports if no mode was given.
        let is_tls = match config.get_ssl_mode() {
            SslMode::Disable => false,
            SslMode::Prefer => !is_local,
            _ => !addresses.is_empty() || hosts.iter().any(|host| matches!(host, Host::Tcp(_))),
        };
        config.ssl_mode(if is_tls { SslMode::Require } else { SslMode::Disable });
        config.application_name("doorward").connect_timeout(PATIENCE).tcp_user_timeout(PATIENCE);
        // While we wait for a response, nothing else shows that the machine or the network is down.
        config.keepalives_idle(PATIENCE).keepalives_interval(PATIENCE).keepalives_retries(2);
        Ok(Target { tls: connector(is_tls)?, config, is_tls, is_local })
    }

    /// Opens a connection.
    pub fn open(&self) -> Result<Client, postgres::Error> {
        self.config.connect(self.tls.clone())
    }

    /// Opens the first connection, whose failure is explained to the administrator.
    ///
    /// # Errors
    /// [`StartError::Database`] if no server answers; [`StartError::Setting`] if the server refuses the
    /// user, the password or the database, or if its certificate is not trusted.
    pub fn connect(&self) -> Result<Client, StartError> {
        self.open().map_err(|error| {
            let cause = format!("{}: {}", self.place(), one_line(&error));
            if let Some((_, advice)) = ADVICE.iter().find(|(sign, _)| cause.contains(sign)) {
                StartError::Setting("DATABASE_URL", format!("{cause}; {advice}"))
            } else if !is_outage(&error) {
                StartError::Setting("DATABASE_URL", cause)
            } else {
                StartError::Database(format!("DATABASE_URL: {cause}"))
            }
        })
    }

    /// The hosts and ports, or sockets, for messages.
    pub fn place(&self) -> String {
        let ports = self.config.get_ports();
        let places = self.config.get_hosts().iter().enumerate().map(|(n, host)| {
            let port = ports.get(n).or(ports.first()).unwrap_or(&5432);
            match host {
                Host::Unix(folder) => format!("{}/.s.PGSQL.{port}", folder.display()),
                Host::Tcp(name) => format!("{name}:{port}"),
            }
        });
        places.collect::<Vec<_>>().join(", ")
    }
}

/// Whether a host's name or address, in brackets or not, can only mean this machine.
pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']);
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Parses a connection string with the client's parser. The error never contains a part of the string,
/// because that may be the password.
fn parse(text: &str) -> Result<Config, String> {
    let is_url = text.starts_with("postgres://") || text.starts_with("postgresql://");
    if text.is_empty() {
        return Err(format!("not set; {EXAMPLES}"));
    }
    // The parser would take the rest of the password for the host.
    if is_url && text.matches('@').count() > 1 {
        return Err(format!("more than one @; {ESCAPES}"));
    }
    // The parser would repeat it as an unknown option.
    if !is_url && text.contains("://") {
        return Err(format!("not the address of a PostgreSQL database; {EXAMPLES}"));
    }
    // The parser does not know the last two modes. Here, all three verify the certificate and the name.
    let text = text.replace("sslmode=verify-ca", "sslmode=require");
    let text = text.replace("sslmode=verify-full", "sslmode=require");
    text.parse().map_err(|error| format!("{}; {EXAMPLES}", one_line(&error)))
}

/// The connector for TLS connections. It trusts nobody if it will not be used.
fn connector(is_used: bool) -> Result<MakeRustlsConnect, StartError> {
    let mut roots = RootCertStore::empty();
    if is_used {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let cause =
                "no trusted certificates: install ca-certificates, or correct SSL_CERT_FILE";
            return Err(StartError::Setting("DATABASE_URL", cause.to_owned()));
        }
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}
