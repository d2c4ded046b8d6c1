//! Passwords: which are strong enough, bcrypt, and how many are hashed at once.
//!
//! In: [`Password`]s as they were typed. Out: [`PasswordHash`]es, yes or no, or [`Error::Busy`].
//! bcrypt is slow on purpose, so it gets threads of its own, one a core: a flood of logins waits in
//! line, in the order it came. Pages stay fast, because a kernel lets threads that mostly sleep go
//! before threads that never do.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use bcrypt::{non_truncating_hash, non_truncating_verify};
use parking_lot::Mutex;
use zxcvbn::{Score, zxcvbn};

use crate::error::Error;

/// What to say of two passwords that should be one.
pub const NOT_CONFIRMED: &str = "The two passwords are not the same.";

/// Shorter is refused, in characters (OWASP ASVS 5.0, 6.2.1).
pub const MIN_CHARS: usize = 8;

/// Longer is refused, in bytes, rather than cut: bcrypt reads no more than this.
pub const MAX_BYTES: usize = 71;

/// As much of a password as is judged, in characters. A guesser who fails at these fails at the rest,
/// and the time to judge grows with the cube.
const JUDGED_CHARS: usize = 24;

/// As much of a name or an email as a password is judged by, in bytes.
const KNOWN_BYTES: usize = 254;

/// How long a login waits for its turn.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// A password as it was typed. It can be hashed and compared, and nothing else.
pub struct Password(String);

/// A password's hash in bcrypt's format, `$2b$<cost>$<salt and hash>`, 60 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// The line that passwords wait in to be hashed.
pub struct Passwords {
    cost: u32,
    line: Sender<Job>,
}

struct Job {
    deadline: Instant,
    work: Box<dyn FnOnce() + Send>,
}

impl Password {
    /// A password that somebody typed.
    pub fn typed(value: &str) -> Password {
        Password(value.to_owned())
    }

    /// Why this password cannot be chosen, in a sentence for the visitor. `None` if it can.
    ///
    /// There are no rules on composition (OWASP ASVS 5.0, 6.2.5): a guesser's own estimate, told
    /// the visitor's name and email, decides.
    pub fn weakness(&self, names_and_email: &[&str]) -> Option<String> {
        if self.0.chars().count() < MIN_CHARS {
            return Some(format!("Use at least {MIN_CHARS} characters."));
        }
        if self.0.len() > MAX_BYTES {
            return Some(format!(
                "Use at most {MAX_BYTES} bytes: that many plain letters, or fewer with accents."
            ));
        }
        let known =
            names_and_email.iter().map(|text| &text[..text.floor_char_boundary(KNOWN_BYTES)]);
        let words = known.clone().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let known: Vec<&str> = known.chain(words).collect();
        let beginning: String = self.0.chars().take(JUDGED_CHARS).collect();
        let estimate = zxcvbn(&beginning, &known);
        if estimate.score() >= Score::Three {
            return None;
        }
        let mut advice = vec!["This password is too easy to guess.".to_owned()];
        if let Some(feedback) = estimate.feedback() {
            advice.extend(feedback.warning().map(|warning| warning.to_string()));
            advice.extend(feedback.suggestions().iter().map(ToString::to_string));
        }
        Some(advice.join(" "))
    }

    /// The hash at that cost, made on this thread, for a password of at most [`MAX_BYTES`].
    pub fn hash(&self, cost: u32) -> Result<PasswordHash, Error> {
        let hash = non_truncating_hash(&self.0, cost);
        hash.map(PasswordHash).map_err(|error| Error::System(format!("bcrypt: {error}")))
    }
}

impl PasswordHash {
    /// A hash that the users table gave back.
    pub(crate) fn stored(value: String) -> PasswordHash {
        PasswordHash(value)
    }

    /// The hash in bcrypt's format, for the users table.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Passwords {
    /// Starts the threads that hash, one a core.
    ///
    /// # Errors
    /// [`Error::System`] if a thread cannot be started.
    pub fn new(cost: u32) -> Result<Passwords, Error> {
        let (line, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new()
                .name("bcrypt".to_owned())
                .spawn(move || work_off(&jobs))
                .map_err(|error| Error::System(format!("cannot start a thread: {error}")))?;
        }
        Ok(Passwords { cost, line })
    }

    /// The hash of a new password, which must be at most [`MAX_BYTES`] long.
    ///
    /// # Errors
    /// [`Error::Busy`] if its turn did not come within 10 s.
    pub fn hash(&self, password: &Password) -> Result<PasswordHash, Error> {
        let (password, cost) = (Password(password.0.clone()), self.cost);
        self.in_turn(move || password.hash(cost))?
    }

    /// Whether a password is the one that was hashed. Without a hash, because there is no such
    /// user, the answer is no and takes the same time (OWASP ASVS 5.0, 6.3.8).
    ///
    /// # Errors
    /// [`Error::Busy`] if its turn did not come within 10 s.
    pub fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<bool, Error> {
        let can_match = hash.is_some() && password.0.len() <= MAX_BYTES;
        let (password, hash) = match hash {
            Some(hash) if can_match => (password.0.clone(), hash.0.clone()),
            _ => (String::new(), dummy(self.cost)),
        };
        let matches = self.in_turn(move || non_truncating_verify(password, &hash))?;
        // A hash that bcrypt cannot read matches nothing; the log tells the administrator.
        let matches = matches.unwrap_or_else(|error| {
            log::error!("users: a pwdhash cannot be read ({error}); set that user's password anew");
            false
        });
        Ok(can_match && matches)
    }

    /// Whether a hash is cheaper to guess than one made today.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        let cost = hash.0.get(4..6).and_then(|cost| cost.parse().ok());
        cost.is_some_and(|cost: u32| cost < self.cost)
    }

    fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, result) = channel();
        let work = Box::new(move || drop(reply.send(work())));
        // Whoever drops a job undone, drops its end of the reply, and the wait below ends.
        let _ = self.line.send(Job { deadline: Instant::now() + MAX_WAIT, work });
        result.recv().map_err(|_| Error::Busy("turn to hash a password"))
    }
}

fn work_off(jobs: &Mutex<Receiver<Job>>) {
    let next = || jobs.lock().recv();
    while let Ok(Job { deadline, work }) = next() {
        if Instant::now() < deadline {
            work();
        }
    }
}

/// A hash of that cost that no password has, as far as anybody knows.
fn dummy(cost: u32) -> String {
    format!("$2b${cost:02}${}", ".".repeat(53))
}
