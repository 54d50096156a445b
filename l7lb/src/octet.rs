//! Classes of octets: what may stand where in a request, looked up instead of compared. Every octet
//! of every head is asked about, most of them twice.

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(u8);

/// Of a method or a header's name (RFC 9110, section 5.6.2).
pub(crate) const TOKEN: Class = Class(1);
/// Of a header's value: all but control characters; HTAB is allowed, and above 0x7f is obs-text
/// (RFC 9110, section 5.5).
pub(crate) const VALUE: Class = Class(2);
/// Of a target: visible, of ASCII, and read alike by all (RFC 3986, section 2).
pub(crate) const TARGET: Class = Class(4);
/// Of a registered name without escapes.
pub(crate) const HOST: Class = Class(8);

static CLASSES: [u8; 256] = classes();

impl Class {
    /// Whether every octet is of this class.
    pub(crate) fn holds(self, octets: &[u8]) -> bool {
        octets.iter().all(|&octet| CLASSES[usize::from(octet)] & self.0 != 0)
    }
}

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut octet = 0_u8;
    loop {
        let is_alphanumeric = octet.is_ascii_alphanumeric();
        let mut class = 0;
        if is_alphanumeric || is_among(octet, b"!#$%&'*+-.^_`|~") {
            class |= TOKEN.0;
        }
        if octet == b'\t' || (octet >= 0x20 && octet != 0x7f) {
            class |= VALUE.0;
        }
        if octet.is_ascii_graphic() && !is_among(octet, b"#<>\\\"") {
            class |= TARGET.0;
        }
        if is_alphanumeric || is_among(octet, b"-._") {
            class |= HOST.0;
        }
        classes[octet as usize] = class;
        if octet == u8::MAX {
            return classes;
        }
        octet += 1;
    }
}

const fn is_among(octet: u8, some: &[u8]) -> bool {
    let mut at = 0;
    while at < some.len() {
        if some[at] == octet {
            return true;
        }
        at += 1;
    }
    false
}

#[cfg(test)]
mod tests;
