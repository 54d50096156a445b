//! Apache's variant of MD5-crypt, which `htpasswd` writes when it is not asked for better.

use md5::{Digest, Md5};

/// What precedes the salt.
const PREFIX: &str = "$apr1$";
/// Rounds, fixed by the format.
const ROUNDS: usize = 1_000;
/// The alphabet of its base 64, least significant bits first.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// The order in which the digest's octets are written, three at a time.
const GROUPS: [(usize, usize, usize); 5] =
    [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];

/// The salt of a hash, when that has the format's shape.
pub(super) fn salt(hash: &str) -> Option<&str> {
    let (salt, digest) = hash.strip_prefix(PREFIX)?.split_once('$')?;
    let whole = (1..=8).contains(&salt.len())
        && digest.len() == 22
        && digest.bytes().all(|octet| ALPHABET.contains(&octet));
    whole.then_some(salt)
}

/// The hash of a password with the salt of another hash.
pub(super) fn hash(password: &[u8], like: &str) -> Option<String> {
    let salt = salt(like)?;
    let inner =
        Md5::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut outer = Md5::new().chain_update(password).chain_update(PREFIX).chain_update(salt);
    for at in (0..password.len()).step_by(16) {
        outer.update(&inner[..(password.len() - at).min(16)]);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 { &[0][..] } else { &password[..1] });
        bits >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..ROUNDS {
        let mut next = Md5::new();
        if round % 2 == 1 {
            next.update(password);
        } else {
            next.update(digest);
        }
        if round % 3 != 0 {
            next.update(salt);
        }
        if round % 7 != 0 {
            next.update(password);
        }
        if round % 2 == 1 {
            next.update(digest);
        } else {
            next.update(password);
        }
        digest = next.finalize();
    }
    let mut text = format!("{PREFIX}{salt}$");
    let mut write = |mut number: usize, digits: usize| {
        for _ in 0..digits {
            text.push(char::from(ALPHABET[number & 63]));
            number >>= 6;
        }
    };
    for (high, middle, low) in GROUPS {
        let number = usize::from(digest[high]) << 16
            | usize::from(digest[middle]) << 8
            | usize::from(digest[low]);
        write(number, 4);
    }
    write(usize::from(digest[11]), 2);
    Some(text)
}
