//! The world that the targets serve: small, and with every kind of thing a query can meet.

use std::sync::Arc;

use geo_data::{Centres, LocaleTable};
use model::document::{SourceFile, load};
use model::geo::{Country, Isp, Locale, Subdivision};
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Generation, Health, Snapshot};

/// `world.yaml`, compiled for a handful of prefixes.
pub fn world() -> Snapshot {
    let file = SourceFile {
        path: Arc::from("world.yaml"),
        text: Arc::from(include_str!("../world.yaml")),
    };
    let documents = load(&[file]).expect("the world is sound");
    let policy = Arc::new(documents.policy);
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: 1,
        locales: &locales(),
        latency: &LatencyMap::default(),
        drained: &vec![false; policy.sites.len()],
        long_out: &vec![false; policy.sites.len()],
        minute_of_week: 0,
    });
    let generation = Generation { epoch: 1, counter: 1 };
    Snapshot {
        policy_generation: generation,
        map_generation: generation,
        health_generation: generation,
        policy,
        map: Arc::new(map),
        health: Arc::new(Health::default()),
    }
}

fn locales() -> LocaleTable {
    let locale = |country: &str, subdivision: &str, isp: Option<&str>| Locale {
        country: Country::parse(country),
        subdivision: Subdivision::parse(subdivision).ok(),
        isp: isp.and_then(|name| Isp::parse(name).ok()),
        ..Locale::default()
    };
    let prefixes = [
        ("116.0.0.0/8", locale("CN", "CN-GD", Some("cn-ct"))),
        ("116.31.0.0/16", locale("CN", "CN-GD", Some("cn-cu"))),
        ("8.0.0.0/8", locale("US", "US-CA", None)),
        ("2001:db8::/32", locale("US", "US-CA", None)),
    ];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().expect("a prefix"), locale));
    LocaleTable::from_prefixes(&prefixes, Centres::default())
}
