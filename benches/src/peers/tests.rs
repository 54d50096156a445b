use std::path::Path;

use geo_data::{Centres, LocaleTable};
use model::geo::{Country, Locale, Point};

use super::{Geography, Home, PEERS, nearest};
use crate::world::{NAMES, PLACES};

fn table() -> LocaleTable {
    let at = |country: &str, lat_cdeg, lon_cdeg| Locale {
        country: Country::parse(country),
        point: Some(Point { lat_cdeg, lon_cdeg }),
        ..Locale::default()
    };
    let prefixes = [("64.0.0.0/3", at("FR", 4886, 235)), ("128.0.0.0/3", at("NZ", -4129, 17478))];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().unwrap(), locale));
    let centres =
        prefixes.iter().map(|(_, locale)| (locale.country.unwrap(), locale.point.unwrap()));
    let centres = Centres::new(centres.collect(), Vec::new());
    LocaleTable::from_prefixes(&prefixes, centres)
}

#[test]
fn a_country_goes_to_the_site_nearest_to_its_centre() {
    let by_country: Vec<_> = nearest(&table())
        .into_iter()
        .map(|(country, at)| format!("{country} {}", PLACES[at].name))
        .collect();
    assert_eq!(by_country, ["FR london", "NZ sydney"]);
}

#[test]
fn configurations_have_no_gap_left() {
    let scratch = tempfile::tempdir().unwrap();
    let geo = Geography { table: &table(), mmdb: Path::new("/nowhere/city.mmdb") };
    let listen = "127.0.0.1:5353".parse().unwrap();
    for peer in PEERS {
        let directory = scratch.path().join(peer.name);
        let arguments = (peer.write)(Home { directory: &directory, listen }, &geo).unwrap();
        assert!(!arguments.is_empty());
        let text = files(&directory).concat();
        let gap = |word: &&str| {
            !word.is_empty() && word.chars().all(|letter| letter.is_ascii_uppercase())
        };
        let settings = text.lines().filter(|line| !line.starts_with(['#', '/']));
        let gaps: Vec<&str> =
            settings.flat_map(|line| line.split('@').skip(1).step_by(2)).filter(gap).collect();
        assert_eq!(gaps, Vec::<&str>::new(), "{}", peer.name);
        assert!(text.contains("5353"), "{}", peer.name);
        assert!(text.contains(&format!("h{}", NAMES - 1)), "{} has every name", peer.name);
    }
}

/// What is in a directory and below.
fn files(directory: &Path) -> Vec<String> {
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![std::fs::read_to_string(path).unwrap()],
        })
        .collect()
}
