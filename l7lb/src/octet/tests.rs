//! Each class, octet by octet.

use super::*;

fn those(class: Class) -> Vec<u8> {
    (0..=u8::MAX).filter(|&octet| class.holds(&[octet])).collect()
}

#[test]
fn classes_are_those_of_the_rfcs() {
    let letters = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z');
    let mut token: Vec<u8> = letters.clone().chain(*b"!#$%&'*+-.^_`|~").collect();
    token.sort_unstable();
    assert_eq!(those(TOKEN), token);
    let mut host: Vec<u8> = letters.chain(*b"-._").collect();
    host.sort_unstable();
    assert_eq!(those(HOST), host);
    let value: Vec<u8> =
        (0..=u8::MAX).filter(|octet| !octet.is_ascii_control() || *octet == b'\t').collect();
    assert_eq!(those(VALUE), value);
    let target: Vec<u8> = (b'!'..=b'~').filter(|octet| !b"\"#<>\\".contains(octet)).collect();
    assert_eq!(those(TARGET), target);
    assert!(TOKEN.holds(b"") && !TOKEN.holds(b"a b"));
}
