//! Every setting, from flags and environment, in one struct.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Args, Command, FromArgMatches, ValueEnum, value_parser};
use humantime::format_duration;
use ipnet::IpNet;
use lettre::message::Mailbox;
use log::LevelFilter;
use url::Url;

use crate::error::StartError;

mod values;

/// The most that `max_headers` can be. Each header takes memory in every request.
pub const MOST_HEADERS: usize = 128;

/// More connections than any system opens.
const MANY: usize = 1_000_000_000;

const MEGABYTE: usize = 1 << 20;

/// All settings. Each field is a flag and, by [`with_variable`], an environment variable. Its doc comment
/// is the help.
#[derive(Clone, Args)]
pub struct Config {
    /// The database: `postgres://user:password@host/name`, or `host=… user=… dbname=…`
    // Its value is hidden in --help, and parsed later, because clap would print the password in it.
    #[arg(long, default_value = "", hide_default_value = true, hide_env_values = true)]
    pub database_url: String,

    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = values::address)]
    pub listen: SocketAddr,

    /// What visitors type to get here, such as <https://members.example.org>; https makes cookies Secure
    #[arg(long, value_parser = values::public_url)]
    pub public_url: Option<Url>,

    /// The name in titles and at the top of every page
    #[arg(long, default_value = "doorward", value_parser = values::name)]
    pub site_name: String,

    /// The name of the members' page in the menu and in titles
    #[arg(long, default_value = "Secret", value_parser = values::name)]
    pub members_page: String,

    /// What strangers read on the home page, instead of a sentence on files and accounts
    #[arg(long, value_parser = values::name)]
    pub greeting: Option<String>,

    /// How to reach whoever runs this site: the URL of a page, or mailto: and an address
    #[arg(long, value_parser = values::contact)]
    pub contact: Option<Url>,

    /// The members' folder; without it, a built-in cheat sheet is the one file
    #[arg(long)]
    pub files: Option<PathBuf>,

    /// Whether strangers may make an account
    #[arg(long, value_enum, default_value = "open")]
    pub registration: Registration,

    /// Whether members must have a second factor before they see anything else
    #[arg(long, value_enum, default_value = "optional")]
    pub second_factor: SecondFactor,

    /// bcrypt's cost: one more doubles the time of every login, and of every guess
    #[arg(long, default_value = "12", value_parser = value_parser!(u32).range(10..=20))]
    pub bcrypt_cost: u32,

    /// The fewest characters of a new password, from 8 to 64
    #[arg(long, default_value = "8", value_parser = values::between(8..=64))]
    pub password_min: usize,

    /// The server that sends mail, such as `smtps://user:password@host` or `smtp://host:587`; without it, none
    /// is sent
    // Hidden and parsed later as `database_url` is.
    #[arg(long, hide_env_values = true, hide_default_value = true, default_value = "")]
    pub smtp: String,

    /// Who sends it, such as `Chess Club <doorward@members.example.org>`
    #[arg(long, value_name = "ADDRESS", value_parser = values::sender)]
    pub mail_from: Option<Mailbox>,

    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto count: addresses or networks, with commas
    #[arg(long, value_delimiter = ',', value_parser = values::network)]
    pub trusted_proxies: Vec<IpNet>,

    /// How long a login lasts without a click
    #[arg(long, default_value = "2h", value_parser = values::session_time)]
    pub session_idle: Duration,

    /// How long a login lasts at most
    #[arg(long, default_value = "12h", value_parser = values::session_time)]
    pub session_lifetime: Duration,

    /// How long a login with "remember me" lasts
    #[arg(long, default_value = "30d", value_parser = values::session_time)]
    pub session_remembered: Duration,

    /// The listener's limits.
    #[command(flatten)]
    pub limits: Limits,
}

/// The limits for one visitor, and for all visitors together.
#[derive(Clone, Debug, Args)]
pub struct Limits {
    /// Connections at once
    #[arg(long, default_value = "8192", value_parser = values::between(1..=MANY))]
    pub max_connections: usize,

    /// Connections at once from one network (an IPv4 address or an IPv6 /64); trusted proxies are excepted
    #[arg(long, default_value = "128", value_parser = values::between(1..=MANY))]
    pub max_connections_per_address: usize,

    /// Bytes in the request line and headers
    #[arg(long, default_value = "16384", value_parser = values::between(1024..=MEGABYTE))]
    pub max_head_bytes: usize,

    /// Headers in a request, at most 128
    #[arg(long, default_value = "100", value_parser = values::between(1..=MOST_HEADERS))]
    pub max_headers: usize,

    /// Bytes in a request's body
    #[arg(long, default_value = "65536", value_parser = values::between(1024..=MEGABYTE))]
    pub max_body_bytes: usize,

    /// Time for a head, from its first byte to its last
    #[arg(long, default_value = "10s", value_parser = values::timeout)]
    pub head_timeout: Duration,

    /// Time for a body
    #[arg(long, default_value = "10s", value_parser = values::timeout)]
    pub body_timeout: Duration,

    /// How long a kept-alive connection may wait for its next request
    #[arg(long, default_value = "15s", value_parser = values::timeout)]
    pub idle_timeout: Duration,

    /// How long a visitor may go without reading any part of a response
    #[arg(long, default_value = "10s", value_parser = values::timeout)]
    pub write_timeout: Duration,

    /// How long running requests may take to finish after SIGTERM
    #[arg(long, default_value = "10s", value_parser = values::timeout)]
    pub shutdown_timeout: Duration,
}

/// Whether strangers may make an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Registration {
    /// Anybody may.
    Open,
    /// Only the administrator makes accounts, or invites people who then make theirs.
    Closed,
}

/// Whether members must have a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SecondFactor {
    /// Each decides.
    Optional,
    /// Who has none can set one up, and do nothing else.
    Required,
}

impl Config {
    /// This database, and the default of every other setting, whatever the environment says. The fields may
    /// be changed afterwards; only the command line refuses a weak `bcrypt_cost`.
    pub fn new(database_url: &str) -> Config {
        let matches = Config::augment_args(Command::new("doorward")).get_matches_from(["doorward"]);
        let defaults = Config::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        Config { database_url: database_url.to_owned(), ..defaults }
    }

    /// Checks that no setting contradicts another.
    ///
    /// # Errors
    /// [`StartError::Setting`], which names the two.
    pub fn check(&self) -> Result<(), StartError> {
        if self.session_idle <= self.session_lifetime {
            return Ok(());
        }
        let [idle, lifetime] = [self.session_idle, self.session_lifetime].map(format_duration);
        let cause = format!("{idle} is longer than DOORWARD_SESSION_LIFETIME, {lifetime}");
        Err(StartError::Setting("DOORWARD_SESSION_IDLE", cause))
    }

    /// Whether the settings say that browsers reach the server by https.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}

/// The environment variable of a flag: `DOORWARD_` and its name in capitals, except `DATABASE_URL`.
fn variable(flag: &Arg) -> String {
    match flag.get_id().as_str().to_uppercase() {
        name if name == "DATABASE_URL" => name,
        name => format!("DOORWARD_{name}"),
    }
}

/// A sentence for each variable that seems meant for doorward but has no effect: settings that there are
/// not, and an invalid `RUST_LOG`.
pub fn warnings() -> Vec<String> {
    let settings = Config::augment_args(Command::new("doorward"));
    let known: Vec<String> = settings.get_arguments().map(variable).collect();
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let unknown = names.filter(|name| name.starts_with("DOORWARD_") && !known.contains(name));
    let advice = "is no setting and has no effect; `doorward --help` lists all";
    let mut warnings: Vec<String> = unknown.map(|name| format!("{name} {advice}")).collect();
    let level = env::var("RUST_LOG").unwrap_or_default();
    if !level.is_empty() && level.parse::<LevelFilter>().is_err() {
        let levels = "error, warn, info, debug or trace";
        warnings.push(format!("RUST_LOG: {level:?} is no level: write {levels}"));
    }
    warnings
}

/// A flag that reads its environment variable, and whose help and errors name it. An empty variable counts
/// as not set.
pub fn with_variable(flag: Arg) -> Arg {
    let name = variable(&flag);
    let flag = flag.value_name(name.clone());
    // clap would take an empty variable for a value.
    let is_empty = env::var_os(&name).is_some_and(|value| value.is_empty());
    if is_empty { flag } else { flag.env(name) }
}
