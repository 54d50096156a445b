use model::gateway::Meta;

use super::*;

fn gateway(name: &str, addresses: &[(&str, Option<&str>)]) -> Gateway {
    let address = |(kind, value): &(&str, Option<&str>)| ((*kind).into(), value.map(Into::into));
    Gateway {
        meta: Meta { object: ObjectRef::new("ns", name), ..Meta::default() },
        addresses: addresses.iter().map(address).collect(),
        ..Gateway::default()
    }
}

fn pool(net: &str) -> Ground {
    Ground { addressing: Addressing::Pool(vec![net.parse().unwrap()]), ..Ground::default() }
}

#[track_caller]
fn check(ground: &Ground, gateways: &[Gateway], before: &[(&str, &str)]) -> Vec<String> {
    let all: Vec<&Gateway> = gateways.iter().collect();
    let before = before
        .iter()
        .map(|(name, ip)| (ObjectRef::new("ns", name), vec![ip.parse().unwrap()]))
        .collect();
    assign(ground, &all, &before)
        .into_iter()
        .map(|given| {
            let ips: Vec<String> = given.addresses.iter().map(ToString::to_string).collect();
            let faults = given.refused.iter().chain(&given.missing).map(|fault| fault.0);
            [ips, faults.map(str::to_owned).collect()].concat().join(" ")
        })
        .collect()
}

#[test]
fn each_gateway_of_a_pool_has_an_address_that_stays() {
    let ground = pool("127.0.2.0/30");
    let two = [gateway("a", &[]), gateway("b", &[])];
    let first = check(&ground, &two, &[]);
    assert_eq!(first.len(), 2);
    assert!(first[0] != first[1] && first.iter().all(|ip| ip.starts_with("127.0.2.")));
    assert_eq!(check(&ground, &two, &[]), first);
    // Who had one keeps it, whoever comes before it.
    let swapped = [("b", first[0].as_str())];
    assert_eq!(check(&ground, &two, &swapped), [first[1].as_str(), first[0].as_str()]);
}

#[test]
fn a_pool_that_is_used_up_gives_none() {
    let three = [gateway("a", &[]), gateway("b", &[]), gateway("c", &[])];
    assert_eq!(check(&pool("127.0.2.0/30"), &three, &[])[2], "AddressNotAssigned");
}

#[test]
fn an_address_is_asked_for_by_value_or_left_open() {
    let asking =
        |addresses| check(&pool("127.0.2.0/24"), &[gateway("a", addresses)], &[]).remove(0);
    assert_eq!(asking(&[("IPAddress", Some("127.0.2.9"))]), "127.0.2.9");
    assert_eq!(asking(&[("IPAddress", Some("192.0.2.1"))]), "AddressNotUsable");
    assert_eq!(
        asking(&[("IPAddress", Some("127.0.2.9")), ("IPAddress", Some("192.0.2.1"))]),
        "127.0.2.9 AddressNotUsable"
    );
    assert!(asking(&[("IPAddress", None)]).starts_with("127.0.2."));
    assert!(asking(&[("test/fake", Some("x"))]).ends_with("UnsupportedAddress"));
}

#[test]
fn shared_addresses_are_the_operators() {
    let http = vec!["127.0.0.1:8080".parse().unwrap(), "127.0.0.2:8080".parse().unwrap()];
    let ground = Ground { http, ..Ground::default() };
    assert_eq!(check(&ground, &[gateway("a", &[])], &[]), ["127.0.0.1 127.0.0.2"]);
    let asking = gateway("a", &[("IPAddress", Some("127.0.0.2"))]);
    assert_eq!(check(&ground, &[asking], &[]), ["127.0.0.2"]);
}
