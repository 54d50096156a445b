//! Small worlds for the tests: sites on 127.0.1.x, services in one zone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use model::name::{DnsName, ObjectRef, SiteName};
use model::observe::{BackendReport, LoadReport, SiteReport, Verdict};
use model::service::{
    Answers, BackendRef, Fallback, GlobalService, Probe, ProbeKind, Steering, Sticky, TierStep,
};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::{Country, Point, Policy};
use steering::{Generation, Health, SteeringMap};

use crate::publication::{Part, Publication};

pub(crate) fn site_name(name: &str) -> SiteName {
    SiteName::new(name).unwrap()
}

/// Sites at 127.0.1.1, 127.0.1.2, ... by the order of `sites` (give them sorted); one service per
/// host name, every site in its pool.
pub(crate) fn policy(sites: &[&str], hosts: &[&str]) -> Policy {
    let sites: Vec<Site> = (1..).zip(sites).map(|(last, name)| site(name, last)).collect();
    let ids: Vec<SiteId> = (0..).map(SiteId).take(sites.len()).collect();
    let services = hosts.iter().map(|host| service(host, ids.clone())).collect();
    Policy { sites, services, ..Policy::default() }
}

pub(crate) fn site(name: &str, last: u8) -> Site {
    let degrees = i16::from(last);
    Site {
        name: site_name(name),
        tier: Tier::Core,
        country: Country(*b"CN"),
        subdivision: None,
        city: None,
        point: Some(Point { lat_cdeg: 2000 + degrees * 100, lon_cdeg: 11000 }),
        isps: Vec::new(),
        addresses: vec![SiteAddress { ip: IpAddr::V4(Ipv4Addr::new(127, 0, 1, last)), isp: None }],
        capacity: Capacity::default(),
        labels: std::collections::BTreeMap::new(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

pub(crate) fn service(host: &str, pool: Vec<SiteId>) -> GlobalService {
    let name = host.split('.').next().unwrap_or(host);
    GlobalService {
        object: ObjectRef::new("default", name),
        hostnames: vec![DnsName::parse(host).unwrap()],
        protected: false,
        tiers: vec![TierStep { tier: Tier::Core, budget_us: None }],
        pool,
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: std::collections::BTreeMap::new(),
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

pub(crate) fn http_probe(port: u16) -> Probe {
    Probe {
        kind: ProbeKind::Http {
            path: "/healthz".into(),
            host: None,
            status_min: 200,
            status_max: 399,
        },
        port,
        interval_ms: 100,
        timeout_ms: 100,
        failures: 3,
        successes: 2,
    }
}

pub(crate) fn backend(name: &str) -> BackendRef {
    BackendRef { object: ObjectRef::new("default", name), port: 80 }
}

/// A report of a site's backends: name and ready endpoints.
pub(crate) fn report(site: &str, sequence: u64, ready: &[(&str, u32)]) -> SiteReport {
    let of =
        |&(name, ready): &(&str, u32)| BackendReport { backend: backend(name), ready, total: 3 };
    SiteReport {
        site: site_name(site),
        boot_id: 1,
        sequence,
        backends: ready.iter().map(of).collect(),
        load: LoadReport::default(),
        rtt: Vec::new(),
    }
}

pub(crate) fn locales() -> Arc<geo_data::LocaleTable> {
    Arc::default()
}

pub(crate) fn generation(epoch: u32, counter: u64) -> Generation {
    Generation { epoch, counter }
}

/// A publication of a policy at the given counters, all in epoch 1, every site up.
pub(crate) fn publication(policy: Policy, counters: [u64; 3]) -> Publication {
    let [policy_counter, map, health] = counters;
    let named = generation(1, policy_counter);
    let map_content = SteeringMap {
        policy_generation: policy_counter,
        maps: vec![Arc::default()],
        of_service: vec![0; policy.services.len()],
        ..SteeringMap::default()
    };
    let sites = policy.sites.len();
    let health_content = Health {
        drained: vec![false; sites],
        sites: vec![Verdict::Up; sites],
        services: vec![Vec::new(); policy.services.len()],
        readiness: vec![Vec::new(); policy.services.len()],
    };
    Publication {
        policy: Part::encode(named, named, Arc::new(policy)).unwrap(),
        map: Part::encode(generation(1, map), named, Arc::new(map_content)).unwrap(),
        health: Part::encode(generation(1, health), named, Arc::new(health_content)).unwrap(),
    }
}

/// The publication with another health.
pub(crate) fn with_health(before: &Publication, counter: u64, health: Health) -> Publication {
    let named = before.policy.generation;
    let health = Part::encode(generation(1, counter), named, Arc::new(health)).unwrap();
    Publication { health, ..before.clone() }
}
