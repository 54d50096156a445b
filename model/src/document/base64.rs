//! Base64 (RFC 4648, section 4), strict: padded, no stray bits; white space is skipped because
//! manifests fold long values.

/// The octets, or `None` when the text is not Base64.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len() / 4 * 3);
    let (mut group, mut sextets, mut padding) = (0_u32, 0, 0);
    for c in text.bytes().filter(|octet| !octet.is_ascii_whitespace()) {
        if c == b'=' {
            padding += 1;
            continue;
        }
        if padding > 0 {
            return None;
        }
        group = group << 6 | u32::from(sextet(c)?);
        sextets += 1;
        if sextets == 4 {
            let [_, a, b, c] = group.to_be_bytes();
            octets.extend([a, b, c]);
            (group, sextets) = (0, 0);
        }
    }
    match (sextets, padding) {
        (0, 0) => {}
        (2, 2) if group & 0xf == 0 => octets.push((group >> 4).to_be_bytes()[3]),
        (3, 1) if group & 0x3 == 0 => octets.extend(&(group >> 2).to_be_bytes()[2..]),
        _ => return None,
    }
    Some(octets)
}

fn sextet(c: u8) -> Option<u8> {
    match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
