use super::*;

fn site(addresses: &[(&str, Option<&str>)]) -> Site {
    let address = |&(ip, isp): &(&str, Option<&str>)| SiteAddress {
        ip: ip.parse().unwrap(),
        isp: isp.map(|isp| Isp::parse(isp).unwrap()),
    };
    Site {
        name: SiteName::new("one").unwrap(),
        tier: Tier::Core,
        country: Country::parse("CN").unwrap(),
        subdivision: None,
        city: None,
        point: None,
        isps: Vec::new(),
        addresses: addresses.iter().map(address).collect(),
        alias: None,
        binding: Binding::default(),
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        health: None,
    }
}

/// Everybody's addresses, then each uplink's.
#[track_caller]
fn check(addresses: &[(&str, Option<&str>)], wanted: &[&str]) {
    let site = site(addresses);
    let shown = |isp: Option<Isp>| {
        let name = isp.map_or_else(|| "all".to_owned(), |isp| isp.to_string());
        let addresses: Vec<String> = site.addresses_for(isp).map(|ip| ip.to_string()).collect();
        format!("{name}: {}", addresses.join(" "))
    };
    let uplinks = site.uplinks().into_iter().map(Some);
    let found: Vec<String> = std::iter::once(None).chain(uplinks).map(shown).collect();
    assert_eq!(found, wanted);
}

#[test]
fn a_carrier_is_an_uplink_where_it_is_answered_otherwise_than_everybody() {
    check(&[], &["all: "]);
    check(&[("192.0.2.1", None), ("2001:db8::1", None)], &["all: 192.0.2.1 2001:db8::1"]);
    check(
        &[("192.0.2.1", Some("cn-ct")), ("192.0.2.2", Some("cn-ct"))],
        &["all: 192.0.2.1 192.0.2.2"],
    );
    check(
        &[
            ("2001:db8::1", None),
            ("192.0.2.1", None),
            ("192.0.2.2", Some("cn-cu")),
            ("192.0.2.3", Some("cn-ct")),
            ("192.0.2.4", Some("cn-cu")),
        ],
        &[
            "all: 192.0.2.1 2001:db8::1",
            "cn-cu: 192.0.2.2 192.0.2.4 2001:db8::1",
            "cn-ct: 192.0.2.3 2001:db8::1",
        ],
    );
}

#[test]
fn each_family_goes_by_itself() {
    check(
        &[
            ("192.0.2.1", Some("cn-ct")),
            ("192.0.2.2", Some("cn-cu")),
            ("2001:db8::1", Some("cn-ct")),
        ],
        &[
            "all: 192.0.2.1 192.0.2.2 2001:db8::1",
            "cn-ct: 192.0.2.1 2001:db8::1",
            "cn-cu: 192.0.2.2 2001:db8::1",
        ],
    );
}
