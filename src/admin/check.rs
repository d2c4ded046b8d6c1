//! `doorward check`: whether all is set up as it should be, a line a fact, ✓ or ✗ with what to do.
//! It names everything that would end the start, and changes nothing.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use postgres::Client;
use postgres::error::SqlState;

use super::CommandError;
use super::users::print;
use crate::accounts::passwords::Password;
use crate::config::Config;
use crate::database::{self, Target, migrations};
use crate::environment;
use crate::error::Error;
use crate::files;
use crate::process;

/// What is well, or what is not and what to do about it.
type Fact = Result<String, String>;

/// The oldest PostgreSQL that is good enough.
const MIN_POSTGRES: u32 = 13;

/// How long whoever has our port may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// Of that answer, as much as is read.
const MAX_ANSWER_BYTES: u64 = 65_536;

/// Faster hashes are too cheap to guess.
const MIN_HASH_TIME: Duration = Duration::from_millis(50);

/// Slower hashes let a few logins fill the line.
const MAX_HASH_TIME: Duration = Duration::from_millis(1_500);

/// Tells every fact.
///
/// # Errors
/// [`CommandError::Refused`] if anything is ✗.
pub fn run(config: &Config) -> Result<(), CommandError> {
    let mut facts = vec![("settings", settings(config))];
    facts.extend(database(&config.database_url).unwrap_or_else(|error| {
        let cause = error.to_string().trim_start_matches("database: ").to_owned();
        vec![("database", Err(cause))]
    }));
    let open_files = process::raise_open_files_limit(&config.limits);
    facts.extend([
        ("address", address(config.listen)),
        ("public URL", public_url(config)),
        ("trusted proxies", trusted_proxies(config)),
        ("open files", open_files.map(|n| format!("{n}, enough for every connection"))),
        ("hashing", hashing(config.bcrypt_cost)),
        ("members' folder", members_folder(config)),
    ]);
    for (name, fact) in &facts {
        let mark = if fact.is_ok() { '✓' } else { '✗' };
        let (Ok(text) | Err(text)) = fact;
        print(&format!("{mark} {name}: {text}\n"))?;
    }
    match facts.iter().filter(|(_, fact)| fact.is_err()).count() {
        0 => Ok(()),
        n => Err(CommandError::Refused(format!(
            "{n} of {} facts are not as they should be",
            facts.len()
        ))),
    }
}

fn settings(config: &Config) -> Fact {
    let wrong = config.check().err().map(|error| error.to_string());
    match wrong.into_iter().chain(environment::warnings()).collect::<Vec<_>>() {
        wrong if wrong.is_empty() => Ok("all can be read, and none contradicts another".to_owned()),
        wrong => Err(wrong.join("; ")),
    }
}

/// Four facts of a database that answers.
fn database(url: &str) -> Result<Vec<(&'static str, Fact)>, CommandError> {
    let target = Target::parse(url)?;
    let begun = Instant::now();
    let mut client = target.connect()?;
    let connect = begun.elapsed().as_millis();
    let begun = Instant::now();
    client.simple_query("").map_err(Error::from)?;
    let answer = begun.elapsed().as_micros();
    Ok(vec![
        ("database", Ok(format!("connects in {connect} ms, answers in {answer} µs"))),
        (
            "PostgreSQL",
            version(client.query_one("SHOW server_version", &[]).map_err(Error::from)?.get(0)),
        ),
        ("migrations", schema(&mut client)?),
        ("TLS", tls(&target)),
    ])
}

/// `version` is what the server calls it, such as "15.4 (Debian 15.4-1)".
fn version(version: String) -> Fact {
    let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    match major {
        Some(MIN_POSTGRES..) => Ok(version),
        _ => Err(format!("{version}: upgrade to {MIN_POSTGRES} or newer")),
    }
}

fn schema(client: &mut Client) -> Result<Fact, Error> {
    let known: BTreeSet<i32> = migrations::versions().collect();
    let applied = match client.query("SELECT version FROM refinery_schema_history", &[]) {
        Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => BTreeSet::new(),
        Err(error) => return Err(error.into()),
    };
    let [there, here] = [&applied, &known].map(|all| all.last().copied().unwrap_or_default());
    Ok(match known.difference(&applied).count() {
        _ if !applied.is_subset(&known) => {
            Err(format!("the database is at {there}, this program at {here}: run a newer one"))
        }
        0 => Ok(format!("at {there}, the newest")),
        n if may_make_tables(client)? => {
            Err(format!("{n} to come: `doorward serve` applies them when it starts"))
        }
        n => Err(format!(
            "{n} to come, for which this user needs the right to make tables: make it the owner of \
             the database"
        )),
    })
}

fn may_make_tables(client: &mut Client) -> Result<bool, Error> {
    const SQL: &str = "SELECT has_schema_privilege(current_schema(), 'CREATE')";
    Ok(client.query_one(SQL, &[])?.get::<_, Option<bool>>(0).unwrap_or(false))
}

fn tls(target: &Target) -> Fact {
    if target.is_tls() {
        Ok("the server's certificate and name are verified".to_owned())
    } else if target.is_local() {
        Ok("not needed, the database is on this machine".to_owned())
    } else {
        Err("anybody on the way can read or change the data: remove sslmode=disable".to_owned())
    }
}

/// A port that is taken is well if doorward has it, which then tells whether its database answers.
fn address(address: SocketAddr) -> Fact {
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error)
            if error.kind() == ErrorKind::AddrInUse && is_doorward(address).is_ok_and(|is| is) =>
        {
            Ok(format!("{address}, where doorward runs"))
        }
        Err(error) => Err(process::cannot_listen(address, &error)),
    }
}

/// Whether what listens there answers as doorward does.
fn is_doorward(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIME)?;
    stream.set_read_timeout(Some(ANSWER_TIME))?;
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer.ends_with("\r\n\r\nok\n") || answer.starts_with("HTTP/1.1 503 "))
}

fn public_url(config: &Config) -> Fact {
    match &config.public_url {
        Some(url) if config.is_https() => {
            Ok(format!("{url} makes cookies Secure, and named __Host-doorward"))
        }
        Some(url) if url.host_str().is_some_and(database::is_this_machine) => {
            Ok(format!("{url} is for this machine alone, so cookies need not be Secure"))
        }
        Some(url) => Err(format!("{url} sends cookies and passwords in the clear: make it https")),
        None if config.listen.ip().is_loopback() => {
            Ok("not set, cookies are Secure only if a trusted proxy says https".to_owned())
        }
        None => Err(format!(
            "not set although others can reach {}, so cookies are not Secure: set \
             DOORWARD_PUBLIC_URL=https://…, with a proxy that speaks TLS in front",
            config.listen
        )),
    }
}

fn trusted_proxies(config: &Config) -> Fact {
    let proxies = &config.trusted_proxies;
    if let Some(all) = proxies.iter().find(|network| network.prefix_len() == 0) {
        Err(format!("{all} lets everybody forge an address: name your proxy's alone"))
    } else if !proxies.is_empty() {
        Ok(proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    } else if config.is_https() {
        Err("none, so all visitors seem to be the proxy that speaks https and share its limits: \
             set DOORWARD_TRUSTED_PROXIES to its address"
            .to_owned())
    } else {
        Ok("none".to_owned())
    }
}

fn hashing(cost: u32) -> Fact {
    let password = Password::typed("a password to be timed");
    let time_one = || {
        let begun = Instant::now();
        password.hash(cost).map(|_| begun.elapsed()).map_err(|error| error.to_string())
    };
    // A machine that serves may be busy; the faster of two is nearer the truth.
    let time = time_one()?.min(time_one()?);
    let found = format!("a password takes {} ms at cost {cost}", time.as_millis());
    if time < MIN_HASH_TIME {
        Err(format!("{found}, too cheap to guess: raise DOORWARD_BCRYPT_COST"))
    } else if time > MAX_HASH_TIME {
        Err(format!("{found}, and logins wait for each other: lower DOORWARD_BCRYPT_COST"))
    } else {
        Ok(found)
    }
}

fn members_folder(config: &Config) -> Fact {
    let Some(folder) = &config.files else {
        return Ok("not set, so a built-in cheat sheet is the one file".to_owned());
    };
    files::must_be_listed(folder).map_err(|error| error.to_string())?;
    let files = files::list(folder).map_err(|error| error.to_string())?;
    for file in &files {
        files::open(folder, &file.name).map_err(|error| error.to_string())?;
    }
    if files::is_hidden_from_service(folder) {
        return Err(format!("{}: {}", folder.display(), files::HIDDEN));
    }
    Ok(format!("{}, files: {}", folder.display(), files.len()))
}
