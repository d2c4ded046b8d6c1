//! The command line: serves until it is told to stop, or does a command. What fails is one line on
//! standard error, with status 2 if what was asked for cannot be meant.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ErrorKind};
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use doorward::admin::users::UserCommand;
use doorward::admin::{CommandError, check, settings_file, users};
use doorward::config::{variable, with_variable};
use doorward::http::listener;
use doorward::starting::Starting;
use doorward::{App, Config, StartError, environment, events, process};

const LOG_HELP: &str = "\
Environment:
  RUST_LOG  How much the log says: error, warn, info, debug or trace [default: info]";

/// A login and registration server
#[derive(Parser)]
#[command(version, about, after_help = LOG_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten, next_help_heading = "Settings")]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the pages (what happens without a command, too)
    #[command(after_help = LOG_HELP)]
    Serve,
    /// Look after the users; a running server notices within a second
    User {
        #[command(flatten)]
        installed: Installed,
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Tell whether all is set up as it should be, and what to do where it is not
    Check {
        #[command(flatten)]
        installed: Installed,
    },
}

/// Where the service has its settings.
#[derive(Args)]
struct Installed {
    /// Where to find the settings of the installed service if DATABASE_URL is not set
    #[arg(long, value_name = "FILE", default_value = settings_file::INSTALLED, global = true)]
    settings: PathBuf,
}

/// The status for what was asked of the program and cannot be meant.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = command().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let config = cli.config;
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(config),
        Command::User { installed, command } => {
            with_settings(&config, &installed).and_then(|()| users::run(&command, &config))
        }
        Command::Check { installed } => {
            with_settings(&config, &installed).and_then(|()| check::run(&config))
        }
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("doorward: {error}");
    match error {
        CommandError::Start(StartError::Setting(..)) => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

/// The command line, where settings may stand before or after the command. Its help shows for the user
/// commands only what they use.
fn command() -> clap::Command {
    let command = Cli::command().mut_args(|flag| with_variable(flag).global(true));
    let settings: Vec<Arg> = command.get_arguments().cloned().collect();
    let shown = |used: &[&str]| {
        let hide = |setting: Arg| {
            let is_used = used.contains(&setting.get_id().as_str());
            setting.hide(!is_used)
        };
        settings.iter().cloned().map(hide).collect::<Vec<_>>()
    };
    command.mut_subcommand("user", |user| {
        user.args(shown(&["database_url"])).mut_subcommands(|command| match command.get_name() {
            "add" | "password" => command.args(shown(&["database_url", "bcrypt_cost"])),
            _ => command.args(shown(&["database_url"])),
        })
    })
}

/// Goes on with the settings of the installed service if no database is named.
fn with_settings(config: &Config, installed: &Installed) -> Result<(), CommandError> {
    if config.database_url.is_empty() {
        settings_file::run_again_with(&installed.settings)?;
    }
    Ok(())
}

/// Prints what was asked for, such as the help, or says in one line what is wrong with a flag.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    let mut line = first.split_whitespace().collect::<Vec<_>>().join(" ");
    if error.kind() == ErrorKind::InvalidUtf8 {
        let flags = command();
        let mut names = flags.get_arguments().map(variable);
        let name = names.find(|name| env::var_os(name).is_some_and(|set| set.to_str().is_none()));
        line = format!("{}: not UTF-8", name.as_deref().unwrap_or("what was typed"));
    }
    // clap names the flag even where its variable is meant.
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    let (flag, value) = (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue));
    let is_meant =
        |arg: &&Arg| arg.get_long().is_some_and(|l| flag.starts_with(&format!("--{l} ")));
    if let Some(name) = command().get_arguments().find(is_meant).map(variable)
        && env::var(&name).is_ok_and(|set| set.contains(&value))
    {
        line = line.replace(&format!("'{flag}'"), &name);
    }
    eprintln!("doorward: {line}");
    ExitCode::from(USAGE)
}

fn serve(config: Config) -> Result<(), CommandError> {
    let _log = events::start_log().map_err(|error| StartError::System("log", error))?;
    for warning in environment::warnings() {
        log::warn!("{warning}");
    }
    config.check()?;
    let (limits, proxies) = (config.limits.clone(), config.trusted_proxies.clone());
    let socket = process::bind(config.listen)?;
    let address = socket.local_addr().unwrap_or(config.listen);
    let stop = process::stop_signal().map_err(|error| StartError::System("signals", error))?;
    if let Err(cause) = process::raise_open_files_limit(&limits) {
        log::warn!("{cause}");
    }
    // A service has visitors already, at the socket that systemd holds; who typed the command waits for a
    // message.
    let starting =
        if process::is_service() { Starting::begin(config)? } else { App::new(config)?.into() };
    log::info!("serving on http://{address}");
    process::notify_ready().map_err(|error| StartError::System("NOTIFY_SOCKET", error))?;
    let app = starting.clone();
    listener::serve(socket, limits, proxies, &stop, move |request| app.handle(request))
        .map_err(|error| StartError::System("listening", error))?;
    if starting.is_ready() {
        Ok(())
    } else {
        Err(CommandError::Refused("told to stop before the database answered".to_owned()))
    }
}
