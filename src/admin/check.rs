//! `doorward check`: whether everything is set up correctly. It prints a line for each fact: ✓, or ✗ with
//! what to do. It finds everything that would end the start, and changes nothing.

use std::error::Error as StdError;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use super::CommandError;
use super::terminal::print;
use crate::accounts::mail::{Server, cause};
use crate::config::{self, Config};
use crate::database::{self, Target, migrations};
use crate::error::Error;
use crate::files;
use crate::process;

/// `Ok` with what was found, or `Err` with what is wrong and what to do about it.
type Fact = Result<String, Box<dyn StdError>>;

/// How long a program that uses our port may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// The most bytes of its answer that are read.
const MAX_ANSWER_BYTES: u64 = 65_536;

/// Prints every fact.
///
/// # Errors
/// [`CommandError::Refused`] if any fact is ✗.
pub fn run(config: &Config) -> Result<(), CommandError> {
    let mut facts = vec![("settings", settings(config))];
    facts.extend(
        database(&config.database_url).unwrap_or_else(|error| vec![("database", Err(error))]),
    );
    facts.extend([
        ("address", address(config.listen)),
        ("public URL", public_url(config)),
        ("trusted proxies", trusted_proxies(config)),
        ("open files", open_files(config)),
        ("members' folder", members_folder(config)),
        ("mail", mail(config)),
    ]);
    for (name, fact) in &facts {
        match fact {
            Ok(text) => print(&format!("✓ {name}: {text}\n"))?,
            Err(text) => print(&format!("✗ {name}: {text}\n"))?,
        }
    }
    let wrong = facts.iter().filter(|(_, fact)| fact.is_err()).count();
    if wrong == 0 {
        return Ok(());
    }
    Err(CommandError::Refused(format!("{wrong} of {} facts are wrong", facts.len())))
}

fn settings(config: &Config) -> Fact {
    let contradiction = config.check().err().map(|error| error.to_string());
    let wrong: Vec<_> = contradiction.into_iter().chain(config::warnings()).collect();
    if wrong.is_empty() { Ok("valid".to_owned()) } else { Err(wrong.join("; ").into()) }
}

/// The facts about a database that answers.
fn database(url: &str) -> Result<Vec<(&'static str, Fact)>, Box<dyn StdError>> {
    let target = Target::parse(url)?;
    let begun = Instant::now();
    let mut client = target.connect()?;
    let time = begun.elapsed().as_millis();
    let version: String =
        client.query_one("SHOW server_version", &[]).map_err(Error::from)?.get("server_version");
    Ok(vec![
        ("database", Ok(format!("PostgreSQL {version}, connects in {time} ms"))),
        ("migrations", migrations(&mut client)),
        ("TLS", tls(&target)),
    ])
}

fn migrations(client: &mut Client) -> Fact {
    let applied = match client.query("SELECT max(version) FROM refinery_schema_history", &[]) {
        Ok(rows) => rows.first().and_then(|row| row.get("max")).unwrap_or(0),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => 0,
        Err(error) => return Err(Error::from(error).into()),
    };
    let newest = migrations::newest();
    if applied == newest {
        Ok(format!("at {applied}, the newest"))
    } else if applied > newest {
        Err(format!("the database is at {applied}, this program at {newest}: run a newer one")
            .into())
    } else if may_make_tables(client)? {
        Err(format!("at {applied}: `doorward serve` brings them to {newest} when it starts").into())
    } else {
        Err("this user needs the right to make tables: make it the owner of the database".into())
    }
}

fn may_make_tables(client: &mut Client) -> Result<bool, Error> {
    const SQL: &str = "SELECT has_schema_privilege(current_schema(), 'CREATE')";
    Ok(client.query_one(SQL, &[])?.get::<_, Option<bool>>(0).unwrap_or(false))
}

fn tls(target: &Target) -> Fact {
    if target.is_tls {
        Ok("the server's certificate and name are verified".to_owned())
    } else if target.is_local {
        Ok("not needed, the database is on this machine".to_owned())
    } else {
        Err("anybody on the way can read or change the data: remove sslmode=disable".into())
    }
}

/// The port is free, or used by doorward itself.
fn address(address: SocketAddr) -> Fact {
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
    let is_local = match &config.public_url {
        Some(url) => url.host_str().is_some_and(database::is_this_machine),
        None => config.listen.ip().is_loopback(),
    };
    let shown = config.public_url.as_ref().map_or("not set", |url| url.as_str());
    if config.is_https() {
        Ok(format!("{shown} makes cookies Secure, and named __Host-doorward"))
    } else if is_local {
        Ok(format!("{shown}, so cookies are Secure only if a trusted proxy says https"))
    } else if config.public_url.is_some() {
        Err(format!("{shown} sends cookies and passwords in the clear: make it https").into())
    } else {
        let advice = "set DOORWARD_PUBLIC_URL=https://…, with a proxy that speaks TLS in front";
        Err(format!("not set although others can reach {}: {advice}", config.listen).into())
    }
}

fn trusted_proxies(config: &Config) -> Fact {
    let proxies = &config.trusted_proxies;
    if let Some(all) = proxies.iter().find(|network| network.prefix_len() == 0) {
        Err(format!("{all} lets everybody forge an address: name only your proxy's").into())
    } else if proxies.is_empty() && config.is_https() {
        Err("none, so all visitors seem to be the proxy that speaks https and share its limits: set \
             DOORWARD_TRUSTED_PROXIES to its address"
            .into())
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
        return Ok(
            "none, so whoever forgets a password asks for a link from `user reset`".to_owned()
        );
    };
    server.check().map_err(|failure| format!("DOORWARD_SMTP: {}", cause(&failure)))?;
    Ok("the server answers and takes the sender".to_owned())
}
