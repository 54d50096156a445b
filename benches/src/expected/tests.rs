use std::net::IpAddr;
use std::sync::Arc;

use geo_data::{Centres, LocaleTable};
use model::geo::{Country, Locale, Point};

use super::addresses;
use crate::query::Subnet;
use crate::snapshot::snapshot;
use crate::world::{PLACES, address};

#[test]
fn each_snapshot_adds_its_own_address() {
    let at = |lat_cdeg, lon_cdeg| Locale {
        country: Country::parse("FR"),
        point: Some(Point { lat_cdeg, lon_cdeg }),
        ..Locale::default()
    };
    let prefixes = [("64.0.0.0/3", at(4886, 235)), ("128.0.0.0/3", at(-3793, 14498))];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().unwrap(), locale));
    let table = LocaleTable::from_prefixes(&prefixes, Centres::default());
    let up = snapshot(&table).unwrap();
    let london = PLACES.iter().position(|place| place.name == "london").unwrap();
    let mut health = (*up.health).clone();
    health.drained[london] = true;
    let drained = steering::Snapshot { health: Arc::new(health), ..up.clone() };
    let site = |name: &str| -> IpAddr {
        address(PLACES.iter().position(|place| place.name == name).unwrap()).into()
    };
    let clients = [Subnet::V4([65, 1, 2]), Subnet::V4([129, 1, 2]), Subnet::Absent];
    let wanted =
        vec![vec![site("london"), site("frankfurt")], vec![site("sydney")], Vec::<IpAddr>::new()];
    assert_eq!(addresses(&[up, drained], &clients).unwrap(), wanted);
}
