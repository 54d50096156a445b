//! Tokens and key sets: nothing that nobody signed passes.
//!
//! The first octet of the input chooses: a key set; or a head and claims, divided by a NUL, which are
//! rightly signed, and behind another NUL a whole `Authorization` header.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    if choice & 1 == 0 {
        return l7lb::fuzzing::key_set(rest);
    }
    let mut parts = rest.splitn(3, |&octet| octet == 0);
    let mut part = || parts.next().unwrap_or_default();
    l7lb::fuzzing::token(part(), part(), part());
});
