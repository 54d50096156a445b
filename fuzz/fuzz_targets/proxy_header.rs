//! PROXY headers: complete or not yet, and what we write, we read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| l7lb::fuzzing::proxy_header(input));
