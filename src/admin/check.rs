//! `doorward check`: whether everything is set up correctly. It prints a line for each fact: ✓, or ✗ with
//! what to do. It finds everything that would end the start, and changes nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use postgres::error::SqlState;

use super::CommandError;
use crate::accounts::mail::{Server, cause};
use crate::config::{self, Config};
use crate::database::{self, Target, migrations};
use crate::error::{Cause, Error};
use crate::files;
use crate::process;

/// `Ok` with what was found, or `Err` with what is wrong and what to do about it.
type Fact = Result<String, Cause>;

/// Finds a fact out.
type Check = fn(&Config) -> Fact;

/// Every fact.
const FACTS: [(&str, Check); 10] = [
    ("settings", settings),
    ("database", database),
    ("migrations", migrations),
    ("TLS", tls),
    ("address", address),
    ("public URL", public_url),
    ("trusted proxies", trusted_proxies),
    ("open files", open_files),
    ("members' folder", members_folder),
    ("mail", mail),
];

/// How long a program that uses our port may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes of its answer that are read.
const MAX_ANSWER_BYTES: u64 = 65_536;

/// Prints every fact.
///
/// # Errors
/// [`CommandError::Refused`] if any fact is ✗.
pub fn run(config: &Config) -> Result<(), CommandError> {
    let mut wrong = 0;
    for (name, fact) in FACTS {
        let (mark, text) = match fact(config) {
            Ok(text) => ('✓', text),
            Err(cause) => ('✗', cause.to_string()),
        };
        wrong += u8::from(mark == '✗');
        writeln!(io::stdout(), "{mark} {name}: {text}")?;
    }
    match wrong {
        0 => Ok(()),
        _ => Err(format!("{wrong} of {} facts are wrong", FACTS.len()).into()),
    }
}

fn settings(config: &Config) -> Fact {
    let contradiction = config.check().err().map(|error| error.to_string());
    let wrong: Vec<_> = contradiction.into_iter().chain(config::warnings()).collect();
    if wrong.is_empty() { Ok("valid".to_owned()) } else { Err(wrong.join("; ").into()) }
}

fn database(config: &Config) -> Fact {
    let mut client = Target::parse(&config.database_url)?.connect()?;
    let version = client.query_one("SHOW server_version", &[]).map_err(Error::from)?;
    Ok(format!("PostgreSQL {}", version.get::<_, String>(0)))
}

fn migrations(config: &Config) -> Fact {
    const MAY_MAKE_TABLES: &str =
        "SELECT coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let mut client = Target::parse(&config.database_url)?.connect()?;
    let applied = match client.query_one("SELECT max(version) FROM refinery_schema_history", &[]) {
        Ok(row) => row.get::<_, Option<i32>>(0).unwrap_or(0),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => 0,
        Err(error) => return Err(Error::from(error).into()),
    };
    let newest = migrations::newest();
    let wrong = if applied == newest {
        return Ok(format!("at {applied}, the newest"));
    } else if applied > newest {
        format!("the database is at {applied}, this program at {newest}: run a newer one")
    } else if client.query_one(MAY_MAKE_TABLES, &[]).map_err(Error::from)?.get(0) {
        format!("at {applied}: `doorward serve` brings them to {newest} when it starts")
    } else {
        "this user needs the right to make tables: make it the owner of the database".to_owned()
    };
    Err(wrong.into())
}

fn tls(config: &Config) -> Fact {
    let target = Target::parse(&config.database_url)?;
    if target.is_tls {
        Ok("the server's certificate and name are verified".to_owned())
    } else if target.is_local {
        Ok("not needed, the database is on this machine".to_owned())
    } else {
        Err("anybody on the way can read or change the data: remove sslmode=disable".into())
    }
}

/// The port is free, or used by doorward itself.
fn address(config: &Config) -> Fact {
    let address = config.listen;
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_doorward(address) => {
            Ok(format!("{address}, where doorward runs"))
        }
        Err(error) => Err(process::cannot_listen(address, &error).into()),
    }
}

/// Whether the program that uses an address answers as doorward does.
fn is_doorward(address: SocketAddr) -> bool {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
        io::read_to_string(stream.take(MAX_ANSWER_BYTES))
    };
    ask().is_ok_and(|it| it.ends_with("\r\n\r\nok\n") || it.starts_with("HTTP/1.1 503 "))
}

fn public_url(config: &Config) -> Fact {
    const UNSECURED: &str = "so cookies are Secure only if a trusted proxy says https";
    let Some(url) = &config.public_url else {
        if config.listen.ip().is_loopback() {
            return Ok(format!("not set, {UNSECURED}"));
        }
        let advice = "set DOORWARD_PUBLIC_URL=https://…, with a proxy that speaks TLS in front";
        return Err(format!("not set although others can reach {}: {advice}", config.listen).into());
    };
    if config.is_https() {
        Ok(format!("{url} makes cookies Secure, and named __Host-doorward"))
    } else if url.host_str().is_some_and(database::is_this_machine) {
        Ok(format!("{url}, {UNSECURED}"))
    } else {
        Err(format!("{url} sends cookies and passwords in the clear: make it https").into())
    }
}

fn trusted_proxies(config: &Config) -> Fact {
    let proxies = &config.trusted_proxies;
    if let Some(all) = proxies.iter().find(|network| network.prefix_len() == 0) {
        Err(format!("{all} lets everybody forge an address: name only your proxy's").into())
    } else if proxies.is_empty() && config.is_https() {
        let advice = "set DOORWARD_TRUSTED_PROXIES to the address of yours";
        Err(format!("none, so all visitors share the limits of one address: {advice}").into())
    } else {
        Ok(format!("networks: {}", proxies.len()))
    }
}

fn open_files(config: &Config) -> Fact {
    let files = process::raise_open_files_limit(&config.limits)?;
    Ok(format!("{files}, enough for every connection"))
}

fn members_folder(config: &Config) -> Fact {
    let Some(folder) = &config.files else {
        return Ok("not set, so a built-in cheat sheet is the one file".to_owned());
    };
    files::must_be_listed(folder)?;
    let files = files::list(folder)?;
    for file in &files {
        files::open(folder, &file.name)?;
    }
    if files::is_hidden_from_service(folder) {
        return Err(format!("{}: {}", folder.display(), files::HIDDEN).into());
    }
    Ok(format!("{}, files: {}", folder.display(), files.len()))
}

fn mail(config: &Config) -> Fact {
    let Some(server) = Server::new(config)? else {
        return Ok("none, so whoever forgets a password needs `user reset`".to_owned());
    };
    server.check().map_err(|failure| format!("DOORWARD_SMTP: {}", cause(&failure)))?;
    Ok("the server answers and takes the sender".to_owned())
}
