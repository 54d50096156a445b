use std::sync::Arc;

use model::Policy;
use model::geo::Point;
use model::site::{SiteId, Tier};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use crate::compile::{Before, Inputs, compile, compile_after};
use crate::properties::{
    Dice, random_latency, random_locale, random_prefix, random_service, random_site, random_world,
};
use crate::world::{World, site};

/// Three services: of all sites, of the first, of the second.
fn world() -> World {
    let sites = ["a", "b", "c"].map(|name| site(name, Tier::Core, "DE")).to_vec();
    let mut world = World::new(sites, &[]);
    let whole = world.policy.services[0].clone();
    for pool in [0, 1] {
        let mut service = whole.clone();
        service.pool = vec![SiteId(pool)];
        world.policy.services.push(service);
    }
    world
}

/// By service afterwards: whether its map is one of those before.
fn check(edit: impl FnOnce(&mut Policy, &mut Vec<bool>), wanted: &[bool]) {
    let world = world();
    let before = compile(&world.inputs());
    let (mut policy, mut drained) = (world.policy.clone(), world.health.drained.clone());
    edit(&mut policy, &mut drained);
    let inputs = Inputs { policy: &policy, drained: &drained, ..world.inputs() };
    let after = compile_after(&inputs, &Before { inputs: &world.inputs(), map: &before });
    assert_eq!(after, compile(&inputs));
    let is_kept = |(id, _)| {
        let map = after.service(id).expect("compiled");
        before.maps.iter().any(|known| Arc::ptr_eq(known, map))
    };
    assert_eq!(policy.services().map(is_kept).collect::<Vec<_>>(), wanted);
}

#[test]
fn what_steering_has_no_part_in_keeps_every_map() {
    check(|_, _| {}, &[true; 3]);
    check(|policy, _| policy.services[1].answers.ttl_s = 7, &[true; 3]);
    check(|policy, _| policy.guard.removals_max = Some(3), &[true; 3]);
    check(|policy, _| policy.services.swap(1, 2), &[true; 3]);
}

#[test]
fn a_site_changes_the_maps_of_its_services_alone() {
    let point = Some(Point { lat_cdeg: 100, lon_cdeg: 200 });
    check(|policy, _| policy.sites[1].point = point, &[false, true, false]);
    check(|_, drained| drained[0] = true, &[false, false, true]);
    check(|policy, _| policy.sites[2].drain = true, &[false, true, true]);
}

#[test]
fn a_service_changes_its_own_map_alone() {
    check(|policy, _| policy.services[2].steering.spread_within_us = 5, &[true, true, false]);
    let again = world().policy.services[2].clone();
    check(|policy, _| policy.services.insert(0, again), &[true; 4]);
}

#[test]
fn another_table_measurement_or_resolver_keeps_none() {
    let world = world();
    let before = compile(&world.inputs());
    let kept = |inputs: &Inputs<'_>| {
        let after = compile_after(inputs, &Before { inputs: &world.inputs(), map: &before });
        after.maps.iter().filter(|map| before.maps.iter().any(|was| Arc::ptr_eq(was, map))).count()
    };
    assert_eq!(kept(&world.inputs()), 3);
    let locales = world.locales.clone();
    assert_eq!(kept(&Inputs { locales: &locales, ..world.inputs() }), 0);
    let latency = random_latency(&mut Dice(3), &[SiteId(0)]);
    assert!(!latency.residuals.is_empty());
    assert_eq!(kept(&Inputs { latency: &latency, ..world.inputs() }), 0);
    let mut policy = world.policy.clone();
    let resolver = (random_prefix(&mut Dice(1), 24), random_locale(&mut Dice(1)));
    policy.locale_overrides.resolvers.push(resolver);
    assert_eq!(kept(&Inputs { policy: &policy, ..world.inputs() }), 0);
}

/// A random world of a few services.
fn random_worlds(seed: u64) -> World {
    let mut world = random_world(seed);
    let dice = &mut Dice(!seed);
    let ids: Vec<SiteId> = (0..).take(world.policy.sites.len()).map(SiteId).collect();
    for _ in 0..dice.roll(4) {
        let first = world.policy.services[0].clone();
        world.policy.services.push(first);
        random_service(&mut world, dice, &ids);
    }
    world
}

/// One random edit; the table stays.
fn edit(world: &mut World, dice: &mut Dice) {
    let ids: Vec<SiteId> = (0..).take(world.policy.sites.len()).map(SiteId).collect();
    let at = usize::from(dice.of(&ids).0);
    match dice.roll(9) {
        0 => world.health.drained[at] ^= true,
        1 => world.long_out[at] ^= true,
        2 => world.minute_of_week = u16::try_from(dice.roll(10_080)).expect("a week"),
        3 => random_service(world, dice, &ids),
        4 => world.policy.sites[at] = random_site(dice, at),
        5 => world.latency = random_latency(dice, &ids),
        6 => world.policy.locale_overrides.resolvers.clear(),
        7 => world.policy.services.rotate_left(1),
        _ => world.policy.services[0].pool.clear(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// A map made by difference is the map made anew.
    #[test]
    fn by_difference_is_as_anew(seed in any::<u64>()) {
        let world = random_worlds(seed);
        let before = compile(&world.inputs());
        let mut next = world.clone();
        edit(&mut next, &mut Dice(seed.rotate_left(17)));
        let inputs = Inputs { locales: &world.locales, ..next.inputs() };
        let after = compile_after(&inputs, &Before { inputs: &world.inputs(), map: &before });
        prop_assert_eq!(after, compile(&inputs));
    }
}
