use proptest::prelude::*;

use super::*;

fn table(allow: &[&str], deny: &[&str]) -> AddressTable {
    let nets = |list: &[&str]| list.iter().map(|net| net.parse().unwrap()).collect();
    AddressTable::compile(&AddressRules { allow: nets(allow), deny: nets(deny) })
}

fn check(table: &AddressTable, address: &str) -> bool {
    table.admits(address.parse().unwrap())
}

#[test]
fn deny_goes_before_allow_and_allow_excludes_the_rest() {
    let both = table(&["192.0.2.0/24", "2001:db8::/32"], &["192.0.2.128/25"]);
    for (address, admitted) in [
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.128", false),
        ("192.0.3.0", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
    ] {
        assert_eq!(check(&both, address), admitted, "{address}");
    }
    let denied = table(&[], &["10.0.0.0/8"]);
    assert!(check(&denied, "192.0.2.1") && !check(&denied, "10.255.255.255"));
    let nothing = table(&[], &[]);
    assert!(check(&nothing, "10.0.0.1") && check(&nothing, "::"));
    let whole = table(&["0.0.0.0/0"], &[]);
    assert!(check(&whole, "203.0.113.1") && !check(&whole, "2001:db8::1"));
}

proptest! {
    #[test]
    fn ranges_hold_what_the_networks_hold(
        nets in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..20),
        probes in prop::collection::vec(any::<u32>(), 20),
    ) {
        let nets: Vec<IpNet> = nets
            .into_iter()
            .map(|(address, length)| IpNet::new(IpAddr::V4(address.into()), length).unwrap().trunc())
            .collect();
        let ranges = Ranges::compile(&nets);
        let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
        for address in probes.into_iter().map(|probe| IpAddr::V4(probe.into())).chain(edges) {
            let held = nets.iter().any(|net| net.contains(&address));
            prop_assert_eq!(ranges.contain(number(address)), held, "{}", address);
        }
    }
}
