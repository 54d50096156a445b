//! Small worlds for tests: a few sites, a locale table of a few prefixes, health by hand.

use std::net::IpAddr;
use std::sync::Arc;

use geo_data::LocaleTable;
use ipnet::IpNet;
use model::Policy;
use model::geo::{Country, Isp, Locale, Point, Subdivision};
use model::name::{ObjectRef, SiteName};
use model::observe::Client;
use model::service::{Answers, Fallback, GlobalService, ServiceId, Steering, Sticky, TierStep};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};

use crate::compile::{Inputs, compile};
use crate::decide::{Decision, ServiceState, decide};
use crate::latency::LatencyMap;
use crate::snapshot::{Generation, Health, Snapshot};

/// Everything that decides.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) policy: Policy,
    pub(crate) locales: LocaleTable,
    pub(crate) latency: LatencyMap,
    pub(crate) long_out: Vec<bool>,
    pub(crate) minute_of_week: u16,
    pub(crate) health: Health,
}

impl World {
    pub(crate) fn new(sites: Vec<Site>, prefixes: &[(&str, Locale)]) -> Self {
        let prefixes: Vec<(IpNet, Locale)> =
            prefixes.iter().map(|(prefix, locale)| (net(prefix), locale.clone())).collect();
        let policy = Policy { sites, ..Policy::default() };
        let mut world = Self {
            locales: LocaleTable::from_prefixes(&prefixes, geo_data::centre::Centres::default()),
            policy,
            ..Self::default()
        };
        world.health.drained = vec![false; world.policy.sites.len()];
        world.policy.services.push(service(&world.policy.sites));
        world
    }

    pub(crate) fn service(&mut self) -> &mut GlobalService {
        &mut self.policy.services[0]
    }

    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            policy: &self.policy,
            policy_generation: 1,
            locales: &self.locales,
            latency: &self.latency,
            drained: &self.health.drained,
            long_out: &self.long_out,
            minute_of_week: self.minute_of_week,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let generation = Generation { epoch: 1, counter: 1 };
        Snapshot {
            policy_generation: generation,
            map_generation: generation,
            health_generation: generation,
            policy: Arc::new(self.policy.clone()),
            map: Arc::new(compile(&self.inputs())),
            health: Arc::new(self.health.clone()),
        }
    }

    /// The first service's decision.
    pub(crate) fn decide(&self, client: Client) -> Decision {
        let map = compile(&self.inputs());
        let id = ServiceId(0);
        let state = ServiceState::new(id, &self.policy.services[0], &self.health);
        decide(map.service(id).expect("compiled"), &state, client)
    }

    /// The first service's answer as text: reason, scope, sites.
    pub(crate) fn answer(&self, client: Client) -> String {
        let decision = self.decide(client);
        let names = decision.chosen().iter().map(|&id| self.policy.site(id).name.as_str());
        let names: Vec<&str> = names.collect();
        let failing = if decision.failing { " failing" } else { "" };
        format!("{}/{} {}{failing}", decision.reason.as_str(), decision.scope_len, names.join(" "))
    }
}

pub(crate) fn net(text: &str) -> IpNet {
    text.parse().expect("a prefix")
}

/// A client by its subnet.
pub(crate) fn ecs(prefix: &str) -> Client {
    let prefix = net(prefix);
    Client { ip: prefix.network(), source_len: Some(prefix.prefix_len()) }
}

/// A client by its resolver.
pub(crate) fn resolver(ip: &str) -> Client {
    Client { ip: ip.parse::<IpAddr>().expect("an address"), source_len: None }
}

pub(crate) fn isp(text: &str) -> Isp {
    Isp::parse(text).expect("an ISP")
}

/// `CN-GD cn-ct 23.13 113.26`: country or subdivision, carrier or `-`, latitude, longitude.
pub(crate) fn locale(text: &str) -> Locale {
    let words: Vec<&str> = text.split(' ').collect();
    let country = Country::parse(&words[0][..2]).expect("a country");
    let subdivision = (words[0].len() > 2).then(|| Subdivision::parse(words[0]).expect("one"));
    let known = words.get(1).filter(|word| **word != "-");
    let point = words.get(2).map(|lat| point(lat, words[3]));
    Locale {
        country: Some(country),
        subdivision,
        isp: known.map(|word| isp(word)),
        point,
        ..Locale::default()
    }
}

pub(crate) fn point(lat: &str, lon: &str) -> Point {
    let cdeg = |text: &str| text.replace('.', "").parse::<i16>().expect("two decimals");
    Point { lat_cdeg: cdeg(lat), lon_cdeg: cdeg(lon) }
}

/// A site at a locale (see [`locale`]); its carrier is its only one, `-` is neutral.
pub(crate) fn site(name: &str, tier: Tier, place: &str) -> Site {
    let locale = locale(place);
    Site {
        name: SiteName::new(name).expect("a name"),
        tier,
        country: locale.country.expect("a country"),
        subdivision: locale.subdivision,
        city: None,
        point: locale.point,
        isps: locale.isp.into_iter().collect(),
        addresses: vec![SiteAddress { ip: IpAddr::from([127, 0, 0, 1]), isp: None }],
        capacity: Capacity::default(),
        labels: std::collections::BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

/// A service of all the sites: one answer, no spread, any tier.
pub(crate) fn service(sites: &[Site]) -> GlobalService {
    let tier = |tier| TierStep { tier, budget_us: None };
    GlobalService {
        object: ObjectRef::new("default", "hello"),
        hostnames: Vec::new(),
        protected: false,
        tiers: vec![tier(Tier::Core), tier(Tier::Aggregation), tier(Tier::Access)],
        pool: (0..u16::try_from(sites.len()).expect("few")).map(SiteId).collect(),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: std::collections::BTreeMap::default(),
            carrier_penalty_us: 20_000,
            border_penalty_us: 10_000,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerAll,
        rules: Vec::new(),
        records: Vec::new(),
        aliases: std::collections::BTreeMap::default(),
        endpoints: Vec::new(),
    }
}
