use std::net::{IpAddr, Ipv4Addr};

use geo_data::LocaleTable;
use maxminddb::{PathElement, Reader};
use model::geo::{Country, Locale, Point, Subdivision};

use super::encode;
use crate::random::Random;

fn locale(country: &str, subdivision: Option<&str>, lat_cdeg: i16) -> Locale {
    Locale {
        country: Country::parse(country),
        subdivision: subdivision.map(|text| Subdivision::parse(text).unwrap()),
        point: Some(Point { lat_cdeg, lon_cdeg: -12_345 }),
        ..Locale::default()
    }
}

fn table() -> LocaleTable {
    let prefixes = [
        ("1.2.0.0/16", locale("CN", Some("CN-GD"), 2313)),
        ("1.2.3.0/24", locale("CN", None, 3500)),
        ("1.2.4.128/25", locale("US", Some("US-CA"), 3734)),
        ("200.0.0.0/7", locale("BR", None, -1000)),
        ("255.255.255.255/32", locale("SG", None, 135)),
    ];
    let prefixes = prefixes.map(|(prefix, locale)| (prefix.parse().unwrap(), locale));
    LocaleTable::from_prefixes(&prefixes, Default::default())
}

/// What the oracle, the reader of the format's own makers, finds.
fn look_up(reader: &Reader<Vec<u8>>, ip: IpAddr) -> Option<(String, Option<String>, f64)> {
    let result = reader.lookup(ip).unwrap();
    let text = |path: &[PathElement<'_>]| result.decode_path::<String>(path).unwrap();
    let country = text(&[PathElement::Key("country"), PathElement::Key("iso_code")])?;
    let subdivision = text(&[
        PathElement::Key("subdivisions"),
        PathElement::Index(0),
        PathElement::Key("iso_code"),
    ]);
    let path = [PathElement::Key("location"), PathElement::Key("latitude")];
    Some((country, subdivision, result.decode_path(&path).unwrap().unwrap()))
}

#[test]
fn every_address_has_the_locale_of_the_table() {
    let table = table();
    let reader = Reader::from_source(encode(&table)).unwrap();
    reader.verify().unwrap();
    let mut random = Random::new(3);
    let edges = ["0.0.0.0", "1.2.2.255", "1.2.3.0", "1.2.3.255", "1.2.4.127", "1.2.4.128"];
    let edges = edges.iter().map(|text| text.parse::<Ipv4Addr>().unwrap().to_bits());
    let near = (0..20_000).map(|_| 0x0102_0000 | u32::try_from(random.below(1 << 17)).unwrap());
    let last = [0xC7FF_FFFF, 0xC800_0000, 0xC9FF_FFFF, 0xCA00_0000, 0xFFFF_FFFE, 0xFFFF_FFFF];
    for bits in edges.chain(near).chain(last) {
        let ip = IpAddr::V4(Ipv4Addr::from_bits(bits));
        let locale = table.lookup(ip).locale;
        let wanted = locale.country.map(|country| {
            let subdivision = locale.subdivision.map(|code| code.as_str()[3..].to_owned());
            let lat = f64::from(locale.point.unwrap().lat_cdeg) / 100.0;
            (country.as_str().to_owned(), subdivision, lat)
        });
        assert_eq!(look_up(&reader, ip), wanted, "{ip}");
    }
}
