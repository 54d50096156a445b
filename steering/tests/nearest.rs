//! Over the embedded world table: the answer is the nearest site by great circle, every time.

#![expect(clippy::expect_used, reason = "a test's world is whole or the test fails")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use geo_data::LocaleTable;
use model::geo::Point;
use model::name::{ObjectRef, SiteName};
use model::observe::Client;
use model::service::{Answers, Fallback, GlobalService, ServiceId, Steering, Sticky, TierStep};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::{Country, Policy};
use steering::Health;
use steering::compile::{Inputs, compile};
use steering::decide::{ServiceState, decide};
use steering::latency::LatencyMap;

const ADDRESSES: u32 = 60_000;
/// Latitude and longitude in hundredths of a degree.
const PLACES: [(i16, i16); 15] = [
    (2313, 11326),
    (3123, 12147),
    (3990, 11641),
    (3426, 10894),
    (135, 10382),
    (3568, 13969),
    (1908, 7288),
    (5011, 868),
    (5151, -13),
    (4042, -370),
    (3904, -7749),
    (3734, -12189),
    (-2355, -4663),
    (-2620, 2805),
    (-3387, 15121),
];

/// The haversine, in metres.
fn distance_m(a: Point, b: (i16, i16)) -> f64 {
    let radians = |cdeg: i16| (f64::from(cdeg) / 100.0).to_radians();
    let half_lat = (radians(b.0) - radians(a.lat_cdeg)) / 2.0;
    let half_lon = (radians(b.1) - radians(a.lon_cdeg)) / 2.0;
    let h = half_lat.sin().powi(2)
        + radians(a.lat_cdeg).cos() * radians(b.0).cos() * half_lon.sin().powi(2);
    2.0 * 6_371_008.8 * h.sqrt().min(1.0).asin()
}

fn policy() -> Policy {
    let site = |(at, &(lat_cdeg, lon_cdeg)): (usize, &(i16, i16))| Site {
        name: SiteName::new(&format!("site-{at:02}")).expect("a name"),
        tier: Tier::Core,
        country: Country(*b"ZZ"),
        subdivision: None,
        city: None,
        point: Some(Point { lat_cdeg, lon_cdeg }),
        isps: Vec::new(),
        addresses: vec![SiteAddress { ip: IpAddr::from([127, 0, 0, 1]), isp: None }],
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    };
    let service = GlobalService {
        object: ObjectRef::new("test", "nearest"),
        hostnames: Vec::new(),
        protected: false,
        tiers: vec![TierStep { tier: Tier::Core, budget_us: None }],
        pool: (0..15).map(SiteId).collect(),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: BTreeMap::default(),
            carrier_penalty_us: 0,
            border_penalty_us: 0,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerAll,
        rules: Vec::new(),
        records: Vec::new(),
        aliases: BTreeMap::default(),
        endpoints: Vec::new(),
    };
    let sites = PLACES.iter().enumerate().map(site).collect();
    Policy { sites, services: vec![service], ..Policy::default() }
}

#[test]
fn sixty_thousand_addresses_go_to_their_nearest_site() {
    let (policy, locales, latency) = (policy(), LocaleTable::embedded(), LatencyMap::default());
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: 1,
        locales: &locales,
        latency: &latency,
        drained: &[],
        long_out: &[],
        minute_of_week: 0,
    });
    let id = ServiceId(0);
    let map = map.service(id).expect("compiled");
    let state = ServiceState::new(id, policy.service(id), &Health::default());
    let (mut placed, mut wrong) = (0, Vec::new());
    for number in 0..ADDRESSES {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761)));
        let Some(point) = locales.lookup(ip).locale.point else { continue };
        placed += 1;
        let chosen = decide(map, &state, Client { ip, source_len: Some(32) }).sites[0];
        let chosen_m = distance_m(point, PLACES[usize::from(chosen.0)]);
        let nearest_m =
            PLACES.iter().map(|&place| distance_m(point, place)).fold(f64::MAX, f64::min);
        // A bill counts microseconds, and light goes 53 m of the model in one.
        if chosen_m > nearest_m + 54.0 {
            wrong.push((ip, chosen, chosen_m - nearest_m));
        }
    }
    assert!(placed > ADDRESSES / 2, "{placed} addresses have a place");
    assert_eq!(wrong, []);
}
