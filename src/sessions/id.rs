//! Session ids: the secret in the visitor's cookie, and its hash, which the server stores. Neither type
//! can be printed.

use data_encoding::HEXLOWER;
use postgres::Row;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::random;

/// The secret in a visitor's cookie: 256 random bits as 64 lower-case hex characters. Whoever knows it
/// has the visitor's session, so the server stores only its [`hash`](Self::hash).
///
/// ```compile_fail,E0277
/// fn print(id: &doorward::sessions::SessionId) { print!("{id:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(id: &doorward::sessions::SessionId) { print!("{id}") }
/// ```
pub struct SessionId(String);

/// SHA-256 of a session id; the key of the session in memory and in the table. It is made only by
/// [`SessionId::hash`] and from a row of the table, so that no id is stored by mistake.
///
/// ```compile_fail,E0277
/// fn print(hash: &doorward::sessions::IdHash) { print!("{hash:?}") }
/// ```
/// ```compile_fail,E0277
/// fn print(hash: &doorward::sessions::IdHash) { print!("{hash}") }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdHash([u8; 32]);

impl SessionId {
    /// A new id from the operating system's random number generator (OWASP ASVS 5.0, 7.2.3).
    ///
    /// # Errors
    /// [`Error::System`] if that generator fails.
    pub fn random() -> Result<SessionId, Error> {
        Ok(SessionId(HEXLOWER.encode(&random::bytes::<32>()?)))
    }

    /// Parses a cookie's value. `None` if it does not have the form of an id.
    pub fn parse(value: &str) -> Option<SessionId> {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (value.len() == 64 && value.bytes().all(is_hex)).then(|| SessionId(value.to_owned()))
    }

    /// The hash that the server stores.
    pub fn hash(&self) -> IdHash {
        IdHash(Sha256::digest(&self.0).into())
    }

    /// The id itself. Only the cookie may contain it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl IdHash {
    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash in a row's column `id_hash`.
    pub(crate) fn from_row(row: &Row) -> Option<IdHash> {
        row.get::<_, &[u8]>("id_hash").try_into().ok().map(IdHash)
    }
}
