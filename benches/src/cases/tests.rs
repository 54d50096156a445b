use std::collections::BTreeSet;

use super::{PACKETS, cases};

#[test]
fn every_case_is_answered_as_it_must_be() {
    let cases = cases().unwrap();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases.len(), "names tell cases apart");
    for case in &cases {
        assert_eq!((case.packets().count(), case.wrong()), (PACKETS, 0), "{}", case.name);
    }
}

#[test]
fn cookies_are_the_servers_own_and_whole() {
    let cases = cases().unwrap();
    let octets = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        case.packets().map(|(packet, _)| packet.len()).sum::<usize>()
    };
    // An option's head and 24 octets: a client cookie alone would be 16 octets fewer.
    let (with, without) = (octets("steered-cookie"), octets("steered-v4"));
    let more = i64::try_from(with).unwrap() - i64::try_from(without).unwrap();
    // Names differ in length by their number's digits: up to two octets a packet.
    assert!((more - 28 * 2000).abs() < 4000, "{more}");
}
