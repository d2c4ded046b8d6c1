//! The command line.
//!
//! In: arguments and environment. Out: a server that runs until it is told to stop, or a command
//! done; else one line on standard error, and status 2 if what was asked for cannot be meant.

use std::process::ExitCode;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use doorward::admin::users::UserCommand;
use doorward::admin::{check, users};
use doorward::config::with_variable;
use doorward::http::listener;
use doorward::{App, Config, Error, events, process};

/// A login and registration server
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten, next_help_heading = "Settings")]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the pages (what happens without a command, too)
    Serve,
    /// Look after the users; a running server notices within a second
    #[command(subcommand)]
    User(UserCommand),
    /// Tell whether all is set up as it should be, and what to do where it is not
    Check,
}

/// The status for what was asked of the program and cannot be meant.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let matches = command().try_get_matches();
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(cli.config),
        Command::User(command) => users::run(&command, &cli.config),
        Command::Check => check::run(&cli.config),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    eprintln!("doorward: {error}");
    match error {
        Error::Setting(..) => ExitCode::from(USAGE),
        _ => ExitCode::FAILURE,
    }
}

/// The command line, where settings may stand before or after the command.
fn command() -> clap::Command {
    Cli::command().mut_args(|flag| with_variable(flag).global(true))
}

/// Prints what was asked for, such as the help, or says in one line what is wrong with a flag.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
    eprint!("doorward: {}", first.split_whitespace().collect::<Vec<_>>().join(" "));
    // The environment variable beside the flag may be what is wrong.
    let is_meant = |long| first.contains(&format!("'--{long} "));
    let command = command();
    let flag = command.get_arguments().find(|arg| arg.get_long().is_some_and(is_meant));
    if let Some(variable) = flag.and_then(Arg::get_env) {
        eprint!(" (or in {})", variable.display());
    }
    eprintln!();
    ExitCode::from(USAGE)
}

fn serve(config: Config) -> Result<(), Error> {
    let _log = events::start_log().map_err(|error| Error::System(format!("log: {error}")))?;
    let (limits, proxies) = (config.limits.clone(), config.trusted_proxies.clone());
    let listen = config.listen;
    let socket = process::bind(listen)
        .map_err(|error| Error::Setting("DOORWARD_LISTEN", format!("{listen}: {error}")))?;
    let stop =
        process::stop_signal().map_err(|error| Error::System(format!("signals: {error}")))?;
    if let Err(cause) = process::raise_open_files_limit(&limits) {
        log::warn!("{cause}");
    }
    let app = App::new(config)?;
    log::info!("serving on http://{}", socket.local_addr().unwrap_or(listen));
    listener::serve(socket, limits, proxies, &stop, move |request| app.handle(request))
        .map_err(|error| Error::System(format!("listening: {error}")))
}
