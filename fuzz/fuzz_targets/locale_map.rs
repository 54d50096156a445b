//! Locale maps: any `spec` gives prefixes that hold together in one table, or findings with a place.
//!
//! The input is what follows `spec:`. Prefixes of a map that loads are looked up again.
#![no_main]

use std::sync::Arc;

use geo_data::{Centres, LocaleTable};
use libfuzzer_sys::fuzz_target;
use model::document::{Severity, SourceFile, load};

const HEAD: &str =
    "apiVersion: nearside.dev/v1alpha1\nkind: LocaleMap\nmetadata: {name: fuzz}\nspec: ";

fuzz_target!(|input: &str| {
    let text = [HEAD, input].concat();
    let file = SourceFile { path: Arc::from("locales.yaml"), text: Arc::from(text) };
    match load(&[file]) {
        Ok(documents) => {
            let frame = model::codec::encode(&documents.policy).expect("a policy encodes");
            let again: model::Policy = model::codec::decode(&frame).expect("a policy decodes");
            assert_eq!(again, documents.policy);
            let overrides = &documents.policy.locale_overrides;
            let table = LocaleTable::from_prefixes(&[], Centres::default());
            let table = table.with_overrides(overrides);
            for (prefix, _) in &overrides.clients {
                for ip in [prefix.network(), prefix.broadcast()] {
                    let hit = table.lookup(ip);
                    assert!(hit.prefix_len <= if ip.is_ipv4() { 32 } else { 64 }, "{prefix}");
                }
            }
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
