//! Service parameters of SVCB and HTTPS records, text -> wire (RFC 9460, section 2 and appendix A).

use std::net::{Ipv4Addr, Ipv6Addr};

use super::base64;
use super::master::{Word, unescape};

const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
/// RFC 9540.
const OHTTP: u16 = 8;
const KEYS: &[(&str, u16)] = &[
    ("mandatory", MANDATORY),
    ("alpn", ALPN),
    ("no-default-alpn", NO_DEFAULT_ALPN),
    ("port", 3),
    ("ipv4hint", 4),
    ("ech", 5),
    ("ipv6hint", 6),
    ("dohpath", 7),
    ("ohttp", OHTTP),
];
/// RFC 9460, section 14.3.2: reserved as the invalid key.
const INVALID_KEY: u16 = 65_535;

/// Appends the parameters in order of their keys. An error names the word when it is one word's.
pub(super) fn encode(
    words: &[Word<'_>],
    is_alias: bool,
    octets: &mut Vec<u8>,
) -> Result<(), (Option<usize>, String)> {
    if is_alias && !words.is_empty() {
        return Err((Some(0), "a record of priority 0 has no parameters".into()));
    }
    let mut params: Vec<(u16, Vec<u8>)> = Vec::with_capacity(words.len());
    for (at, word) in words.iter().enumerate() {
        let (key, value) = encode_param(word).map_err(|message| (Some(at), message))?;
        if params.iter().any(|(other, _)| *other == key) {
            return Err((Some(at), format!("`{}` is given twice", word.text)));
        }
        params.push((key, value));
    }
    params.sort_unstable_by_key(|(key, _)| *key);
    check_together(&params).map_err(|message| (None, message))?;
    for (key, value) in params {
        octets.extend(key.to_be_bytes());
        let length = u16::try_from(value.len());
        let length =
            length.map_err(|_| (None, "a parameter is longer than 65535 octets".into()))?;
        octets.extend(length.to_be_bytes());
        octets.extend(value);
    }
    Ok(())
}

/// Whether octets are parameters in strictly rising order of keys.
pub(super) fn is_wire(mut rest: &[u8]) -> bool {
    let mut last: Option<u16> = None;
    while let Some((head, tail)) = rest.split_at_checked(4) {
        let key = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(tail) = tail.get(length..) else { return false };
        if last.is_some_and(|last| last >= key) {
            return false;
        }
        last = Some(key);
        rest = tail;
    }
    rest.is_empty()
}

/// Rules that hold between parameters (RFC 9460, sections 7.1.1 and 8).
fn check_together(params: &[(u16, Vec<u8>)]) -> Result<(), String> {
    let has = |key: u16| params.iter().any(|(other, _)| *other == key);
    if has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return Err("`no-default-alpn` needs `alpn`".into());
    }
    let Some((MANDATORY, keys)) = params.first() else { return Ok(()) };
    for key in keys.chunks_exact(2) {
        let key = u16::from_be_bytes([key[0], key[1]]);
        if key == MANDATORY || !has(key) {
            return Err("`mandatory` names a parameter that is not there".into());
        }
    }
    Ok(())
}

fn encode_param(word: &Word<'_>) -> Result<(u16, Vec<u8>), String> {
    let (name, value) = match word.text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word.text, None),
    };
    if word.quoted {
        return Err(format!("`{}` is not a parameter", word.text));
    }
    let key = parse_key(name).ok_or_else(|| format!("unknown parameter `{name}`"))?;
    let value = value.map(|value| {
        value.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(value)
    });
    let value = match value {
        Some(value) => unescape(value).ok_or_else(|| format!("`{value}` has a bad escape"))?,
        None => Vec::new(),
    };
    let bare = matches!(key, NO_DEFAULT_ALPN | OHTTP);
    let named = KEYS.iter().any(|(_, number)| *number == key);
    match value.is_empty() {
        false if bare => Err(format!("`{name}` has no value")),
        true if named && !bare => Err(format!("`{name}` needs a value")),
        _ => encode_value(key, &value).map(|octets| (key, octets)).ok_or_else(|| {
            format!("`{}` is not a value of `{name}`", String::from_utf8_lossy(&value))
        }),
    }
}

fn encode_value(key: u16, value: &[u8]) -> Option<Vec<u8>> {
    let text = || std::str::from_utf8(value).ok();
    match key {
        MANDATORY => {
            let keys: Option<Vec<u16>> = text()?.split(',').map(parse_key).collect();
            let mut keys = keys?;
            keys.sort_unstable();
            let distinct = keys.windows(2).all(|pair| pair[0] != pair[1]);
            distinct.then(|| keys.into_iter().flat_map(u16::to_be_bytes).collect())
        }
        ALPN => {
            let mut octets = Vec::new();
            for id in split_list(value)? {
                octets.push(u8::try_from(id.len()).ok().filter(|length| *length > 0)?);
                octets.extend(id);
            }
            Some(octets)
        }
        3 => Some(text()?.parse::<u16>().ok()?.to_be_bytes().to_vec()),
        4 => {
            let parse = |ip: &str| ip.parse::<Ipv4Addr>().ok().map(|ip| ip.octets());
            Some(text()?.split(',').map(parse).collect::<Option<Vec<_>>>()?.concat())
        }
        5 => base64::decode(text()?),
        6 => {
            let parse = |ip: &str| ip.parse::<Ipv6Addr>().ok().map(|ip| ip.octets());
            Some(text()?.split(',').map(parse).collect::<Option<Vec<_>>>()?.concat())
        }
        _ => Some(value.to_vec()),
    }
}

/// A comma-separated list whose items escape `,` and `\` with `\` (RFC 9460, appendix A.1).
fn split_list(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut items = vec![Vec::new()];
    let mut octets = value.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b',' => items.push(Vec::new()),
            b'\\' => items.last_mut()?.push(*octets.next()?),
            other => items.last_mut()?.push(*other),
        }
    }
    Some(items)
}

fn parse_key(name: &str) -> Option<u16> {
    if let Some((_, key)) = KEYS.iter().find(|(known, _)| *known == name) {
        return Some(*key);
    }
    let number = name.strip_prefix("key")?;
    let canonical = !number.is_empty() && (number == "0" || !number.starts_with('0'));
    let digits = number.bytes().all(|octet| octet.is_ascii_digit());
    let key: u16 = (canonical && digits).then(|| number.parse().ok())??;
    (key != INVALID_KEY).then_some(key)
}
