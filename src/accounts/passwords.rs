//! Passwords: which are strong enough, bcrypt, and the line in which both wait.
//!
//! bcrypt is slow on purpose, and judging a password takes nearly as long. So both get threads of
//! their own, one a core, and wait in one line that takes turns between networks: a flood delays the
//! network that it comes from. Pages stay fast, because a kernel lets threads that mostly sleep go
//! before threads that never do.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use bcrypt::{non_truncating_hash, non_truncating_verify};
use zxcvbn::{Score, zxcvbn};

use crate::error::{Error, StartError};
use crate::line::{Line, Patience};
use crate::network::network;

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

/// How long a password waits for its turn. Once begun, work on it is always finished.
const PATIENCE: Patience = Patience { begin: Duration::from_secs(10), end: Duration::MAX };

/// bcrypt's own limits of the cost.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// A password as it was typed. It can be hashed and compared, and nothing else.
pub struct Password(String);

/// A password's hash in bcrypt's format, `$2b$<cost>$<salt and hash>`, 60 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Hashes, compares and judges passwords, in the line.
pub struct Passwords {
    cost: u32,
    line: Line<IpAddr>,
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
    pub fn weakness(&self, names_and_email: [&str; 3]) -> Option<String> {
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

    /// The cost it was made at.
    ///
    /// # Errors
    /// [`Error::System`] if this is no hash of bcrypt's.
    fn cost(&self) -> Result<u32, Error> {
        let cost = self.0.get(4..6).and_then(|cost| cost.parse().ok());
        cost.filter(|cost| COSTS.contains(cost)).ok_or_else(|| unreadable(&"no cost in it"))
    }
}

impl Passwords {
    /// Starts the threads, one a core.
    ///
    /// # Errors
    /// [`StartError::System`] if a thread cannot be started.
    pub fn new(cost: u32) -> Result<Passwords, StartError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Passwords { cost, line: Line::new("turn to hash a password", cores)? })
    }

    /// [`Password::weakness`], in the line.
    ///
    /// # Errors
    /// [`Error::Busy`] if the turn of this visitor's network did not come within 10 s.
    pub fn weakness(
        &self,
        ip: IpAddr,
        password: &Password,
        names_and_email: [&str; 3],
    ) -> Result<Option<String>, Error> {
        let password = Password(password.0.clone());
        let known = names_and_email.map(str::to_owned);
        self.run_queued(ip, move || password.weakness(known.each_ref().map(String::as_str)))
    }

    /// The hash of a new password, which must be at most [`MAX_BYTES`] long.
    ///
    /// # Errors
    /// [`Error::Busy`] if the turn of this visitor's network did not come within 10 s.
    pub fn hash(&self, ip: IpAddr, password: &Password) -> Result<PasswordHash, Error> {
        let (password, cost) = (Password(password.0.clone()), self.cost);
        self.run_queued(ip, move || password.hash(cost))?
    }

    /// Whether a password is the one that was hashed. Without a hash, because there is no such user,
    /// the answer is no.
    ///
    /// Every no takes one time, that of a hash of the highest cost there is, whatever the cost of this
    /// one (OWASP ASVS 5.0, 6.3.8). `highest_cost` is that of the hashes in the users table, if any.
    ///
    /// # Errors
    /// [`Error::Busy`] if the turn of this visitor's network did not come within 10 s;
    /// [`Error::System`] for a hash that bcrypt cannot read.
    pub fn verify(
        &self,
        ip: IpAddr,
        password: &Password,
        hash: Option<&PasswordHash>,
        highest_cost: Option<u32>,
    ) -> Result<bool, Error> {
        let no_costs = highest_cost.filter(|cost| COSTS.contains(cost)).unwrap_or_default();
        let no_costs = no_costs.max(self.cost);
        // A password that cannot have been hashed gets the answer of an unknown user.
        let Some(hash) = hash.filter(|_| password.0.len() <= MAX_BYTES) else {
            return self.run_queued(ip, move || waste(no_costs))?.map(|()| false);
        };
        let (password, hash, cost) = (password.0.clone(), hash.0.clone(), hash.cost()?);
        self.run_queued(ip, move || {
            let is_right = non_truncating_verify(password, &hash).map_err(|e| unreadable(&e))?;
            if !is_right {
                // One more doubles the time, so 2^a + (2^a + 2^(a+1) + … + 2^(b-1)) is 2^b.
                (cost..no_costs).try_for_each(waste)?;
            }
            Ok(is_right)
        })?
    }

    /// Whether a hash has another cost than one made today, and should be replaced.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.cost().is_ok_and(|cost| cost != self.cost)
    }

    fn run_queued<T: Send + 'static>(
        &self,
        ip: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.line.run(network(ip), PATIENCE, work)
    }
}

/// Takes the time of one comparison at that cost.
fn waste(cost: u32) -> Result<(), Error> {
    // A hash that no password has, as far as anybody knows.
    let dummy = format!("$2b${cost:02}${}", ".".repeat(53));
    non_truncating_verify("", &dummy).map(drop).map_err(|error| unreadable(&error))
}

fn unreadable(cause: &dyn std::fmt::Display) -> Error {
    Error::System(format!(
        "users: a pwdhash cannot be read ({cause}); set that user's password with `doorward user password`"
    ))
}
