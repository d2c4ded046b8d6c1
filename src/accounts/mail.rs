//! Mail: links, and news for the owner of an account. Without `DOORWARD_SMTP` none is sent.
//!
//! No request waits for mail. A thread of its own sends it, and also finds out whether an email has an
//! account: so the page that asks for a link takes the same time for each email. A mail has nothing in it
//! that a visitor typed. Otherwise, whoever registers somebody else's email could write to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::Error as SmtpError;

pub use self::server::{Letter, Server, cause};
use super::links;
use super::users::{self, Account};
use crate::database::Database;
use crate::error::{Cause, Error};
use crate::events::quoted;

mod server;

/// The most mails that wait. One more is dropped, and the log tells.
const MAX_WAITING: usize = 1_000;

/// The pauses before a mail is tried again, in seconds. After the last try it is dropped, and the log tells.
const PAUSES: [u64; 5] = [2, 15, 60, 300, 900];

/// The pause between two looks at the thread while the program stops.
const TICK: Duration = Duration::from_millis(10);

/// Sends mail in the background, or none if no server is set.
pub struct Mail(Option<Outbox>);

struct Outbox {
    /// Jobs for the thread, and `None` when the program stops.
    jobs: Sender<Option<Job>>,
    /// How many jobs are not done. The thread may be at work on one of them.
    unsent: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

struct Job {
    email: String,
    /// `None` for a link for a new password, if that email has an account.
    news: Option<Letter>,
    /// The mail, once it is written: each try sends the same.
    mail: Option<Message>,
    due: Instant,
    tries: usize,
}

impl Mail {
    /// Starts the thread, if there is a server.
    pub fn start(server: Option<Server>, database: &Arc<Database>) -> Mail {
        Mail(server.map(|server| {
            let (jobs, arriving) = mpsc::channel();
            let (unsent, database) = (Arc::<AtomicUsize>::default(), Arc::clone(database));
            let counter = Arc::clone(&unsent);
            let thread = thread::spawn(move || run_jobs(&arriving, &counter, &server, &database));
            Outbox { jobs, unsent, thread }
        }))
    }

    /// Whether mail is sent.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a link for a new password to that email, if it has an account.
    pub fn forgotten(&self, email: &str) {
        self.add(email, None);
    }

    /// Tells the owner of an account what has changed (OWASP ASVS 5.0, 6.3.7).
    pub fn tell(&self, email: &str, news: Letter) {
        self.add(email, Some(news));
    }

    fn add(&self, email: &str, news: Option<Letter>) {
        let Some(Outbox { jobs, unsent, .. }) = &self.0 else { return };
        if unsent.load(SeqCst) > MAX_WAITING {
            log::warn!("mail: one was dropped, because {MAX_WAITING} wait already");
            return;
        }
        unsent.fetch_add(1, SeqCst);
        let (email, mail) = (email.to_owned(), None);
        let job = Job { email, news, mail, due: Instant::now(), tries: 0 };
        let _ = jobs.send(Some(job));
    }

    /// Lets the thread try once more to send what waits, and waits for it, for that long at most. What is left
    /// then is lost, and the log tells.
    pub fn finish(&self, timeout: Duration) {
        let Some(Outbox { jobs, unsent, thread }) = &self.0 else { return };
        let _ = jobs.send(None);
        let end = Instant::now() + timeout;
        while !thread.is_finished() && Instant::now() < end {
            thread::sleep(TICK);
        }
        let left = unsent.load(SeqCst);
        if left > 0 {
            log::warn!("mail: not sent before the stop: {left}");
        }
    }
}

/// Does the jobs that arrive, and again those that are due for another try. When the program stops, or
/// nobody can send jobs any more, each gets one more try.
fn run_jobs(
    arriving: &Receiver<Option<Job>>,
    unsent: &AtomicUsize,
    server: &Server,
    database: &Database,
) {
    let mut waiting: Vec<Job> = Vec::new();
    let mut is_closing = false;
    while !is_closing {
        let next = waiting.iter().map(|job| job.due).min();
        let pause = next.map_or(Duration::MAX, |due| due.saturating_duration_since(Instant::now()));
        match arriving.recv_timeout(pause) {
            Ok(Some(job)) => waiting.push(job),
            Err(RecvTimeoutError::Timeout) => {}
            Ok(None) | Err(RecvTimeoutError::Disconnected) => is_closing = true,
        }
        let is_due = |job: &mut Job| is_closing || job.due <= Instant::now();
        for job in waiting.extract_if(.., is_due).collect::<Vec<_>>() {
            match run(job, server, database) {
                Some(again) => waiting.push(again),
                None => drop(unsent.fetch_sub(1, SeqCst)),
            }
        }
    }
}

/// Does a job. Returns it if it is to be tried again.
fn run(mut job: Job, server: &Server, database: &Database) -> Option<Job> {
    let failure = send(&mut job, server, database).err()?;
    // Another try can succeed if the mail server is away, or says so, or if the database did not answer.
    let may_pass = match failure.downcast_ref::<SmtpError>() {
        Some(refused) => !refused.is_permanent(),
        None => failure.is::<Error>(),
    };
    if let Some(pause) = PAUSES.get(job.tries).filter(|_| may_pass) {
        job.due = Instant::now() + Duration::from_secs(*pause);
        job.tries += 1;
        return Some(job);
    }
    // An email that somebody typed, and that may have no account, is nobody's business.
    let to = if failure.is::<Error>() { "somebody" } else { &job.email };
    log::warn!("mail: not sent to {}: {}", quoted(to), quoted(&cause(&failure)));
    None
}

fn send(job: &mut Job, server: &Server, database: &Database) -> Result<(), Cause> {
    if job.mail.is_none() {
        job.mail = write(job, server, database)?;
    }
    job.mail.as_ref().map_or(Ok(()), |mail| server.send(mail))
}

/// The mail of a job. `None` if somebody has forgotten the password for an email without an account.
fn write(job: &Job, server: &Server, database: &Database) -> Result<Option<Message>, Cause> {
    if let Some(news) = &job.news {
        return server.message(&job.email, news).map(Some);
    }
    let found = users::find(database, &job.email)?;
    let Some(Account { user, disabled: None, .. }) = found else { return Ok(None) };
    let link = links::reset(database, user.uid, &server.site)?;
    server.message(&user.email, &Letter::new_password(&link)).map(Some)
}
