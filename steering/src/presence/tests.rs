//! Sites with several addresses: who is told apart, with which scope, and what explanations say.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use model::name::DnsName;
use model::observe::Verdict;
use model::service::{ServiceId, SiteEndpoints};
use model::site::{Alias, SiteAddress, SiteId, Tier};

use super::*;
use crate::compile::compile;
use crate::explain::{NameShown, explain};
use crate::world::{World, ecs, isp, locale, site};

const GZ: SiteId = SiteId(1);

/// Frankfurt, and Guangzhou on three carriers; clients of two of them, of a third, of a fourth nobody knows, of
/// nowhere.
fn world(addresses: &[(&str, Option<&str>)]) -> World {
    let mut gz = site("gz", Tier::Core, "CN-GD - 23.13 113.26");
    gz.addresses = addresses
        .iter()
        .map(|&(ip, carrier)| SiteAddress {
            ip: ip.parse().expect("an address"),
            isp: carrier.map(isp),
        })
        .collect();
    let prefixes = [
        ("14.0.0.0/16", locale("CN-GD cn-ct 22.54 114.06")),
        ("14.1.0.0/16", locale("CN-GD cn-cu 22.54 114.06")),
        ("14.2.0.0/16", locale("CN-GD cn-cm 22.54 114.06")),
        ("14.3.0.0/16", locale("CN-GD - 22.54 114.06")),
    ];
    World::new(vec![site("fra", Tier::Core, "DE - 50.11 8.68"), gz], &prefixes)
}

/// Scope and addresses of an answer.
#[track_caller]
fn check(world: &World, client: &str, wanted: &str) {
    let decision = world.decide(ecs(client));
    let (id, uplink) = decision.chosen_with_uplinks().next().expect("a site");
    let answered = match presence(&world.policy, &world.policy.services[0], (id, uplink)) {
        Presence::Addresses(all) => all,
        Presence::Endpoints(all) => window(all, 2, &decision).iter().copied().collect(),
        Presence::Alias(_) => Vec::new(),
    };
    let answered: Vec<String> = answered.iter().map(ToString::to_string).collect();
    assert_eq!(format!("/{} {}", decision.scope_len, answered.join(" ")), wanted, "{client}");
    let told = explain(&world.inputs(), &world.snapshot(), ServiceId(0), ecs(client));
    let told: Vec<IpAddr> = told.expect("a service").addresses.concat();
    let told: Vec<String> = told.iter().map(ToString::to_string).collect();
    assert_eq!(told, answered, "{client}, explained");
}

#[test]
fn a_carrier_has_its_own_address_and_the_others_the_neutral_ones() {
    let world = world(&[
        ("192.0.2.1", None),
        ("192.0.2.2", Some("cn-ct")),
        ("192.0.2.3", None),
        ("2001:db8::1", None),
    ]);
    check(&world, "14.0.9.0/24", "/16 192.0.2.2 2001:db8::1");
    for others in ["14.1.9.0/24", "14.3.9.0/24"] {
        check(&world, others, &format!("/{} 192.0.2.1 192.0.2.3 2001:db8::1", scope(others)));
    }
    // Unicom's, Mobile's and the unknown's answers are one: two runs lie in 14.0.0.0/14.
    let map = compile(&world.inputs());
    let leaves: std::collections::BTreeSet<u32> =
        map.maps[0].v4.iter().map(|run| run.leaf.0).collect();
    assert_eq!(leaves.len(), 3, "Telecom of Guangdong, the rest of it, everybody else");
}

/// Telecom has the lowest quarter of 14.0.0.0/14.
fn scope(client: &str) -> u8 {
    if client.starts_with("14.1.") { 16 } else { 15 }
}

#[test]
fn without_a_neutral_address_strangers_get_all() {
    let world = world(&[
        ("192.0.2.1", Some("cn-ct")),
        ("192.0.2.2", Some("cn-cu")),
        ("2001:db8::1", Some("cn-ct")),
    ]);
    check(&world, "14.0.9.0/24", "/16 192.0.2.1 2001:db8::1");
    // Nothing of IPv6 is Unicom's own, and nothing is neutral.
    check(&world, "14.1.9.0/24", "/16 192.0.2.2 2001:db8::1");
    check(&world, "14.2.9.0/24", "/15 192.0.2.1 192.0.2.2 2001:db8::1");
}

#[test]
fn an_address_that_everybody_gets_tells_nobody_apart() {
    let plain = world(&[("192.0.2.1", None)]);
    let named = world(&[("192.0.2.1", Some("cn-ct"))]);
    assert_eq!(compile(&plain.inputs()), compile(&named.inputs()));
    check(&named, "14.0.9.0/24", "/14 192.0.2.1");
}

#[test]
fn a_site_beyond_the_leaf_is_answered_as_to_everybody() {
    let mut world = world(&[("192.0.2.1", None), ("192.0.2.2", Some("cn-ct"))]);
    for nth in 0..4 {
        let mut near = site(&format!("a{nth}"), Tier::Core, "CN-GD - 22.54 114.06");
        near.addresses[0].ip = Ipv4Addr::new(192, 0, 2, 10 + nth).into();
        world.policy.sites.insert(usize::from(nth) + 1, near);
    }
    world.health.drained = vec![false; 6];
    world.service().pool = (0..6).map(SiteId).collect();
    // Nobody in the leaf of these clients has an uplink of its own, so they are one.
    check(&world, "14.0.9.0/24", "/14 192.0.2.10");
    world.health.sites = vec![Verdict::Down; 6];
    world.health.sites[5] = Verdict::Up;
    check(&world, "14.0.9.0/24", "/14 192.0.2.1");
}

#[test]
fn endpoints_take_turns_by_block_and_the_scope_says_so() {
    let mut world = world(&[("192.0.2.1", None)]);
    let endpoints = |count: u8| SiteEndpoints {
        site: GZ,
        is_ready: true,
        addresses: (1..=count).map(|nth| Ipv4Addr::new(10, 0, 0, nth).into()).collect(),
    };
    world.service().answers.per_site_max = 2;
    world.service().endpoints = vec![endpoints(2)];
    check(&world, "14.0.9.0/24", "/14 10.0.0.1 10.0.0.2");
    world.service().endpoints = vec![endpoints(10)];
    let mut met = BTreeMap::new();
    for third in 0..=255_u8 {
        let decision = world.decide(ecs(&format!("14.0.{third}.0/24")));
        assert_eq!(decision.scope_len, 24);
        let all = &world.policy.services[0].endpoints[0].addresses;
        let answered: Vec<IpAddr> = window(all, 2, &decision).iter().copied().collect();
        assert_eq!(answered.len(), 2);
        for ip in answered {
            *met.entry(ip).or_insert(0) += 1;
        }
        // Whoever sends more bits is of the same block.
        assert_eq!(world.decide(ecs(&format!("14.0.{third}.77/32"))), decision);
    }
    assert_eq!(met.len(), 10, "every endpoint has its turn");
    assert!(met.values().all(|&turns| (20..=90).contains(&turns)), "{met:?}");
}

#[test]
fn names_stand_for_sites_and_the_first_decides() {
    let mut world = world(&[("192.0.2.1", None), ("192.0.2.2", Some("cn-ct"))]);
    world.service().answers.sites_max = 2;
    let name = DnsName::parse("pop.cdn.example").expect("a name");
    let told = |world: &World| {
        let told = explain(&world.inputs(), &world.snapshot(), ServiceId(0), ecs("14.0.9.0/24"));
        let told = told.expect("a service");
        (told.addresses, told.names)
    };
    let other: Vec<IpAddr> = vec![[127, 0, 0, 1].into()];
    let own: Vec<IpAddr> = vec![[192, 0, 2, 2].into()];
    let text = || "pop.cdn.example.".to_owned();
    world.service().aliases.insert(GZ, Alias::Cname(name.clone()));
    assert_eq!(told(&world), (vec![vec![], vec![]], vec![Some(NameShown::Cname(text())), None]));
    world.service().aliases.insert(GZ, Alias::Resolved(name.clone()));
    assert_eq!(told(&world), (vec![vec![], other], vec![Some(NameShown::Alias(text())), None]));
    // A site that is answered by a name has no uplinks: nobody is told apart by them.
    assert_eq!(world.decide(ecs("14.0.9.0/24")).scope_len, 14);
    world.service().aliases.clear();
    world.policy.sites[0].alias = Some(Alias::Cname(name));
    assert_eq!(told(&world), (vec![own, vec![]], vec![None, Some(NameShown::LeftOut(text()))]));
}
