//! Random bytes for everything that nobody may guess.

use rand::TryRng;
use rand::rngs::SysRng;

use crate::error::Error;

/// Bytes of the operating system's random number generator (OWASP ASVS 5.0, 6.5.3 and 7.2.3).
///
/// # Errors
/// [`Error::System`] if that generator fails.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| Error::System(error.to_string()))?;
    Ok(bytes)
}
