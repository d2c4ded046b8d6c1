//! The command line: serves until a signal stops it, or runs a command. A failure is one line on standard
//! error. Its status is 2 if the settings or arguments are wrong, otherwise 1.

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Arg, CommandFactory, FromArgMatches, Parser, Subcommand};
use doorward::admin::{CommandError, UserCommand, check, run_user, settings_file};
use doorward::config::{warnings, with_variable};
use doorward::http::listener;
use doorward::starting::Starting;
use doorward::{Config, StartError, events, process};

const LOG_HELP: &str = "\
Environment:
  RUST_LOG  How much the log says: error, warn, info, debug or trace [default: info]";

/// A login and registration server
#[derive(Parser)]
#[command(version, about, after_help = LOG_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Where to find the settings of the installed service if DATABASE_URL is not set
    #[arg(long, value_name = "FILE", default_value = settings_file::INSTALLED, global = true)]
    settings: String,

    #[command(flatten, next_help_heading = "Settings")]
    config: Config,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the pages (also without a command)
    #[command(after_help = LOG_HELP)]
    Serve,
    /// Look after the users; a running server notices within a second
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Tell whether all is set up as it should be, and what to do where it is not
    Check,
}

/// The exit status if settings or arguments are wrong.
const USAGE: u8 = 2;

/// The flags in the help of the user commands.
const USED_BY_USER_COMMANDS: &str =
    "settings database_url public_url site_name contact bcrypt_cost password_min smtp mail_from";

fn main() -> ExitCode {
    let cli = command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let done = match cli {
        Ok(cli) => run(cli),
        Err(error) if !error.use_stderr() => error.exit(), // the help or the version was asked for
        Err(error) => {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            eprintln!("doorward: {}", first.split_whitespace().collect::<Vec<_>>().join(" "));
            return ExitCode::from(USAGE);
        }
    };
    log::logger().flush();
    let Err(error) = done else { return ExitCode::SUCCESS };
    let status = match &error {
        CommandError::Start(StartError::Setting(..)) => ExitCode::from(USAGE),
        // The reader of standard output has seen enough.
        CommandError::Stream(cause) if cause.kind() == ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        _ => ExitCode::FAILURE,
    };
    eprintln!("doorward: {error}");
    status
}

fn run(Cli { command, settings, config }: Cli) -> Result<(), CommandError> {
    if config.database_url.is_empty() {
        settings_file::run_again_with(&settings)?;
    }
    match command {
        None | Some(Command::Serve) => serve(config),
        Some(Command::User { command }) => run_user(&command, &config),
        Some(Command::Check) => check::run(&config),
    }
}

/// The command line. A setting may stand before or after the command. The help of the user commands shows
/// only what they use.
fn command() -> clap::Command {
    let command = Cli::command().mut_args(|flag| match flag.get_id().as_str() {
        "settings" => flag,
        _ => with_variable(flag).global(true),
    });
    let is_unused =
        |flag: &&Arg| !USED_BY_USER_COMMANDS.split(' ').any(|used| flag.get_id() == used);
    let unused = command.get_arguments().filter(is_unused).cloned();
    let hidden: Vec<Arg> = unused.map(|flag| flag.hide(true)).collect();
    command.mut_subcommand("user", |user| {
        user.args(&hidden).mut_subcommands(|command| command.args(&hidden))
    })
}

fn serve(config: Config) -> Result<(), CommandError> {
    events::start_log().map_err(|error| StartError::System("log", error))?;
    for warning in warnings() {
        log::warn!("{warning}");
    }
    config.check()?;
    let (limits, proxies) = (config.limits.clone(), config.trusted_proxies.clone());
    let refusals = doorward::refusal_pages(&config);
    let socket = process::bind(config.listen)?;
    let address = socket.local_addr().unwrap_or(config.listen);
    let stop = process::stop_signal().map_err(|error| StartError::System("signals", error))?;
    if let Err(cause) = process::raise_open_files_limit(&limits) {
        log::warn!("{cause}");
    }
    let starting = Starting::begin(config)?;
    log::info!("serving on http://{address}");
    process::notify_ready().map_err(|error| StartError::System("NOTIFY_SOCKET", error))?;
    let app = starting.clone();
    let end = listener::serve(socket, limits, proxies, &stop, refusals, move |request| {
        app.handle(request)
    })
    .map_err(|error| StartError::System("listening", error))?;
    if starting.finish(end.saturating_duration_since(Instant::now())) {
        Ok(())
    } else {
        Err("told to stop before the database answered".to_owned().into())
    }
}
