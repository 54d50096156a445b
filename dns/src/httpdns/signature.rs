//! Signed requests: who knows the secret may ask, until the time that the signature names.
//!
//! `t` is that time in Unix seconds and `s` the HMAC-SHA256 (RFC 2104, RFC 6234) of `NAMES-t`, in
//! hexadecimal. NAMES are the names asked for, in lower case, without the last dot, repeats left
//! out, with commas between them. Redirects are not signed: their query is the site's, and they
//! tell no more than the site's address.

#[cfg(test)]
mod tests;

use std::fmt;

use ring::hmac::{HMAC_SHA256, Key};

use super::request::Request;

/// Octets of an HMAC-SHA256.
pub const CODE_OCTETS: usize = 32;
/// The shortest secret taken: what cannot be guessed (128 bits).
pub const SECRET_OCTETS_MIN: usize = 16;
/// The longest secret taken; a longer one is some other file.
pub const SECRET_OCTETS_MAX: usize = 1024;
/// How far ahead a signature's time may lie. A day lets an app sign in advance, and a client's clock
/// be wrong, but no signature is for ever.
const VALID_S_MAX: u32 = 86_400;

/// What a request brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// Until when it is good, in Unix seconds.
    pub until_s: u32,
    /// The code.
    pub code: [u8; CODE_OCTETS],
}

/// What both sides know.
#[derive(Clone)]
pub struct Secret(Key);

impl Secret {
    /// Takes a secret file's octets; white space around them is not part of it. `None` when there
    /// are fewer than [`SECRET_OCTETS_MIN`] or more than [`SECRET_OCTETS_MAX`].
    pub fn new(octets: &[u8]) -> Option<Self> {
        let octets = octets.trim_ascii();
        let is_fit = (SECRET_OCTETS_MIN..=SECRET_OCTETS_MAX).contains(&octets.len());
        is_fit.then(|| Self(Key::new(HMAC_SHA256, octets)))
    }

    /// Whether the request may be answered at `now_s`.
    ///
    /// # Errors
    /// Why not, for the one who sent it.
    pub fn check(&self, request: &Request, now_s: u32) -> Result<(), SignatureError> {
        let Some(names) = request.signed_names() else { return Ok(()) };
        let Signature { until_s, code } = request.signature().ok_or(SignatureError::Missing)?;
        // The code before the times: who does not know the secret learns nothing of our clock.
        let signed = format!("{names}-{until_s}");
        ring::hmac::verify(&self.0, signed.as_bytes(), &code).map_err(|_| SignatureError::Wrong)?;
        if until_s < now_s {
            return Err(SignatureError::Expired);
        }
        if until_s - now_s > VALID_S_MAX {
            return Err(SignatureError::TooFar);
        }
        Ok(())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Why a request may not be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("this server answers signed requests only; help: send `t` and `s`")]
    Missing,
    /// It is not of this request, or made with another secret.
    #[error("the signature `s` is wrong")]
    Wrong,
    /// Its time is past.
    #[error("the signature's time `t` is past")]
    Expired,
    /// Its time is too far off.
    #[error("the signature's time `t` is more than {VALID_S_MAX} seconds ahead")]
    TooFar,
}
