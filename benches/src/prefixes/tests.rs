use ipnet::IpNet;

use super::{clients, prefixes};

#[test]
fn prefixes_are_as_many_as_asked_rising_and_the_same_by_seed() {
    let made = prefixes(1000, 1);
    assert_eq!(made.len(), 1000);
    assert_eq!(made.iter().filter(|(net, _)| matches!(net, IpNet::V4(_))).count(), 600);
    assert!(made.is_sorted_by_key(|(net, _)| *net));
    assert_eq!(made, prefixes(1000, 1));
    assert_ne!(made, prefixes(1000, 2));
    assert!(made.iter().all(|(net, locale)| locale.point.is_some() && *net == net.trunc()));
    assert_eq!(clients(&made, 7, 3).len(), 7);
}
