use std::collections::BTreeSet;
use std::net::IpAddr;

use geo_data::{Centres, LocaleTable};
use model::document::{SourceFile, load};
use model::geo::{Country, Locale, Point};
use model::observe::Client;
use steering::decide::{ServiceState, decide};

use super::snapshot;
use crate::world::{NAMES, PLACES, gateway_documents};

fn table() -> LocaleTable {
    let at = |lat_cdeg, lon_cdeg| Locale {
        country: Country::parse("FR"),
        point: Some(Point { lat_cdeg, lon_cdeg }),
        ..Locale::default()
    };
    let prefixes = [("64.0.0.0/3", at(4886, 235)), ("128.0.0.0/3", at(-3793, 14498))];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().unwrap(), locale));
    LocaleTable::from_prefixes(&prefixes, Centres::default())
}

#[test]
fn every_name_leads_to_the_nearest_site() {
    let snapshot = snapshot(&table()).unwrap();
    let hostnames = snapshot.policy.services.iter().flat_map(|service| &service.hostnames);
    assert_eq!(hostnames.map(ToString::to_string).collect::<BTreeSet<_>>().len(), NAMES);
    assert_eq!(snapshot.map.maps.len(), 1, "services with equal steering share a map");
    for (id, service) in snapshot.policy.services() {
        let state = ServiceState::new(id, service, &snapshot.health);
        let map = snapshot.map.service(id).unwrap();
        let site = |text: &str| {
            let ip: IpAddr = text.parse().unwrap();
            let client = Client { ip, source_len: Some(24) };
            let decision = decide(map, &state, client);
            snapshot.policy.site(decision.chosen()[0]).name.as_str().to_owned()
        };
        assert_eq!(site("65.1.2.0"), "london");
        assert_eq!(site("129.1.2.0"), "sydney");
    }
    assert_eq!(snapshot.policy.sites.len(), PLACES.len());
}

#[test]
fn the_gateway_documents_are_sound() {
    let text = gateway_documents("127.0.0.1:8090".parse().unwrap());
    let file = SourceFile { path: "gateway.yaml".into(), text: text.as_str().into() };
    let documents = load(&[file]).unwrap_or_else(|findings| panic!("{}", findings[0]));
    let gateway = documents.gateway;
    assert_eq!((gateway.ingresses.len(), gateway.endpoint_slices.len()), (1, 1));
}
