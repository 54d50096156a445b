//! Trace ids (W3C Trace Context, level 1): taken from the request, or made, and passed on.
//!
//! The gateway reports no span of its own, so a header that came is passed on as it is.

use http::HeaderValue;
use serde::{Serialize, Serializer};

/// Names the header.
pub(crate) const TRACEPARENT: http::HeaderName = http::HeaderName::from_static("traceparent");

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const OCTETS: usize = 55;
/// Where the trace id is.
const ID: std::ops::Range<usize> = 3..35;
/// Where the parent id is.
const PARENT: std::ops::Range<usize> = 36..52;

/// A trace id as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId([u8; 32]);

impl TraceId {
    /// Of a `traceparent`; `None` when it is not valid (section 3.2.2) and must be replaced.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let known = value.get(..OCTETS)?;
        // Later versions may append fields; version 00 has none, and ff is forbidden.
        let exact = value.len() == OCTETS || (!value.starts_with(b"00") && value[OCTETS] == b'-');
        let is_hex = |octet: &u8| matches!(octet, b'0'..=b'9' | b'a'..=b'f');
        let dashes = [2, 35, 52].iter().all(|&at| known[at] == b'-');
        let digits =
            [0..2, ID, PARENT, 53..55].into_iter().all(|part| known[part].iter().all(is_hex));
        let zero = |part: std::ops::Range<usize>| known[part].iter().all(|&octet| octet == b'0');
        if !exact || !dashes || !digits || zero(ID) || zero(PARENT) || known.starts_with(b"ff") {
            return None;
        }
        known[ID].try_into().ok().map(Self)
    }

    /// A new trace with the header that carries it. The sampled flag is not set: whether to sample
    /// is for those who report.
    pub(crate) fn make(random: [u64; 3]) -> (Self, HeaderValue) {
        let mut octets = *b"00-00000000000000000000000000000000-0000000000000000-00";
        // Odd, so that neither id is zero.
        for (at, number) in [(3, random[0]), (19, random[1] | 1), (36, random[2] | 1)] {
            for (digit, shift) in (0..16).zip((0..16_u32).rev()) {
                octets[at + digit] =
                    DIGITS[usize::from((number >> (shift * 4)).to_le_bytes()[0] & 15)];
            }
        }
        let mut id = [0; 32];
        id.copy_from_slice(&octets[ID]);
        #[expect(
            clippy::expect_used,
            reason = "hexadecimal digits and dashes are a header's value"
        )]
        let header = HeaderValue::from_bytes(&octets).expect("digits and dashes");
        (Self(id), header)
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for TraceId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests;
