//! Passwords: how strong they must be, their bcrypt hashes, and the line in which this work waits.
//!
//! bcrypt is slow on purpose, and judging a password's strength takes nearly as long. Both run on
//! threads of their own, one for each core. The work waits in a line that takes turns between networks,
//! so a flood from one network mainly delays that network. Pages stay fast, because the kernel's
//! scheduler prefers threads that mostly sleep to threads that compute all the time.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use bcrypt::{non_truncating_hash, non_truncating_verify};
use zxcvbn::{Score, zxcvbn};

use crate::error::{Error, StartError};
use crate::line::{Line, Timeouts};
use crate::network::network;

/// The message for a repeated password that differs from the first.
pub const NOT_CONFIRMED: &str = "The two passwords are not the same.";

/// The longest password, in bytes. bcrypt reads no more, so a longer one is refused, not truncated.
pub const MAX_BYTES: usize = 71;

/// At most this many characters of a password are judged. If these are hard to guess, the whole is; and
/// the time to judge grows with the cube of the length.
const MAX_JUDGED_CHARS: usize = 24;

/// At most this many bytes of each name and of the email are used to judge a password.
const MAX_KNOWN_BYTES: usize = 254;

/// Work on a password begins within 10 s or not at all. Once begun, it is always waited for.
const TIMEOUTS: Timeouts = Timeouts { begin: Duration::from_secs(10), finish: Duration::MAX };

/// The costs that bcrypt supports.
const COSTS: std::ops::RangeInclusive<u32> = 4..=31;

/// A password as it was typed. It can be judged, hashed and compared, but not printed.
///
/// ```compile_fail,E0277
/// fn print(password: &doorward::accounts::passwords::Password) { print!("{password:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(password: &doorward::accounts::passwords::Password) { print!("{password}") }
/// ```
#[derive(Clone)]
pub struct Password(String);

/// A password's hash in bcrypt's format: `$2b$<cost>$<salt and hash>`, 60 characters.
///
/// ```compile_fail,E0277
/// fn print(hash: &doorward::accounts::passwords::PasswordHash) { print!("{hash:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(hash: &doorward::accounts::passwords::PasswordHash) { print!("{hash}") }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

/// Hashes, compares and judges passwords, in the line.
pub struct Passwords {
    cost: u32,
    min_chars: usize,
    line: Line<IpAddr>,
}

impl Password {
    /// A password that somebody typed.
    pub fn typed(value: &str) -> Password {
        Password(value.to_owned())
    }

    /// Why this password is not accepted, in a sentence for the visitor. `None` if it is strong enough, has
    /// `min_chars` characters (OWASP ASVS 5.0, 6.2.1), and is at most [`MAX_BYTES`] long.
    ///
    /// There are no rules on composition (OWASP ASVS 5.0, 6.2.5). zxcvbn estimates how many guesses the
    /// password withstands by somebody who knows the visitor's name and email.
    pub fn weakness(&self, names_and_email: [&str; 3], min_chars: usize) -> Option<String> {
        if self.0.chars().count() < min_chars {
            return Some(format!("Use at least {min_chars} characters."));
        }
        if self.0.len() > MAX_BYTES {
            return Some(format!(
                "Too long: at most {MAX_BYTES} letters; accents and emoji count for more."
            ));
        }
        let known = names_and_email.map(|text| &text[..text.floor_char_boundary(MAX_KNOWN_BYTES)]);
        let words = known.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        let known: Vec<&str> = known.into_iter().chain(words).collect();
        let beginning: String = self.0.chars().take(MAX_JUDGED_CHARS).collect();
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

    /// The hash of this password at that cost. It is computed on the current thread, not in the line.
    ///
    /// # Errors
    /// [`Error::System`] for a password longer than [`MAX_BYTES`], or a cost that bcrypt does not
    /// support.
    pub fn hash(&self, cost: u32) -> Result<PasswordHash, Error> {
        let hash = non_truncating_hash(&self.0, cost);
        hash.map(PasswordHash).map_err(|error| Error::System(format!("bcrypt: {error}")))
    }
}

impl PasswordHash {
    /// A hash from the users table.
    pub(crate) fn stored(value: String) -> PasswordHash {
        PasswordHash(value)
    }

    /// The hash in bcrypt's format, for the users table.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The cost in this hash.
    ///
    /// # Errors
    /// [`Error::System`] if it contains no valid cost.
    fn cost(&self) -> Result<u32, Error> {
        let cost = self.0.get(4..6).and_then(|cost| cost.parse().ok());
        cost.filter(|cost| COSTS.contains(cost)).ok_or_else(|| unreadable(&"no cost in it"))
    }
}

impl Passwords {
    /// Starts the threads, one for each core. New hashes get that cost, and new passwords have at least that
    /// many characters.
    ///
    /// # Errors
    /// [`StartError::System`] if a thread cannot be started.
    pub fn new(cost: u32, min_chars: usize) -> Result<Passwords, StartError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Passwords { cost, min_chars, line: Line::new("turn to hash a password", cores)? })
    }

    /// Runs [`Password::weakness`] in the line.
    ///
    /// # Errors
    /// [`Error::Busy`] if the turn of this visitor's network did not come within 10 s.
    pub fn weakness(
        &self,
        ip: IpAddr,
        password: &Password,
        names_and_email: [&str; 3],
    ) -> Result<Option<String>, Error> {
        let (password, min_chars) = (password.clone(), self.min_chars);
        let known = names_and_email.map(str::to_owned);
        self.run_queued(ip, move || {
            password.weakness(known.each_ref().map(String::as_str), min_chars)
        })
    }

    /// Runs [`Password::hash`] in the line, at the cost of new hashes.
    ///
    /// # Errors
    /// Those of [`Password::hash`]; [`Error::Busy`] if the turn of this visitor's network did not come
    /// within 10 s.
    pub fn hash(&self, ip: IpAddr, password: &Password) -> Result<PasswordHash, Error> {
        let (password, cost) = (password.clone(), self.cost);
        self.run_queued(ip, move || password.hash(cost))?
    }

    /// Whether a password matches a hash. `false` if there is no hash, because the user is unknown.
    ///
    /// Each `false` takes the same time: that of one comparison at the highest cost in use (OWASP ASVS
    /// 5.0, 6.3.8). `highest_cost` is the highest in the users table; `None` if it has no users.
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
        let false_cost = highest_cost.filter(|cost| COSTS.contains(cost)).unwrap_or_default();
        let false_cost = false_cost.max(self.cost);
        // A password that is too long to have been hashed is treated like an unknown user.
        let Some(hash) = hash.filter(|_| password.0.len() <= MAX_BYTES) else {
            return self.run_queued(ip, move || compare_with_dummy(false_cost))?.map(|()| false);
        };
        let (password, hash, cost) = (password.0.clone(), hash.0.clone(), hash.cost()?);
        self.run_queued(ip, move || {
            let is_right = non_truncating_verify(password, &hash).map_err(|e| unreadable(&e))?;
            if !is_right {
                // A comparison at cost n takes 2^n units of time. This one took 2^a; the following take
                // 2^a + 2^(a+1) + … + 2^(b-1), so that the sum is 2^b.
                (cost..false_cost).try_for_each(compare_with_dummy)?;
            }
            Ok(is_right)
        })?
    }

    /// Whether a hash has another cost than new ones, and should be replaced.
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.cost().is_ok_and(|cost| cost != self.cost)
    }

    fn run_queued<T: Send + 'static>(
        &self,
        ip: IpAddr,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.line.run(network(ip), TIMEOUTS, work)
    }
}

/// Compares with a dummy hash, which takes as long as any comparison at that cost.
fn compare_with_dummy(cost: u32) -> Result<(), Error> {
    // No password is known to have this hash.
    let dummy = format!("$2b${cost:02}${}", ".".repeat(53));
    non_truncating_verify("", &dummy).map(drop).map_err(|error| unreadable(&error))
}

fn unreadable(cause: &dyn std::fmt::Display) -> Error {
    Error::System(format!(
        "users: a pwdhash cannot be read ({cause}); set that user's password with `doorward user password`"
    ))
}
