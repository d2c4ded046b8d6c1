//! Session ids: the secret in the visitor's cookie, and the hash that the server keeps of it. Neither
//! can be printed, and only the hash can be stored.

use postgres::Row;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The secret in a visitor's cookie: 64 lower-case hex characters, 256 random bits. Whoever has
/// it is the visitor, so it can be neither printed nor stored: only its [`hash`](Self::hash) can.
pub struct SessionId(String);

/// SHA-256 of a session id: what the map and the table know a session by. Only
/// [`SessionId::hash`] and a row of the table make one, so that no id is stored by mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdHash([u8; 32]);

impl SessionId {
    /// A new id, from the operating system's generator (OWASP ASVS 5.0, 7.2.3).
    ///
    /// # Errors
    /// [`Error::System`] if the operating system has no randomness to give.
    pub fn random() -> Result<SessionId, Error> {
        let mut bits = [0; 4];
        for quarter in &mut bits {
            *quarter = SysRng.try_next_u64().map_err(|error| Error::System(error.to_string()))?;
        }
        let [a, b, c, d] = bits;
        Ok(SessionId(format!("{a:016x}{b:016x}{c:016x}{d:016x}")))
    }

    /// The id in a cookie's value. `None` if the server cannot have issued it.
    pub fn parse(value: &str) -> Option<SessionId> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (value.len() == 64 && value.bytes().all(is_hex)).then(|| SessionId(value.to_owned()))
    }

    /// What the server keeps of this id.
    pub fn hash(&self) -> IdHash {
        IdHash(Sha256::digest(&self.0).into())
    }

    /// The id itself, for the cookie and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl IdHash {
    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Which piece of the map it belongs to: any number will do, so long as it is evenly spread.
    pub(super) fn shard(&self) -> usize {
        usize::from(self.0[0])
    }

    /// The hash in a row with the column `id_hash`.
    pub(crate) fn from_row(row: &Row) -> Option<IdHash> {
        row.get::<_, &[u8]>("id_hash").try_into().ok().map(IdHash)
    }
}
