//! Frames of HTTP/2: one judgement however they are cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| l7lb::fuzzing::frames(input));
