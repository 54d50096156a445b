//! Files of ticket secrets, and `traceparent`: read or refused, and no secret in a message.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| l7lb::fuzzing::small_texts(input));
