use std::collections::BTreeSet;

use geo_data::LocaleTable;
use model::geo::{Country, Locale};

use super::{CLIENTS, NAMES, PLACES, clients, names, write_nginx};
use crate::query::Subnet;

fn table() -> LocaleTable {
    let locale = Locale { country: Country::parse("DE"), ..Locale::default() };
    LocaleTable::from_prefixes(&[("64.0.0.0/2".parse().unwrap(), locale)], Default::default())
}

#[test]
fn clients_are_within_what_the_table_knows_and_repeat_by_seed() {
    let drawn = clients(&table(), 1);
    assert_eq!(drawn.len(), CLIENTS);
    assert!(drawn.iter().all(|subnet| matches!(subnet, Subnet::V4([64..=127, _, _]))));
    assert_eq!(drawn, clients(&table(), 1));
    assert_ne!(drawn, clients(&table(), 2));
}

#[test]
fn names_and_sites_are_distinct() {
    assert_eq!(names().into_iter().collect::<BTreeSet<_>>().len(), NAMES);
    assert_eq!(PLACES.map(|place| place.name).iter().collect::<BTreeSet<_>>().len(), 12);
    assert!(PLACES.is_sorted_by_key(|place| place.name));
}

#[test]
fn the_configuration_has_no_gap_left() {
    let directory = tempfile::tempdir().unwrap();
    let listen = "127.0.0.1:5353".parse().unwrap();
    write_nginx(directory.path(), listen, listen, "off").unwrap();
    let text = std::fs::read_to_string(directory.path().join("nginx.conf")).unwrap();
    let mut filled = text.lines().filter(|line| !line.starts_with('#'));
    assert!(filled.clone().all(|line| !line.contains('@')));
    assert!(filled.any(|line| line.contains("127.0.0.1:5353")));
}
