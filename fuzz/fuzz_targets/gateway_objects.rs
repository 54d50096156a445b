//! Objects of an API server: any JSON is an object or is refused with faults; what is taken, alone
//! or with others, compiles to a view that answers.
//!
//! The input is one object of JSON a line.
#![no_main]

use std::sync::OnceLock;

use l7lb::{Question, explain_documents};
use libfuzzer_sys::fuzz_target;
use model::document::gateway_object;
use model::gateway::GatewayObjects;
use model::name::SiteName;

/// Lines that are read; routes need a Gateway, a Service and endpoints.
const OBJECTS_MAX: usize = 8;

fuzz_target!(|input: &str| {
    let mut objects = GatewayObjects::default();
    let mut taken = 0;
    for line in input.lines().take(OBJECTS_MAX) {
        let Ok(json) = serde_json::from_str(line) else { continue };
        match gateway_object(&json) {
            Ok(read) => {
                let (kind, name) = (read.object.kind(), read.object.meta().object.clone());
                objects.put(read.object);
                assert!(objects.remove(kind, &name), "{name} was not kept");
                objects.put(gateway_object(&json).expect("as before").object);
                taken += 1;
            }
            Err(refused) => {
                assert!(!refused.faults.is_empty());
                assert!(!refused.to_string().is_empty());
            }
        }
    }
    if taken == 0 {
        return;
    }
    static SITE: OnceLock<SiteName> = OnceLock::new();
    let site = SITE.get_or_init(|| SiteName::new("fuzz").expect("a name"));
    for url in ["GET http://a.example/shop/1", "POST https://a.example:8443/"] {
        let question = Question::parse(url, &[], None).expect("a question");
        let told = explain_documents(site, &objects, &question);
        assert!(!told.places.is_empty(), "{told:?}");
        assert!(!told.to_string().is_empty());
    }
});
