//! Mail: links, and news for the owner of an account. Without `DOORWARD_SMTP` none is sent.
//!
//! No request waits for mail. It waits in a queue for a thread of its own, which also finds out whether
//! an email has an account: so the page that asks for a link takes the same time for each email. A mail has
//! nothing in it that a visitor typed. Otherwise, whoever registers somebody else's email could write to it.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lettre::Message;
use parking_lot::{Condvar, Mutex};

use self::server::is_final;
pub use self::server::{Failure, Letter, Server, cause};
use super::links;
use super::users::{self, Account};
use crate::database::Database;
use crate::error::StartError;
use crate::events::quoted;

mod server;

/// The most mails that wait. One more is dropped, and the log tells.
const MAX_WAITING: usize = 1_000;

/// The pauses before a mail is tried again, in seconds. After the last try it is dropped, and the log tells.
const PAUSES: [u64; 5] = [2, 15, 60, 300, 900];

/// Sends mail in the background, or none if no server is set.
pub struct Mail(Option<Arc<Shared>>);

struct Shared {
    server: Server,
    database: Arc<Database>,
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Whether the thread is at work on one more.
    is_sending: bool,
    /// Whether the program stops: each job gets one more try.
    is_closing: bool,
}

struct Job {
    task: Task,
    due: Instant,
    tries: usize,
}

enum Task {
    /// Somebody has forgotten the password for this email, which may have no account.
    Forgotten(String),
    Send(Message),
}

impl Mail {
    /// Starts the thread, if there is a server.
    ///
    /// # Errors
    /// [`StartError::System`] if the thread cannot be started.
    pub fn start(server: Option<Server>, database: &Arc<Database>) -> Result<Mail, StartError> {
        let Some(server) = server else { return Ok(Mail(None)) };
        let (database, queue) = (Arc::clone(database), Mutex::default());
        let shared = Arc::new(Shared { server, database, queue, changed: Condvar::new() });
        let mail = Mail(Some(Arc::clone(&shared)));
        let thread =
            thread::Builder::new().name("mail".to_owned()).spawn(move || shared.run_jobs());
        thread.map(|_| mail).map_err(|error| StartError::System("threads", error))
    }

    /// Whether mail is sent.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a link for a new password to that email, if it has an account.
    pub fn forgotten(&self, email: &str) {
        if let Some(shared) = &self.0 {
            shared.add(Task::Forgotten(email.to_owned()));
        }
    }

    /// Tells the owner of an account what has changed (OWASP ASVS 5.0, 6.3.7).
    pub fn tell(&self, email: &str, news: Letter) {
        let Some(shared) = &self.0 else { return };
        match shared.server.message(email, news) {
            Ok(mail) => shared.add(Task::Send(mail)),
            Err(failure) => log_loss(email, &failure),
        }
    }

    /// Waits until the queue is empty, for that long at most. What is left then is lost, and the log tells.
    pub fn finish(&self, timeout: Duration) {
        let Some(shared) = &self.0 else { return };
        let mut queue = shared.queue.lock();
        queue.is_closing = true;
        shared.changed.notify_all();
        shared.changed.wait_while_for(&mut queue, |queue| queue.count() > 0, timeout);
        if queue.count() > 0 {
            log::warn!("mail: not sent before the stop: {}", queue.count());
        }
    }
}

impl Drop for Mail {
    fn drop(&mut self) {
        self.finish(Duration::ZERO);
    }
}

impl Shared {
    fn add(&self, task: Task) {
        let mut queue = self.queue.lock();
        if queue.jobs.len() >= MAX_WAITING {
            log::warn!("mail: one was dropped, because {MAX_WAITING} wait already");
            return;
        }
        queue.jobs.push(Job { task, due: Instant::now(), tries: 0 });
        self.changed.notify_all();
    }

    fn run_jobs(&self) {
        while let Some(mut job) = self.next() {
            let outcome = self.run(&mut job.task);
            let mut queue = self.queue.lock();
            queue.is_sending = false;
            self.changed.notify_all();
            let Err(failure) = outcome else { continue };
            let pause = PAUSES.get(job.tries).filter(|_| !is_final(&failure) && !queue.is_closing);
            if let Some(pause) = pause {
                job.due = Instant::now() + Duration::from_secs(*pause);
                job.tries += 1;
                queue.jobs.push(job);
            } else if let Task::Send(mail) = &job.task {
                log_loss(mail.envelope().to()[0].as_ref(), &failure);
            } else {
                // An email that somebody typed, and that may have no account, is nobody's business.
                log_loss("somebody", &failure);
            }
        }
    }

    /// Waits for the next job that is due. `None` if the queue is closing and empty.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            let first = queue.jobs.iter().enumerate().min_by_key(|(_, job)| job.due);
            match first.map(|(index, job)| (index, job.due)) {
                Some((first, due)) if queue.is_closing || due <= Instant::now() => {
                    queue.is_sending = true;
                    return Some(queue.jobs.swap_remove(first));
                }
                Some((_, due)) => drop(self.changed.wait_until(&mut queue, due)),
                None if queue.is_closing => return None,
                None => self.changed.wait(&mut queue),
            }
        }
    }

    fn run(&self, task: &mut Task) -> Result<(), Failure> {
        if let Task::Forgotten(email) = task {
            let found = users::find(&self.database, email)?;
            let Some(Account { user, disabled: None, .. }) = found else { return Ok(()) };
            let link = links::reset(&self.database, user.uid, &self.server.site)?;
            *task = Task::Send(self.server.message(&user.email, Letter::NewPassword(&link))?);
        }
        if let Task::Send(mail) = task { self.server.send(mail) } else { Ok(()) }
    }
}

impl Queue {
    fn count(&self) -> usize {
        self.jobs.len() + usize::from(self.is_sending)
    }
}

fn log_loss(to: &str, failure: &Failure) {
    log::warn!("mail: not sent to {}: {}", quoted(to), quoted(&cause(failure)));
}
