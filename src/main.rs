//! The command line.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use doorward::commands::UserCommand;
use doorward::http::listener;
use doorward::{App, Config, Error, check, commands, events, process};

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

/// For what was asked of the program and cannot be done, as for a wrong flag.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(status) => return status,
    };
    let done = match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(cli.config),
        Command::User(command) => commands::run(&command, &cli.config),
        Command::Check => check::run(&cli.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("doorward: {error}");
            match error {
                Error::Setting(..) => ExitCode::from(USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// The command line, or the status to exit with after the one line that says what is wrong.
fn parse() -> Result<Cli, ExitCode> {
    // Settings may stand before or after the command.
    let command = Cli::command().mut_args(|arg| arg.global(true));
    let matches = command.try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|error| {
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        let text = error.to_string();
        let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        eprintln!(
            "doorward: {}{}",
            first.split_whitespace().collect::<Vec<_>>().join(" "),
            twin(first)
        );
        ExitCode::from(USAGE)
    })
}

/// The environment variable beside the flag that a message is about, since it may be what is wrong.
fn twin(message: &str) -> String {
    let command = Cli::command();
    let is_meant = |arg: &&clap::Arg| {
        arg.get_long().is_some_and(|long| message.contains(&format!("'--{long} ")))
    };
    let variable = command.get_arguments().find(is_meant).and_then(clap::Arg::get_env);
    variable.map(|name| format!(" (or in {})", name.to_string_lossy())).unwrap_or_default()
}

fn serve(config: Config) -> Result<(), Error> {
    events::start_log();
    let (limits, proxies) = (config.limits.clone(), config.trusted_proxies.clone());
    let cannot = |what: &str, error: std::io::Error| Error::System(format!("{what}: {error}"));
    let listen = config.listen;
    let socket = process::bind(listen)
        .map_err(|error| Error::Setting("DOORWARD_LISTEN", format!("{listen}: {error}")))?;
    let stop = process::stop_signal().map_err(|error| cannot("signals", error))?;
    if let Err(cause) = process::raise_open_files_limit(&limits) {
        log::warn!("{cause}");
    }
    let app = App::new(config)?;
    log::info!("serving on http://{}", socket.local_addr().unwrap_or(listen));
    listener::serve(socket, limits, proxies, &stop, move |request| app.handle(request))
        .map_err(|error| cannot("listening", error))
}
