//! Documents: any text gives a model or findings with a place; never a panic, never silence.
//!
//! The input is one YAML file; what follows a line of `%%` is the zone file beside it.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use model::document::{Severity, SourceFile, load};

fuzz_target!(|input: &str| {
    let (yaml, zone) = input.split_once("\n%%\n").unwrap_or((input, ""));
    let file = |path: &str, text: &str| SourceFile { path: Arc::from(path), text: Arc::from(text) };
    match load(&[file("documents.yaml", yaml), file("zone.txt", zone)]) {
        Ok(documents) => {
            assert!(documents.warnings.iter().all(|one| one.severity == Severity::Warning));
            let frame = model::codec::encode(&documents.policy).expect("a policy encodes");
            let again: model::Policy = model::codec::decode(&frame).expect("a policy decodes");
            assert_eq!(again, documents.policy);
        }
        Err(findings) => {
            assert!(findings.iter().any(|one| one.severity == Severity::Error));
            for finding in findings {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding:?}");
                assert!(!finding.to_string().is_empty());
            }
        }
    }
});
