//! Claims, and that a place is answered as an address of the same locale.

use std::collections::BTreeMap;
use std::net::IpAddr;

use model::geo::Locale;
use model::observe::Client;
use model::policy::{Effect, Fence};
use model::service::{Class, Rung, ServiceId};
use model::site::Tier;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::{Claim, ClaimError, Locator, Whereabouts};
use crate::decide::{Decision, Reason, ServiceState, decide, find};
use crate::explain::{FoundBy, explain_at};
use crate::properties::random_world;
use crate::world::{World, isp, locale, point, site};

const ID: ServiceId = ServiceId(0);
const CALLER: &str = "192.0.2.77";

fn read(text: &str) -> Result<Option<Claim>, ClaimError> {
    let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    let mut parts: BTreeMap<&str, &str> = pairs.collect();
    Claim::read(|key| parts.remove(key).map(str::to_owned))
}

/// Guangzhou's access room and aggregation room, Beijing's core, Frankfurt's core.
fn world() -> World {
    let sites = vec![
        site("access", Tier::Access, "CN-GD cn-ct 23.13 113.26"),
        site("aggregation", Tier::Aggregation, "CN-GD - 23.10 113.20"),
        site("beijing", Tier::Core, "CN-BJ - 39.90 116.41"),
        site("frankfurt", Tier::Core, "DE - 50.11 8.68"),
    ];
    let mut world = World::new(sites, &[]);
    world.policy.locale_overrides.cells =
        vec![("460-00-1".into(), locale("CN-GD cn-ct 23.05 113.39"))];
    world
}

fn decided(world: &World, at: &Whereabouts) -> Decision {
    let snapshot = world.snapshot();
    let state = ServiceState::new(ID, &world.policy.services[0], &world.health);
    let caller: IpAddr = CALLER.parse().expect("an address");
    let decision = Locator::new(&snapshot).decide(ID, &state, at, caller).expect("a service");
    let told = explain_at(&world.inputs(), &snapshot, ID, (at, caller)).expect("a service");
    let names: Vec<String> =
        decision.chosen().iter().map(|&id| world.policy.site(id).name.to_string()).collect();
    assert_eq!((&told.sites, told.reason), (&names, decision.reason));
    assert_eq!((told.client.found_by, told.client.class), (FoundBy::Place, at.class));
    assert_eq!(told.scope, format!("{CALLER}/32"));
    decision
}

/// The answer to a claim as text: reason and sites.
fn check(world: &World, text: &str, expected: &str) {
    let claim = read(text).expect("in order").expect("a place");
    let snapshot = world.snapshot();
    let at = Whereabouts::find(&snapshot.map.atlas, &claim).expect("known");
    let decision = decided(world, &at);
    let names = decision.chosen().iter().map(|&id| world.policy.site(id).name.as_str());
    let names: Vec<&str> = names.collect();
    assert_eq!(format!("{} {}", decision.reason.as_str(), names.join(" ")), expected, "{text}");
}

#[test]
fn the_nearest_to_a_place_and_the_tier_of_a_class() {
    let mut world = world();
    world.service().tiers = Class::Interactive.tiers();
    check(&world, "lat=23.05 lon=113.39", "best aggregation");
    check(&world, "lat=23.05 lon=113.39 class=realtime", "best access");
    check(&world, "cell=460-00-1 class=realtime", "best access");
    check(&world, "cell=460-00-1 class=bulk", "best beijing");
    check(&world, "lat=52.52 lon=13.40 class=bulk", "best frankfurt");
    // Another carrier's room costs 20 ms, which is over the budget of 15.
    check(&world, "cell=460-00-1 class=realtime isp=cu", "best aggregation");
}

#[test]
fn orders_and_health_hold_for_places_too() {
    let mut world = world();
    world.service().fence = Some(Fence::Match(Rung {
        country: true,
        subdivision: false,
        isp: false,
        continent: false,
    }));
    // Nobody knows which country a pair of coordinates is in.
    check(&world, "lat=23.05 lon=113.39", "fenced ");
    check(&world, "lat=23.05 lon=113.39 country=CN", "best beijing");
    check(&world, "lat=23.05 lon=113.39 subdivision=de-be", "best frankfurt");
    world.health.drained[2] = true;
    check(&world, "lat=23.05 lon=113.39 country=CN", "best aggregation");
    world.health.sites = vec![model::observe::Verdict::Down; 4];
    check(&world, "lat=23.05 lon=113.39 country=CN", "allOut aggregation");
}

#[test]
fn a_claim_says_what_is_wrong_with_it() {
    let check = |text: &str, expected: &str| {
        let told = read(text).map_err(|error| error.to_string());
        assert_eq!(told.expect_err(text), expected);
    };
    let lat = "`lat` is not a latitude in degrees, from -90 to 90";
    for text in ["lat=91 lon=0", "lat=nan lon=0", "lat=inf lon=0", "lat=x lon=0", "lat= lon=0"] {
        check(text, lat);
    }
    check("lat=0 lon=180.001", "`lon` is not a longitude in degrees, from -180 to 180");
    check("lat=1", "`lon` is missing beside `lat`");
    check("lon=1", "`lat` is missing beside `lon`");
    check("cell=1 area=a", "`cell` and `area` exclude each other");
    check("area=/", "`area` is not an area of up to 24 letters, digits, `-`, `_` and `.`");
    check(&format!("cell={}", "7".repeat(65)), "`cell` is not a cell id of 1 to 64 octets");
    check("country=ZZ", "`country` is not an ISO 3166-1 code, as in `CN`");
    check("subdivision=CN", "`subdivision` is not an ISO 3166-2 code, as in `CN-GD`");
    check("isp=!", "`isp` is not a carrier: `ct`, `cu`, `cm`, `edu` or `AS4134`");
    check("lat=1 lon=1 class=fast", "`class` is not `realtime`, `interactive` or `bulk`");
    check(
        "class=bulk",
        "`class` needs a place; help: give `lat` and `lon`, `cell`, `area`, `subdivision` or `country`",
    );
    assert_eq!(read(""), Ok(None));
    let atlas = &world().snapshot().map.atlas;
    let unknown = |text: &str| {
        let claim = read(text).expect("in order").expect("a place");
        Whereabouts::find(atlas, &claim).expect_err("unknown").to_string()
    };
    assert_eq!(unknown("cell=7"), "no LocaleMap has the cell `7`");
    assert_eq!(unknown("area=a"), "no LocaleMap has the area `a`");
}

#[test]
fn what_a_claim_says_goes_before_what_its_cell_says() {
    let claim = read("cell=460-00-1 lat=-23.555 lon=-46.63 country=BR isp=AS7018");
    let claim = claim.expect("in order").expect("a place");
    let at = Whereabouts::find(&world().snapshot().map.atlas, &claim).expect("known");
    let expected = Locale {
        subdivision: None,
        isp: model::isp::parse_isp("AS7018"),
        ..locale("BR - -23.56 -46.63")
    };
    assert_eq!(at.locale, expected);
    assert_ne!(at.locale.isp, Some(isp("cn-ct")));
    assert_eq!(at.locale.point, Some(point("-23.56", "-46.63")));
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Rules about addresses and measured prefixes know nothing of a place.
    #[test]
    fn a_place_is_answered_as_an_address_of_its_locale(seed in any::<u64>()) {
        let mut world = random_world(seed);
        for rule in &mut world.service().rules {
            rule.matches.cidrs.clear();
        }
        world.long_out.clear();
        let prefixed = |level: &crate::latency::Level| {
            matches!(level, crate::latency::Level::Prefix(_))
        };
        world.latency.residuals.retain(|(level, ..)| !prefixed(level));
        let snapshot = world.snapshot();
        let map = snapshot.map.service(ID).expect("compiled");
        let state = ServiceState::new(ID, &world.policy.services[0], &world.health);
        let locator = Locator::new(&snapshot);
        for block in 0..256_u32 {
            let ip = IpAddr::from((0x0a14_0000 | block << 8).to_be_bytes());
            let locale = world.locales.lookup(ip).locale.clone();
            let client = Client { ip, source_len: Some(32) };
            let found = find(map, client).expect("covered");
            let is_whole = world.locales.lookup(ip).prefix_len <= 24;
            if found.leaf.is_split() || !is_whole {
                continue;
            }
            let by_address = decide(map, &state, client);
            let at = Whereabouts { locale, class: None };
            let by_place = locator.decide(ID, &state, &at, ip).expect("a service");
            prop_assert_eq!(by_place.reason, by_address.reason);
            // Which of the rest of the pool fails over is spread by address.
            if by_address.reason != Reason::Failover && by_address.reason != Reason::Panic {
                prop_assert_eq!(by_place.chosen(), by_address.chosen());
            }
        }
    }
}

#[test]
fn a_shift_goes_by_the_callers_block() {
    let mut world = world();
    let shift = Effect::Shift { to: model::site::SiteId(3), share_bp: 5_000 };
    world.service().rules = vec![model::policy::Rule {
        origin: "ns/policy/half".into(),
        level: model::policy::RuleLevel::default(),
        matches: model::policy::Match::default(),
        effect: shift,
    }];
    let snapshot = world.snapshot();
    let state = ServiceState::new(ID, &world.policy.services[0], &world.health);
    let locator = Locator::new(&snapshot);
    let at = Whereabouts { locale: locale("CN-GD cn-ct 23.05 113.39"), class: None };
    let shifted = (0..1_000_u32).filter(|&block| {
        let ip = IpAddr::from((0x0b00_0000 | block << 8 | 9).to_be_bytes());
        let decision = locator.decide(ID, &state, &at, ip).expect("a service");
        let next = IpAddr::from((0x0b00_0000 | block << 8 | 10).to_be_bytes());
        assert_eq!(locator.decide(ID, &state, &at, next), Some(decision));
        decision.reason == Reason::Shift
    });
    let shifted = shifted.count();
    assert!((440..560).contains(&shifted), "{shifted} of 1,000 blocks");
}
