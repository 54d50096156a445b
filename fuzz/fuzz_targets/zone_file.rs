//! Zone files: any text gives a zone that is served, or findings with a place; never a panic.
//!
//! Parts of the input divided by a line of `%%` are the zone file and the files that it may include.
//! A zone that loads is rendered, and every set of it is asked for once.
#![no_main]

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;

use dns::{Settings, Transport, View, respond};
use libfuzzer_sys::fuzz_target;
use model::document::{Severity, SourceFile, load};
use steering::Snapshot;

const ZONE: &str = "apiVersion: nearside.dev/v1alpha1
kind: Zone
metadata: {name: fuzz}
spec: {apex: edge.example, zoneFile: main.zone, nameServers: [{name: ns.other.example}]}
";
/// The zone file first.
const PATHS: [&str; 3] = ["main.zone", "part.zone", "more/part.zone"];
/// Sets asked for; the first will do.
const SETS_MAX: usize = 16;

fuzz_target!(|input: &str| {
    // A range of hundreds says no more than one of dozens and takes a hundred times as long.
    if input
        .split('-')
        .skip(1)
        .any(|after| after.bytes().take_while(u8::is_ascii_digit).count() > 2)
    {
        return;
    }
    let file = |path: &str, text: &str| SourceFile { path: Arc::from(path), text: Arc::from(text) };
    let mut files = vec![file("zone.yaml", ZONE)];
    let mut parts = input.split("\n%%\n");
    files.extend(PATHS.iter().map(|path| file(path, parts.next().unwrap_or_default())));
    let policy = match load(&files) {
        Ok(documents) => documents.policy,
        Err(findings) => {
            assert!(findings.iter().any(|one| one.severity == Severity::Error));
            for finding in findings {
                assert!(finding.line >= 1 && finding.column >= 1, "{finding:?}");
                assert!(!finding.to_string().is_empty());
            }
            return;
        }
    };
    let snapshot = Snapshot { policy: Arc::new(policy), ..Snapshot::default() };
    let view = View::build(&snapshot, Settings::default(), &RandomState::new());
    let view = view.expect("a small zone is served");
    let client = SocketAddr::from(([192, 0, 2, 1], 4096));
    let mut out = vec![0; 65_535];
    for set in snapshot.policy.zones[0].records.iter().take(SETS_MAX) {
        let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(set.owner.as_wire());
        packet.extend_from_slice(&set.record_type.0.to_be_bytes());
        packet.extend_from_slice(&[0, 1]);
        let octets = respond(&view, &packet, client, Transport::Tcp, &mut out);
        let octets = octets.expect("a question is answered");
        assert_eq!(out[3] & 0xF, 0, "a name that exists: {:?}", &out[..octets]);
    }
});
