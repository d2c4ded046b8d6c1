//! Brings the schema up to date: runs the numbered files in `sql/`, and between two of them a step that
//! SQL cannot do: it folds the emails with the program's own function.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::iter;
use std::thread;
use std::time::Duration;

use postgres::Client;
use refinery::{Migration, Target};

use self::embedded::migrations;
use crate::accounts::email;
use crate::error::{Cause, StartError, is_outage, one_line};

mod embedded {
    refinery::embed_migrations!("sql");
}

/// The migration that adds the column for folded emails. The next one requires them.
const EMAIL_FOLDED: i32 = 3;

/// The most tries. Another start, or a server of an older version, may change the same tables at the same
/// time, so that one of them fails and can succeed a moment later.
const TRIES: u32 = 10;

/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs the migrations that this database does not have yet.
///
/// # Errors
/// [`StartError::Setting`] if two accounts have one email, or if the tables cannot be made or are newer
/// than this program; [`StartError::Database`] if the database cannot answer now.
pub fn run(client: &mut Client) -> Result<(), StartError> {
    let mut tries = 0;
    while let Err(cause) = migrate(client) {
        tries += 1;
        let line = one_line(&*cause);
        match database_error(&*cause) {
            Some(_) if tries < TRIES => thread::sleep(PAUSE),
            Some(error) if is_outage(error) => return Err(StartError::Database(line)),
            _ => return Err(StartError::Setting("DATABASE_URL", format!("its tables: {line}"))),
        }
    }
    Ok(())
}

/// The version of the newest migration that this program knows.
pub fn newest() -> i32 {
    migrations::runner().get_migrations().iter().map(Migration::version).max().unwrap_or(0)
}

fn migrate(client: &mut Client) -> Result<(), Cause> {
    client.batch_execute("SET lock_timeout = '5s'")?;
    // Grouped: one transaction for all files of a run.
    let runner = || migrations::runner().set_grouped(true);
    runner().set_target(Target::Version(EMAIL_FOLDED)).run(client)?;
    let last = runner().get_last_applied_migration(client)?;
    if last.is_some_and(|last| last.version() == EMAIL_FOLDED) {
        fold_emails(client)?;
    }
    runner().run(client)?;
    Ok(())
}

/// Folds the emails of all accounts. Changes nothing if two accounts would have the same email.
fn fold_emails(client: &mut Client) -> Result<(), Cause> {
    const SET: &str = "UPDATE users SET email_folded = $2 WHERE uid = $1";
    let mut transaction = client.transaction()?;
    transaction.batch_execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")?;
    let mut owners = HashMap::new();
    for row in transaction.query("SELECT uid, email FROM users ORDER BY uid", &[])? {
        let (uid, typed): (i64, String) = (row.get("uid"), row.get("email"));
        let folded = email::fold(&typed);
        transaction.execute(SET, &[&uid, &folded])?;
        if let Some((other, same)) = owners.insert(folded, (uid, typed.clone())) {
            return Err(format!(
                "{same} (uid {other}) and {typed} (uid {uid}) have become one email: delete one in psql with \
                 DELETE FROM users WHERE uid = {uid}, or change its email, and start again"
            )
            .into());
        }
    }
    Ok(transaction.commit()?)
}

/// The database client's error among the causes, if there is one.
fn database_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a postgres::Error> {
    iter::successors(Some(cause), |&cause| cause.source()).find_map(|cause| cause.downcast_ref())
}
