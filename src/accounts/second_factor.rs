//! The second factor: six digits that an app computes from a key and the time (TOTP, RFC 6238), and
//! recovery codes for users who have lost the app.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::BASE32;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::throttle::Throttle;
use crate::database::Database;
use crate::error::Error;
use crate::random;
use crate::sessions::{Proof, Session, Sessions, Which};

/// How long an app shows a code, in seconds (RFC 6238, 5.2).
const STEP_SECONDS: u64 = 30;

/// How many recovery codes a user gets.
const RECOVERY_CODES: usize = 10;

/// The key that the server shares with an app: 160 random bits (RFC 4226, 4, R6).
///
/// ```compile_fail,E0277
/// fn print(key: &doorward::accounts::second_factor::Key) { print!("{key:?}") }
/// ```
#[derive(Clone)]
pub struct Key([u8; 20]);

/// New recovery codes, one a line. Each is 120 random bits: 24 letters and digits in four groups.
///
/// ```compile_fail,E0277
/// fn print(codes: &doorward::accounts::second_factor::RecoveryCodes) { print!("{codes:?}") }
/// ```
#[derive(Clone)]
pub struct RecoveryCodes(String);

impl Key {
    /// A new key.
    ///
    /// # Errors
    /// [`Error::System`] if the system's random number generator fails.
    pub fn random() -> Result<Key, Error> {
        random::bytes().map(Key)
    }

    /// The key as people type it into an app: 32 capital letters and digits.
    pub fn expose(&self) -> String {
        BASE32.encode(&self.0)
    }

    /// The time step of a code that somebody typed: the current one, or the one before or after, because
    /// clocks differ. `None` if the app shows that code in none of them.
    pub fn step_of(&self, typed: &str, now: SystemTime) -> Option<i64> {
        let typed = normalize(typed);
        let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
        let step = i64::try_from(seconds / STEP_SECONDS).ok()?;
        (step - 1..=step + 1).find(|step| self.code(*step) == typed)
    }

    /// The code of a time step: HOTP (RFC 4226, 5.3) with the step as its counter.
    fn code(&self, step: i64) -> String {
        // HMAC itself extends a short key with zeros to a block of 64 bytes (RFC 2104, 2).
        let mut block = [0; 64];
        block[..self.0.len()].copy_from_slice(&self.0);
        let mac = Hmac::<Sha1>::new(&block.into()).chain_update(step.to_be_bytes());
        let mac: [u8; 20] = mac.finalize().into_bytes().into();
        let offset = usize::from(mac[19] & 0xf);
        let bytes = [mac[offset] & 0x7f, mac[offset + 1], mac[offset + 2], mac[offset + 3]];
        format!("{:06}", u32::from_be_bytes(bytes) % 1_000_000)
    }
}

impl RecoveryCodes {
    /// Ten new codes, and the hashes to store.
    fn random() -> Result<(RecoveryCodes, Vec<Vec<u8>>), Error> {
        let (mut lines, mut hashes) = (Vec::new(), Vec::new());
        for _ in 0..RECOVERY_CODES {
            let code = BASE32.encode(&random::bytes::<15>()?);
            hashes.push(Sha256::digest(&code).to_vec());
            lines.push([&code[..6], &code[6..12], &code[12..18], &code[18..]].join("-"));
        }
        Ok((RecoveryCodes(lines.join("\n")), hashes))
    }

    /// The codes, one a line. Only their user may see them.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// The key of a user's app. `None` for a user without a second factor.
pub fn key(database: &Database, uid: i64) -> Result<Option<Key>, Error> {
    const SQL: &str = "
        SELECT totp_key
        FROM users
        WHERE uid = $1";
    let row = database.run(move |connection| connection.query_opt(SQL, &[&uid]))?;
    let key = row.and_then(|row| row.get::<_, Option<Vec<u8>>>("totp_key"));
    Ok(key.and_then(|key| key.try_into().ok()).map(Key))
}

/// Checks a code or recovery code that a user typed, and uses it up. `None` if it is wrong, or was used
/// before.
///
/// # Errors
/// [`Error::Throttled`] after too many wrong codes, from wherever they came; a right one is then not
/// looked at. Recovery codes are not counted, because nobody can guess 120 bits. So whoever knows the
/// password cannot keep the owner out.
pub fn check(
    database: &Database,
    throttle: &Throttle,
    uid: i64,
    key: &Key,
    typed: &str,
) -> Result<Option<Proof>, Error> {
    let normal = normalize(typed);
    if normal.len() != 6 {
        return Ok(use_recovery_code(database, uid, &normal)?.then_some(Proof::RecoveryCode));
    }
    // Counted before it is compared, so that simultaneous guesses count, too.
    throttle.code(uid)?;
    let Some(step) = key.step_of(typed, SystemTime::now()) else { return Ok(None) };
    let is_unused = use_step(database, uid, key, step);
    if !matches!(is_unused, Ok(false)) {
        throttle.give_back_code(uid);
    }
    Ok(is_unused?.then_some(Proof::Code))
}

/// Uses a time step up. Of simultaneous requests, one succeeds.
fn use_step(database: &Database, uid: i64, key: &Key, step: i64) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET totp_step = $2
        WHERE uid = $1
          AND totp_key = $3
          AND totp_step < $2";
    let key = key.0.to_vec();
    Ok(database.run(move |connection| connection.execute(SQL, &[&uid, &step, &key]))? == 1)
}

fn use_recovery_code(database: &Database, uid: i64, code: &str) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET recovery_codes = array_remove(recovery_codes, $2)
        WHERE uid = $1
          AND $2 = ANY (recovery_codes)";
    let hash = Sha256::digest(code).to_vec();
    Ok(database.run(move |connection| connection.execute(SQL, &[&uid, &hash]))? == 1)
}

/// Turns a user's second factor off. `false` if there was none.
pub fn turn_off(database: &Database, uid: i64) -> Result<bool, Error> {
    const SQL: &str = "
        UPDATE users
        SET totp_key = NULL, totp_step = NULL, recovery_codes = NULL
        WHERE uid = $1
          AND totp_key IS NOT NULL";
    Ok(database.run(move |connection| connection.execute(SQL, &[&uid]))? == 1)
}

/// Turns a user's second factor on, ends all sessions but the one in which the user has typed a code, and uses
/// that code's step up. Returns new recovery codes; `None` if a second factor is on already, or that session has
/// ended meanwhile.
pub fn turn_on(
    sessions: &Sessions,
    session: &Session,
    key: &Key,
    step: i64,
) -> Result<Option<RecoveryCodes>, Error> {
    const USER: &str = "
        UPDATE users
        SET totp_key = $2, totp_step = $3, recovery_codes = $4
        WHERE uid = $1
          AND totp_key IS NULL";
    const SESSION: &str = "
        UPDATE sessions
        SET second_factor = $2
        WHERE number = $1";
    let (uid, number, key) = (session.user.uid, session.number, key.0);
    let (codes, hashes) = RecoveryCodes::random()?;
    let ended = sessions.end_with(uid, Which::AllBut(number), move |transaction| {
        if transaction.execute(SESSION, &[&number, &Proof::Code.as_str()])? == 0 {
            return Ok(false);
        }
        Ok(transaction.execute(USER, &[&uid, &key.as_slice(), &step, &hashes])? == 1)
    })?;
    Ok(ended.map(|_| codes))
}

/// What somebody typed, without blanks and hyphens, in capitals.
fn normalize(typed: &str) -> String {
    typed.replace(|c: char| c.is_whitespace() || c == '-', "").to_uppercase()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const KEY: Key = Key(*b"12345678901234567890");

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, eight_digits) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(KEY.code(seconds / 30), eight_digits[2..], "{seconds}");
        }
    }

    #[test]
    fn asvs_6_5_5_a_code_is_right_one_step_early_and_one_late_and_no_longer() {
        // The step from 1,111,111,080 to 1,111,111,110.
        let code = "081 804";
        for (seconds, is_right) in [
            (1_111_111_049, false),
            (1_111_111_050, true),
            (1_111_111_080, true),
            (1_111_111_109, true),
            (1_111_111_139, true),
            (1_111_111_140, false),
        ] {
            let step = KEY.step_of(code, at(seconds));
            assert_eq!(step, is_right.then_some(1_111_111_080 / 30), "{seconds}");
        }
    }

    #[test]
    fn a_key_is_shown_in_base32_without_padding() {
        assert_eq!(KEY.expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    }

    #[test]
    fn blanks_hyphens_and_case_make_no_difference() {
        assert_eq!(normalize(" ab-c\u{a0}d\t"), "ABCD");
        let step = 1_111_111_109 / 30;
        for (typed, is_right) in [
            ("081804", true),
            (" 08-18\u{a0}04\n", true),
            ("81804", false),
            ("0818041", false),
            ("+81804", false),
            ("０８１８０４", false),
            ("", false),
        ] {
            let found = KEY.step_of(typed, at(1_111_111_109));
            assert_eq!(found, is_right.then_some(step), "{typed}");
        }
    }

    #[test]
    fn asvs_6_5_2_to_6_5_4_recovery_codes_are_120_random_bits_and_stored_as_sha_256() {
        let (codes, hashes) = RecoveryCodes::random().unwrap();
        let lines: Vec<&str> = codes.expose().lines().collect();
        assert_eq!((lines.len(), hashes.len()), (10, 10));
        for (line, hash) in lines.iter().zip(&hashes) {
            assert_eq!(line.split('-').map(str::len).collect::<Vec<_>>(), [6; 4], "{line}");
            assert_eq!(*hash, Sha256::digest(normalize(line)).to_vec());
        }
        // In 1,200 random bits, no letter of 32 takes a quarter of the 240 places.
        let count = |letter: &u8| codes.expose().bytes().filter(|byte| byte == letter).count();
        assert!(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().all(|letter| count(letter) < 60),
            "{}",
            codes.expose()
        );
        assert_ne!(Key::random().unwrap().0, Key::random().unwrap().0);
    }
}
