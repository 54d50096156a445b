//! The time, read once per batch: everything below the sockets is told it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since 1970, as the 32 bits that cookies carry.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock for all below it")]
pub(crate) fn now_s() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let [_, _, _, _, low @ ..] = since.as_secs().to_be_bytes();
    u32::from_be_bytes(low)
}
