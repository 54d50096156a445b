//! Random worlds: sites, places, rules, measurement and health drawn from one seed.

use super::*;

/// A small generator: the property's seed is the whole state, so a failing one is repeated by it.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        crate::share::mix(self.0) % below.max(1)
    }

    pub(crate) fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        let at = usize::try_from(self.roll(choices.len() as u64)).expect("small");
        choices[at].clone()
    }

    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    fn maybe<T: Clone>(&mut self, percent: u64, choices: &[T]) -> Option<T> {
        self.chance(percent).then(|| self.of(choices))
    }

    fn some_of<T: Clone>(&mut self, percent: u64, choices: &[T]) -> Vec<T> {
        choices.iter().filter(|_| self.chance(percent)).cloned().collect()
    }
}

fn countries() -> [Country; 3] {
    ["CN", "DE", "US"].map(|text| Country::parse(text).expect("a country"))
}

fn subdivisions() -> [Subdivision; 4] {
    ["CN-GD", "CN-SH", "DE-BE", "US-CA"].map(|text| Subdivision::parse(text).expect("one"))
}

fn isps() -> [Isp; 3] {
    ["cn-ct", "cn-cu", "as3320"].map(isp)
}

fn points() -> [Point; 5] {
    let point = |lat_cdeg, lon_cdeg| Point { lat_cdeg, lon_cdeg };
    [
        point(2313, 11326),
        point(3123, 12147),
        point(5252, 1340),
        point(3405, -11824),
        point(2254, 11405),
    ]
}

fn area() -> Area {
    Area::parse("campus").expect("an area")
}

pub(crate) fn random_locale(dice: &mut Dice) -> Locale {
    Locale {
        country: dice.maybe(85, &countries()),
        subdivision: dice.maybe(70, &subdivisions()),
        city: None,
        point: dice.maybe(85, &points()),
        asn: dice.maybe(70, &[4134, 4837]),
        isp: dice.maybe(70, &isps()),
        area: dice.maybe(20, &[area()]),
    }
}

pub(crate) fn random_site(dice: &mut Dice, number: usize) -> Site {
    let tier = dice.of(&[Tier::Access, Tier::Aggregation, Tier::Core]);
    Site {
        country: dice.of(&countries()),
        subdivision: dice.maybe(80, &subdivisions()),
        point: dice.maybe(90, &points()),
        isps: dice.some_of(35, &isps()),
        drain: dice.chance(5),
        addresses: random_addresses(dice, number),
        alias: dice.chance(4).then(|| Alias::Cname(DnsName::root())),
        ..site(&format!("site-{number}"), tier, "CN")
    }
}

/// One address; or several, of which some are a carrier's.
fn random_addresses(dice: &mut Dice, number: usize) -> Vec<SiteAddress> {
    let third = u8::try_from(number).expect("few sites");
    let count = if dice.chance(30) { dice.roll(4) + 1 } else { 1 };
    let address = |nth: u64| {
        let nth = u8::try_from(nth).expect("small");
        let ip = if dice.chance(70) {
            IpAddr::from([192, 0, third, nth])
        } else {
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, third.into(), nth.into()])
        };
        SiteAddress { ip, isp: if count > 1 { dice.maybe(60, &isps()) } else { None } }
    };
    (0..count).map(address).collect()
}

fn random_endpoints(dice: &mut Dice, ids: &[SiteId]) -> Vec<SiteEndpoints> {
    let direct = if dice.chance(30) { dice.some_of(30, ids) } else { Vec::new() };
    let of_site = |site: SiteId| {
        let third = site.0.to_be_bytes()[1];
        let ip = |nth: u64| IpAddr::from([10, 0, third, u8::try_from(nth).expect("small")]);
        SiteEndpoints { site, is_ready: true, addresses: (0..dice.roll(5)).map(ip).collect() }
    };
    direct.into_iter().map(of_site).collect()
}

/// All that is told apart lies in one /16 and one /48; the rest of the space is unknown.
pub(super) const V4_REGION: u32 = 0x0a14_0000;
pub(super) const V6_REGION: u64 = 0x2001_0db8_0007_0000;

/// Prefixes of 32 addresses or more, so that every 32nd address tells the whole story.
pub(crate) fn random_prefix(dice: &mut Dice, finest: u8) -> IpNet {
    let len = 16 + u8::try_from(dice.roll(u64::from(finest) - 15)).expect("small");
    let host = u32::try_from(dice.roll(1 << 16)).expect("16 bits");
    if dice.chance(50) {
        let net = Ipv4Net::new(Ipv4Addr::from_bits(V4_REGION | host), len).expect("a length");
        IpNet::V4(net.trunc())
    } else {
        let top = V6_REGION | u64::from(host);
        let ip = Ipv6Addr::from_bits(u128::from(top) << 64);
        IpNet::V6(Ipv6Net::new(ip, len + 32).expect("a length").trunc())
    }
}

fn random_rung(dice: &mut Dice) -> Rung {
    Rung {
        country: dice.chance(40),
        subdivision: dice.chance(25),
        isp: dice.chance(30),
        continent: dice.chance(20),
    }
}

fn random_match(dice: &mut Dice) -> Match {
    let mut matches = Match::default();
    match dice.roll(8) {
        0 => matches.continents = dice.some_of(40, &[Continent::AS, Continent::EU, Continent::NA]),
        1 => matches.countries = dice.some_of(40, &countries()),
        2 => matches.subdivisions = dice.some_of(40, &subdivisions()),
        3 => matches.isps = dice.some_of(40, &isps()),
        4 => matches.asns = vec![4134],
        5 => matches.areas = vec![area()],
        6 => matches.cidrs = (0..3).map(|_| random_prefix(dice, 27)).collect(),
        _ => {}
    }
    if dice.chance(30) {
        matches.window = Some(Window {
            days: u8::try_from(dice.roll(128)).expect("7 bits"),
            start_min: u16::try_from(dice.roll(1440)).expect("a day"),
            length_min: u16::try_from(dice.roll(1440)).expect("a day") + 1,
        });
    }
    matches
}

fn random_rule(dice: &mut Dice, number: usize, ids: &[SiteId]) -> Rule {
    let effect = match dice.roll(7) {
        0 => Effect::Fence(Fence::Match(random_rung(dice))),
        1 => Effect::Fence(Fence::Sites(dice.some_of(60, ids))),
        2 => Effect::Pin(dice.some_of(40, ids)),
        3 => Effect::Weights(ids.iter().map(|&id| (id, dice.of(&[0, 1, 50, 100]))).collect()),
        _ => Effect::Shift { to: dice.of(ids), share_bp: dice.of(&[0, 500, 5_000, 10_000]) },
    };
    let (level, matches) = (RuleLevel::default(), random_match(dice));
    Rule { origin: format!("ns/policy/{number}").into(), level, matches, effect }
}

pub(crate) fn random_latency(dice: &mut Dice, ids: &[SiteId]) -> LatencyMap {
    let mut residuals = BTreeMap::new();
    for _ in 0..dice.roll(12) {
        let level = match dice.roll(7) {
            0 => Level::World,
            1 => Level::Continent(dice.of(&[Continent::AS, Continent::EU])),
            2 => Level::Country(dice.of(&countries())),
            3 => Level::IspCountry(dice.of(&isps()), dice.of(&countries())),
            4 => Level::IspSubdivision(dice.of(&isps()), dice.of(&subdivisions())),
            5 => Level::AsnSubdivision(dice.of(&[4134, 4837]), dice.of(&subdivisions())),
            _ => Level::Prefix(random_prefix(dice, 24)),
        };
        let residual_us = i32::try_from(dice.roll(120_000)).expect("small") - 60_000;
        let site = if dice.chance(25) { EVERY_OTHER_SITE } else { dice.of(ids) };
        let residual = Residual {
            carrier_permille: dice.of(&[1000, 500, 0]),
            border_permille: dice.of(&[1000, 250]),
            ..Residual::new(residual_us, 7)
        };
        residuals.insert((level, site), residual);
    }
    let residuals = residuals.into_iter().map(|((level, site), residual)| (level, site, residual));
    LatencyMap { residuals: residuals.collect() }
}

pub(crate) fn random_world(seed: u64) -> World {
    random_world_of(seed, 1)
}

/// A world of at least so many sites.
pub(super) fn random_world_of(seed: u64, sites_min: u64) -> World {
    let dice = &mut Dice(seed);
    let count = usize::try_from(dice.roll(8) + sites_min).expect("small");
    let sites: Vec<Site> = (0..count).map(|number| random_site(dice, number)).collect();
    let ids: Vec<SiteId> = (0..count).map(|at| SiteId(u16::try_from(at).expect("small"))).collect();
    let prefixes: Vec<(IpNet, Locale)> =
        (0..dice.roll(14)).map(|_| (random_prefix(dice, 27), random_locale(dice))).collect();
    let mut world = World::new(sites, &[]);
    world.locales =
        geo_data::LocaleTable::from_prefixes(&prefixes, geo_data::centre::Centres::default());
    world.minute_of_week = u16::try_from(dice.roll(10_080)).expect("a week");
    world.latency =
        if dice.chance(50) { random_latency(dice, &ids) } else { LatencyMap::default() };
    world.long_out = ids.iter().map(|_| dice.chance(15)).collect();
    world.policy.locale_overrides.resolvers =
        (0..dice.roll(4)).map(|_| (random_prefix(dice, 32), random_locale(dice))).collect();
    random_service(&mut world, dice, &ids);
    random_health(&mut world, dice, &ids);
    world
}

pub(crate) fn random_service(world: &mut World, dice: &mut Dice, ids: &[SiteId]) {
    let service = &mut world.policy.services[0];
    service.pool = dice.some_of(85, ids);
    let tiers = [Tier::Access, Tier::Aggregation, Tier::Core];
    service.tiers = (0..=dice.roll(3))
        .map(|_| TierStep {
            tier: dice.of(&tiers),
            budget_us: dice.maybe(60, &[15_000, 40_000, 120_000]),
        })
        .collect();
    if dice.chance(20) {
        service.fence = Some(if dice.chance(60) {
            Fence::Match(random_rung(dice))
        } else {
            Fence::Sites(dice.some_of(60, ids))
        });
    }
    service.steering.prefer = (0..dice.roll(3)).map(|_| random_rung(dice)).collect();
    service.steering.spread_within_us = dice.of(&[0, 0, 5_000, 60_000]);
    service.steering.sticky.v4_len = dice.of(&[24, 20, 8]);
    service.steering.sticky.v6_len = dice.of(&[56, 48, 20]);
    let weights = ids.iter().filter(|_| dice.0.is_multiple_of(2)).map(|&id| (id, 30));
    service.steering.weights = weights.collect();
    service.answers.sites_max = u8::try_from(dice.roll(4)).expect("small") + 1;
    service.answers.per_site_max = dice.of(&[1, 2, 4]);
    service.endpoints = random_endpoints(dice, ids);
    service.panic_below_percent = dice.of(&[0, 0, 30, 60]);
    service.fallback = match dice.roll(3) {
        0 => Fallback::AnswerAll,
        1 => Fallback::AnswerNone,
        _ => Fallback::AnswerSites(dice.some_of(40, ids)),
    };
    service.rules = (0..usize::try_from(dice.roll(5)).expect("small"))
        .map(|number| random_rule(dice, number, ids))
        .collect();
}

fn random_health(world: &mut World, dice: &mut Dice, ids: &[SiteId]) {
    let down = dice.of(&[0, 20, 70, 100]);
    let verdict = |dice: &mut Dice| {
        if dice.chance(down) {
            Verdict::Down
        } else {
            dice.of(&[Verdict::Up, Verdict::Unknown, Verdict::Failing])
        }
    };
    world.health.drained = ids.iter().map(|_| dice.chance(10)).collect();
    world.health.sites = ids.iter().map(|_| verdict(dice)).collect();
    if dice.chance(50) {
        world.health.services = vec![ids.iter().map(|_| verdict(dice)).collect()];
    }
    let ready = dice.of(&[0, 60, 100]);
    if dice.chance(60) {
        let readiness = |dice: &mut Dice| {
            if dice.chance(ready) { Readiness::Ready } else { Readiness::NotReady }
        };
        world.health.readiness = vec![ids.iter().map(|_| readiness(dice)).collect()];
    }
}
