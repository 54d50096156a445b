//! Compilations of small worlds: what is shared, cut and folded.

use std::sync::Arc;

use model::name::ObjectRef;
use model::policy::{Effect, Match, Rule, RuleLevel};
use model::service::ServiceId;
use model::site::{SiteId, Tier};

use super::compile;
use crate::world::{World, ecs, locale, net, resolver, site};

fn world() -> World {
    let sites = vec![
        site("fra", Tier::Core, "DE - 50.11 8.68"),
        site("gz", Tier::Core, "CN-GD cn-ct 23.13 113.26"),
    ];
    World::new(sites, &[("14.0.0.0/16", locale("CN-GD cn-ct 22.54 114.06"))])
}

fn pin(cidr: &str, site: SiteId) -> Rule {
    let matches = Match { cidrs: vec![net(cidr)], ..Match::default() };
    let effect = Effect::Pin(vec![site]);
    Rule { origin: "ns/policy/pin".into(), level: RuleLevel::default(), matches, effect }
}

#[test]
fn services_that_steer_alike_share_one_map() {
    let mut world = world();
    let mut twin = world.policy.services[0].clone();
    twin.object = ObjectRef::new("other", "twin");
    twin.answers.ttl_s = 60;
    let mut stranger = twin.clone();
    stranger.steering.border_penalty_us = 0;
    world.policy.services.extend([twin, stranger]);
    let map = compile(&world.inputs());
    assert_eq!((map.of_service.as_slice(), map.maps.len()), (&[0, 0, 1][..], 2));
    let of = |id| map.service(ServiceId(id)).expect("compiled");
    assert!(Arc::ptr_eq(of(0), of(1)));
    assert!(map.service(ServiceId(3)).is_none());
}

#[test]
fn a_cidr_cuts_a_locale() {
    let mut world = world();
    world.service().rules = vec![pin("14.0.64.0/20", SiteId(0))];
    assert_eq!(world.answer(ecs("14.0.63.0/24")), "best/18 gz");
    assert_eq!(world.answer(ecs("14.0.64.0/24")), "best/20 fra");
    assert_eq!(world.answer(ecs("14.0.79.0/24")), "best/20 fra");
    assert_eq!(world.answer(ecs("14.0.80.0/24")), "best/20 gz");
}

#[test]
fn a_cidr_finer_than_a_24_counts_when_it_is_most_of_it() {
    let mut world = world();
    world.service().rules = vec![pin("14.0.64.0/26", SiteId(0))];
    assert_eq!(world.answer(ecs("14.0.64.0/26")), "best/16 gz");
    let more =
        Match { cidrs: vec![net("14.0.64.0/25"), net("14.0.64.128/26")], ..Match::default() };
    world.service().rules[0].matches = more;
    assert_eq!(world.answer(ecs("14.0.64.0/24")), "best/24 fra");
    assert_eq!(world.answer(ecs("14.0.64.255/32")), "best/24 fra");
}

#[test]
fn a_resolver_is_where_the_operator_says_and_only_without_a_subnet() {
    let mut world = world();
    world.policy.locale_overrides.resolvers =
        vec![(net("198.51.100.53/32"), locale("CN-GD cn-ct 23.13 113.26"))];
    world
        .policy
        .locale_overrides
        .resolvers
        .push((net("2001:db8::/32"), locale("CN - 23.13 113.26")));
    assert_eq!(world.answer(resolver("198.51.100.53")), "best/32 gz".replace("32", "24"));
    assert_eq!(world.answer(resolver("198.51.100.54")), "best/1 fra");
    assert_eq!(world.answer(ecs("198.51.100.53/32")), "best/1 fra");
    assert_eq!(world.answer(resolver("2001:db8:7::53")), "best/32 gz");
    assert_eq!(world.answer(ecs("2001:db8:7::/56")), "best/0 fra");
}
