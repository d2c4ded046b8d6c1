//! The log, on standard error.
//!
//! In: what happened, and values that a visitor may have made up. Out: one line an event, that
//! none of them can break out of. Secrets never get here: their types cannot be printed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::SystemTime;

use log::LevelFilter;

/// Of a value that a visitor typed, as much as is logged.
const MAX_VALUE_CHARS: usize = 254;

/// Starts the log. `RUST_LOG` changes how much it says, by module; the database client stays
/// quiet whatever it says, because its debug lines hold hashes.
pub fn start_log() {
    env_logger::Builder::new()
        .filter_level(LevelFilter::Info)
        .parse_default_env()
        .filter_module("postgres", LevelFilter::Warn)
        .filter_module("tokio_postgres", LevelFilter::Warn)
        .filter_module("refinery_core", LevelFilter::Warn)
        .format(|out, record| {
            let now = humantime::format_rfc3339_millis(SystemTime::now());
            writeln!(out, "{now} {} {}", record.level(), record.args())
        })
        .init();
    std::panic::set_hook(Box::new(|panic| log::error!("{}", panic.to_string().escape_debug())));
}

/// Logs a security event (OWASP ASVS 5.0, 16.3): `event=… address=…`, then the other values in
/// quotes, with quotes and control characters in them escaped.
pub fn event(name: &str, address: IpAddr, values: &[(&str, &str)]) {
    let mut line = format!("event={name} address={address}");
    for (key, value) in values {
        let value: String = value.chars().take(MAX_VALUE_CHARS).collect();
        let _ = write!(line, " {key}={value:?}");
    }
    log::info!("{line}");
}
