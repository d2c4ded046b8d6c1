//! `doorward check`: whether all is set up as it should be.
//!
//! In: the settings. Out: a line a fact on standard output, ✓ or ✗ with what to do.

use std::time::{Duration, Instant};

use crate::commands::print;
use crate::config::Config;
use crate::database::{self, Diagnosis, Verify};
use crate::error::Error;
use crate::files;
use crate::passwords::Password;
use crate::process;

/// What is well, or what is not and what to do about it.
type Fact = Result<String, String>;

/// The oldest PostgreSQL that is good enough.
const MIN_POSTGRES: u32 = 13;

/// Faster hashes are too cheap to guess.
const MIN_HASH_TIME: Duration = Duration::from_millis(50);

/// Slower hashes let a few logins fill the line.
const MAX_HASH_TIME: Duration = Duration::from_millis(1_500);

/// Tells every fact.
///
/// # Errors
/// [`Error::Refused`] if anything is ✗.
pub fn run(config: &Config) -> Result<(), Error> {
    let mut facts = match database::diagnose(&config.database_url) {
        Ok(diagnosis) => database_facts(&diagnosis),
        Err(Error::Database(cause)) => vec![("database", Err(cause))],
        Err(error) => vec![("database", Err(error.to_string()))],
    };
    let open_files = process::raise_open_files_limit(&config.limits);
    facts.extend([
        ("public URL", public_url(config)),
        ("trusted proxies", trusted_proxies(config)),
        ("open files", open_files.map(|n| format!("{n}, enough for every connection"))),
        ("hashing", hashing(config.bcrypt_cost)),
        ("members' folder", members_folder(config)),
    ]);
    for (name, fact) in &facts {
        print(&match fact {
            Ok(text) => format!("✓ {name}: {text}\n"),
            Err(text) => format!("✗ {name}: {text}\n"),
        })?;
    }
    match facts.iter().filter(|(_, fact)| fact.is_err()).count() {
        0 => Ok(()),
        n => Err(Error::Refused(format!("{n} of {} facts are not as they should be", facts.len()))),
    }
}

fn database_facts(database: &Diagnosis) -> Vec<(&'static str, Fact)> {
    let [connect, answer] = [database.connect, database.round_trip].map(|time| time.as_micros());
    let speed = format!("connects in {} ms, answers in {answer} µs", connect / 1_000);
    vec![
        ("database", Ok(speed)),
        ("PostgreSQL", version(&database.version)),
        ("migrations", migrations(database)),
        ("TLS", tls(database)),
    ]
}

fn version(version: &str) -> Fact {
    let major = version.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    match major {
        Some(MIN_POSTGRES..) => Ok(version.to_owned()),
        _ => Err(format!("{version}: upgrade to {MIN_POSTGRES} or newer")),
    }
}

fn migrations(Diagnosis { applied, known, .. }: &Diagnosis) -> Fact {
    let newest = |numbers: &[i32]| numbers.iter().max().copied().unwrap_or_default();
    if applied.iter().any(|number| !known.contains(number)) {
        let (has, knows) = (newest(applied), newest(known));
        return Err(format!("the database is at {has}, this program at {knows}: run a newer one"));
    }
    match known.iter().filter(|number| !applied.contains(number)).count() {
        0 => Ok(format!("at {}, the newest", newest(applied))),
        n => Err(format!("{n} to come: `doorward serve` applies them when it starts")),
    }
}

fn tls(database: &Diagnosis) -> Fact {
    match database.verify {
        _ if database.is_local => Ok("not needed, the database is on this machine".to_owned()),
        Some(Verify::AuthorityAndName) => Ok("the server's certificate is verified".to_owned()),
        Some(Verify::Authority) => {
            Ok("the server's certificate is verified, not its name".to_owned())
        }
        None => {
            Err("anybody on the way can read or answer: add sslmode=require to DATABASE_URL".into())
        }
    }
}

fn public_url(config: &Config) -> Fact {
    let Some(url) = &config.public_url else {
        return if config.listen.ip().is_loopback() {
            Ok("not set, cookies are Secure only if a trusted proxy says https".to_owned())
        } else {
            Err(format!(
                "not set although others can reach {}, so cookies are not Secure: set \
                 DOORWARD_PUBLIC_URL=https://…, with a proxy that speaks TLS in front",
                config.listen
            ))
        };
    };
    if config.is_https() {
        Ok(format!("{url} makes cookies Secure, and named __Host-doorward"))
    } else if url.host_str().is_some_and(database::is_this_machine) {
        Ok(format!("{url} is for this machine alone, so cookies need not be Secure"))
    } else {
        Err(format!("{url} sends cookies and passwords in the clear: make it https"))
    }
}

fn trusted_proxies(config: &Config) -> Fact {
    let proxies = &config.trusted_proxies;
    if let Some(all) = proxies.iter().find(|network| network.prefix_len() == 0) {
        return Err(format!("{all} lets everybody forge an address: name your proxy's alone"));
    }
    match proxies.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() && config.is_https() => Err(
            "none, so all visitors seem to be the proxy that speaks https and share its limits: set \
             DOORWARD_TRUSTED_PROXIES to its address"
                .to_owned(),
        ),
        none if none.is_empty() => Ok("none".to_owned()),
        some => Ok(some),
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
    let files = files::list(folder).map_err(|error| error.to_string())?;
    for (name, _) in &files {
        files::open(folder, name).map_err(|error| error.to_string())?;
    }
    Ok(format!("{}, files: {}", folder.display(), files.len()))
}
