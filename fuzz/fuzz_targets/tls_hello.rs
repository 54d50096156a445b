//! TLS hellos: the name that routes a connection is the one that the TLS library finds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| l7lb::fuzzing::client_hello(input));
