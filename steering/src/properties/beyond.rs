//! Clients whose whole leaf is out: led on as a client at its first site would be, inside their fences.

use super::*;

/// How often one of these worlds had somebody to lead on.
const LED_ON_MIN: usize = 500;

/// Decides with the sites of the client's leaf down and all others up, and compares with the
/// reference. Gives whether there was anywhere to go.
fn is_led_on(world: &mut World, client: Client) -> Result<bool, TestCaseError> {
    let id = ServiceId(0);
    let snapshot = world.snapshot();
    let map = snapshot.map.service(id).expect("compiled");
    let found = find(map, client).expect("the tables cover everything");
    let out = |site: &SiteId| {
        found.leaf.sites.contains(site) || found.leaf.shift.is_some_and(|(to, _)| to == *site)
    };
    let ids: Vec<SiteId> = world.policy.sites().map(|(id, _)| id).collect();
    world.health.sites =
        ids.iter().map(|site| if out(site) { Verdict::Down } else { Verdict::Up }).collect();
    let service = &world.policy.services[0];
    let state = ServiceState::new(id, service, &world.health);
    let queue = Queue::new(found.leaf, found.block, &state);
    let leaf = reference::leaf(world, client.ip);
    let left: Vec<SiteId> = leaf.allowed.iter().copied().filter(|site| !out(site)).collect();
    let decision = decide(map, &state, client);
    let (Some(&first), false) = (queue.sites().first(), left.is_empty()) else { return Ok(false) };
    let near: Vec<SiteId> =
        reference::near(world, first).into_iter().filter(|site| left.contains(site)).collect();
    let count = usize::from(service.answers.sites_max).min(left.len());
    let right = &near[..count.min(near.len())];
    prop_assert_eq!(decision.chosen().get(..right.len()), Some(right));
    prop_assert_eq!(decision.chosen().len(), count);
    prop_assert!(decision.chosen().iter().all(|site| left.contains(site)));
    prop_assert_eq!(decision.reason, Reason::Failover);
    Ok(true)
}

#[test]
fn clients_of_a_leaf_that_is_out_are_led_on_as_if_they_stood_at_its_first_site() {
    let mut led_on = 0;
    for seed in 0..400 {
        let mut world = random_world_of(seed, 6);
        world.health = Default::default();
        world.service().panic_below_percent = 0;
        let dice = &mut Dice(seed);
        for _ in 0..4 {
            let ip = IpAddr::V4(Ipv4Addr::from_bits(
                V4_REGION + u32::try_from(dice.roll(1 << 16)).expect("16 bits"),
            ));
            let client = Client { ip, source_len: Some(32) };
            world.health.sites.clear();
            match is_led_on(&mut world, client) {
                Ok(is_led_on) => led_on += usize::from(is_led_on),
                Err(wrong) => panic!("seed {seed}, {ip}: {wrong}"),
            }
        }
    }
    assert!(led_on > LED_ON_MIN, "{led_on}");
}
