use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use maxminddb::{Reader, WithinOptions, path};
use model::geo::Point;
use proptest::prelude::*;

use super::*;
use crate::build::{self, Detail, Input};
use crate::table::LocaleTable;

const CITY: &[u8] = include_bytes!("../../fixtures/mini-city.mmdb");
const ASN: &[u8] = include_bytes!("../../fixtures/mini-asn.mmdb");
const MAXMIND_CITY: &[u8] = include_bytes!("../../fixtures/maxmind/GeoIP2-City-Test.mmdb");
const MAXMIND_COUNTRY: &[u8] = include_bytes!("../../fixtures/maxmind/GeoIP2-Country-Test.mmdb");
const MAXMIND_ASN: &[u8] = include_bytes!("../../fixtures/maxmind/GeoLite2-ASN-Test.mmdb");
const MAXMIND_ISP: &[u8] = include_bytes!("../../fixtures/maxmind/GeoIP2-ISP-Test.mmdb");
const MAXMIND_CONNECTION: &[u8] =
    include_bytes!("../../fixtures/maxmind/GeoIP2-Connection-Type-Test.mmdb");

fn table(inputs: &[(&str, &[u8])]) -> LocaleTable {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|&(name, bytes)| Input { name, version: "", bytes, fields: None })
        .collect();
    build::table(&inputs, Detail::City, "test", &mut |_| {}).unwrap()
}

fn locale_text(locale: &Locale) -> String {
    let mut words = Vec::new();
    words.extend(locale.country.map(|it| it.to_string()));
    words.extend(locale.subdivision.map(|it| it.to_string()));
    words.extend(locale.city.as_ref().map(|it| it.to_string()));
    words.extend(locale.point.map(|it| format!("{},{}", it.lat_cdeg, it.lon_cdeg)));
    words.extend(locale.asn.map(|it| format!("AS{it}")));
    words.extend(locale.isp.map(|it| it.to_string()));
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

#[track_caller]
fn check(table: &LocaleTable, rows: &[(&str, &str)]) {
    for (ip, expected) in rows {
        let hit = table.lookup(ip.parse().unwrap());
        assert_eq!(locale_text(hit.locale), *expected, "{ip}");
    }
}

#[track_caller]
fn refused(name: &str, bytes: &[u8], expected: &str) {
    let error = read(name, bytes, None, &mut |_, _| {}).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

/// Three addresses of every network, as maxminddb has it and as the table has it.
fn compare(
    bytes: &[u8],
    table: &LocaleTable,
    same: impl Fn(&Reader<&[u8]>, IpAddr, &Locale),
) -> usize {
    let reader = Reader::from_source(bytes).unwrap();
    let mut compared = 0;
    for network in reader.networks(WithinOptions::default()).unwrap() {
        let network = network.unwrap().network().unwrap();
        // Finer than the table's unit.
        if network.is_ipv6() && network.prefix() > 64 {
            continue;
        }
        let (first, last) = (network.network(), network.broadcast());
        let middle = match (first, last) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits().midpoint(b.to_bits())))
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits().midpoint(b.to_bits())))
            }
            _ => first,
        };
        for ip in [first, middle, last] {
            same(&reader, ip, table.lookup(ip).locale);
            compared += 1;
        }
    }
    compared
}

#[test]
fn a_flat_city_database_is_read_network_by_network() {
    let table = table(&[("dbip-city.mmdb", CITY)]);
    let compared = compare(CITY, &table, |reader, ip, locale| {
        let found = reader.lookup(ip).unwrap();
        let text = |key: &str| found.decode_path::<&str>(&path!(key)).unwrap().unwrap_or("");
        let cdeg = |key: &str| {
            found.decode_path::<f32>(&path!(key)).unwrap().map(|it| (f64::from(it) * 100.0).round())
        };
        let country = Country::parse(text("country_code"));
        let is_china_now =
            matches!(country, Some(Country([b'H', b'K'] | [b'M', b'O'] | [b'T', b'W'])));
        assert!(locale.country == country || is_china_now, "{ip} {locale:?}");
        assert_eq!(locale.city.as_deref().unwrap_or(""), text("city"), "{ip}");
        let point = cdeg("latitude").zip(cdeg("longitude"));
        let ours = locale.point.map(|it| (f64::from(it.lat_cdeg), f64::from(it.lon_cdeg)));
        assert_eq!(ours, point, "{ip}");
        if text("state1") == "Guangdong" && country == Some(Country(*b"CN")) {
            assert_eq!(
                locale.subdivision.map(|it| it.to_string()).as_deref(),
                Some("CN-GD"),
                "{ip}"
            );
        }
    });
    assert!(compared > 45_000, "{compared}");
    let coded = table.classes().iter().filter(|locale| locale.subdivision.is_some()).count();
    assert!(coded * 10 > table.classes().len() * 8, "{coded} of {}", table.classes().len());
}

#[test]
fn an_asn_database_is_read_network_by_network() {
    let table = table(&[("asn-ipv4.mmdb", ASN)]);
    let compared = compare(ASN, &table, |reader, ip, locale| {
        let found = reader.lookup(ip).unwrap();
        let asn = found.decode_path::<u32>(&path!("autonomous_system_number")).unwrap();
        assert_eq!(locale.asn, asn, "{ip}");
        assert_eq!(locale.isp, asn.map(crate::isp::group), "{ip}");
    });
    assert!(compared > 40_000, "{compared}");
}

#[test]
fn maxminds_nested_layouts_are_read() {
    check(
        &table(&[("GeoIP2-City-Test.mmdb", MAXMIND_CITY)]),
        &[
            ("81.2.69.160", "GB GB-ENG London 5151,-9"),
            ("2.125.160.216", "GB GB-ENG Boxford 5175,-125"),
            ("89.160.20.112", "SE SE-E Linköping 5842,1562"),
            ("2001:218::1", "JP 3569,13975"),
            ("127.0.0.1", "-"),
        ],
    );
    check(&table(&[("GeoIP2-Country-Test.mmdb", MAXMIND_COUNTRY)]), &[("81.2.69.160", "GB")]);
    check(
        &table(&[("GeoLite2-ASN-Test.mmdb", MAXMIND_ASN)]),
        &[("1.128.0.1", "AS1221 au-telstra"), ("2600:6000::1", "AS237 as237")],
    );
    check(&table(&[("GeoIP2-ISP-Test.mmdb", MAXMIND_ISP)]), &[("1.128.0.1", "AS1221 au-telstra")]);
}

#[test]
fn fields_of_several_databases_are_merged() {
    let csv = b"start_ip,end_ip,asn\n81.2.69.0,81.2.69.255,AS4134\n9.9.9.0,9.9.9.255,19281\n";
    check(
        &table(&[("asn.csv", csv), ("GeoIP2-City-Test.mmdb", MAXMIND_CITY)]),
        &[
            ("81.2.69.160", "GB GB-ENG London 5151,-9 AS4134 cn-ct"),
            ("2.125.160.216", "GB GB-ENG Boxford 5175,-125"),
            ("9.9.9.9", "AS19281 as19281"),
        ],
    );
}

#[test]
fn unknown_layouts_say_what_is_there() {
    refused(
        "connections.mmdb",
        MAXMIND_CONNECTION,
        "no known field in the records of `connections.mmdb`, they have `connection_type`; help: name the fields to take in a field map",
    );
    let fields = FieldMap { city: vec!["connection_type".to_owned()], ..FieldMap::default() };
    let layer =
        read("connections.mmdb", MAXMIND_CONNECTION, Some(&fields), &mut |_, _| {}).unwrap();
    assert!(layer.facts.iter().any(|fact| fact.city.as_deref() == Some("Cable/DSL")));
}

#[test]
fn ipinfos_flat_texts_are_read() {
    let record = HashMap::from([
        ("country", "DE"),
        ("region", "Bavaria"),
        ("city", "Munich"),
        ("loc", "48.1374,11.5755"),
        ("asn", "AS3320"),
        ("as_name", "Deutsche Telekom AG"),
    ]);
    let locale = FieldMap::default()
        .locale(|path| record.get(path).map(|&text| std::borrow::Cow::Borrowed(text)));
    assert_eq!(
        (locale_text(&locale), locale.point),
        (
            "DE DE-BY Munich 4814,1158 AS3320".to_owned(),
            Some(Point { lat_cdeg: 4814, lon_cdeg: 1158 })
        )
    );
}

#[test]
fn csv_comes_in_many_shapes() {
    for (csv, ip, expected) in [
        ("1.0.0.0,1.0.0.255,AU\n1.0.1.0,1.0.3.255,CN\n", "1.0.2.9", "CN"),
        ("16777216,16777471,13335,\"Cloudflare, Inc.\"\n", "1.0.0.7", "AS13335 as13335"),
        (
            "2001:200::,2001:200:1b9:ffff:ffff:ffff:ffff:ffff,2500,WIDE\n",
            "2001:200::1",
            "AS2500 as2500",
        ),
        (
            "42540528726795050063891204319802818560,42540528727329395276160870415022948351,2500,WIDE\n",
            "2001:200::1",
            "AS2500 as2500",
        ),
        ("# a comment\n1.0.0.0/24,AU\n", "1.0.0.7", "AU"),
        ("\u{feff}network,country\r\n1.0.0.0/24,AU\r\n", "1.0.0.7", "AU"),
        (
            "network,country_code,province,isp\n14.0.0.0/8,CN,广东省,电信\n",
            "14.1.2.3",
            "CN CN-GD cn-ct",
        ),
        (
            "1.0.0.0,1.0.0.255,US,California,,San Jose,95101,37.3382,-121.8863,America/Los_Angeles\n",
            "1.0.0.7",
            "US US-CA San Jose 3734,-12189",
        ),
        (
            "1.0.0.0,1.0.0.255,OC,AU,Queensland,Brisbane,-27.4,153.02\n",
            "1.0.0.7",
            "AU AU-QLD Brisbane -2740,15302",
        ),
        (
            "start_ip,end_ip,country,asn,as_name\n1.0.0.0,1.0.0.255,AU,AS13335,x\n",
            "1.0.0.7",
            "AU AS13335 as13335",
        ),
        ("::ffff:1.0.0.0,::ffff:1.0.0.255,AU\n", "1.0.0.7", "AU"),
        // Overlapping: the later start wins, the outer goes on.
        ("10.0.0.0/8,CN\n10.1.0.0/16,US\n", "10.2.0.0", "CN"),
        ("10.1.0.0/16,US\n10.0.0.0/8,CN\n", "10.1.0.0", "US"),
    ] {
        check(&table(&[("ranges.csv", csv.as_bytes())]), &[(ip, expected)]);
    }
}

#[test]
fn csv_errors_name_the_line_and_the_way_out() {
    for (csv, expected) in [
        ("1.0.0.0,1.0.0.255,AU\n1.0.1.0,oops,CN\n", "`x.csv`, line 2: `oops` is no address"),
        ("1.0.0.9,1.0.0.1,AU\n", "`x.csv`, line 1: the range ends before it starts"),
        (
            "a,b,c\n",
            "`x.csv`, line 1: no column for the range among `a`, `b`, `c`; help: name it `network`, or `start_ip` and `end_ip`",
        ),
        (
            "network,geoname_id,is_anonymous_proxy\n",
            "`x.csv`, line 1: no known column among `network`, `geoname_id`, `is_anonymous_proxy`; help: this is a split GeoLite2 CSV, take the MMDB instead",
        ),
        (
            "1.0.0.0,1.0.0.255,a,b,c,d\n",
            "`x.csv`, line 1: no header, and 4 columns beside the range fit no known layout; help: give the file a first line with names such as `start_ip,end_ip,country,asn`",
        ),
        (
            "network,country\n10.0.0.0,CN\n",
            "`x.csv`, line 2: `10.0.0.0` is no network; help: write it as `192.0.2.0/24`",
        ),
        ("", "`x.csv` holds no data; help: check that the download is whole"),
    ] {
        refused("x.csv", csv.as_bytes(), expected);
    }
    refused(
        "x.csv.gz",
        b"\x1f\x8b\x08\x00",
        "`x.csv.gz` is not a geo database: it is neither MMDB nor ip2region xdb nor CSV in UTF-8; help: check the download, and unpack it if it is compressed",
    );
}

/// An xdb of version 2 with the given segments.
fn xdb(segments: &[(&str, &str, &str)]) -> Vec<u8> {
    let texts_at = 256 + 256 * 256 * 8;
    let mut texts: Vec<u8> = Vec::new();
    let mut index: Vec<u8> = Vec::new();
    for (start, end, region) in segments {
        let at = u32::try_from(texts_at + texts.len()).unwrap();
        for ip in [start, end] {
            index.extend(ip.parse::<Ipv4Addr>().unwrap().to_bits().to_le_bytes());
        }
        index.extend(u16::try_from(region.len()).unwrap().to_le_bytes());
        index.extend(at.to_le_bytes());
        texts.extend(region.as_bytes());
    }
    let first = u32::try_from(texts_at + texts.len()).unwrap();
    let last = first + u32::try_from(index.len()).unwrap() - 14;
    let mut file = vec![2, 0, 1, 0, 0, 0, 0, 0];
    file.extend(first.to_le_bytes());
    file.extend(last.to_le_bytes());
    file.resize(texts_at, 0);
    file.extend(texts);
    file.extend(index);
    file
}

fn china() -> Vec<u8> {
    xdb(&[
        ("0.0.0.0", "13.255.255.255", "0|0|0|内网IP|内网IP"),
        ("14.0.0.0", "14.0.255.255", "中国|0|广东省|深圳市|电信"),
        ("14.1.0.0", "14.1.255.255", "中国|0|新疆|0|铁通"),
        ("14.2.0.0", "14.2.255.255", "中国|0|香港|0|电讯盈科"),
        ("14.3.0.0", "14.3.255.255", "中国|0|0|0|阿里云"),
        ("14.4.0.0", "14.4.255.255", "美国|0|加利福尼亚|0|0"),
    ])
}

#[test]
fn ip2region_is_read_for_china() {
    check(
        &table(&[("ip2region.xdb", &china())]),
        &[
            ("14.0.9.9", "CN CN-GD 深圳市 cn-ct"),
            ("14.1.9.9", "CN CN-XJ cn-cm"),
            // Not one of its countries; and nobody else speaks for it here.
            ("14.2.9.9", "-"),
            ("14.3.9.9", "CN"),
            ("14.4.9.9", "-"),
            ("10.0.0.1", "-"),
        ],
    );
}

#[test]
fn the_regional_database_wins_inside_its_country_only() {
    let city = "\
14.0.0.0,14.0.127.255,CN,Guangdong,,Guangzhou,,23.13,113.26,
14.0.128.0,14.0.255.255,CN,Beijing,,Beijing,,39.9,116.4,
14.1.0.0,14.1.255.255,US,California,,San Jose,,37.3,-121.9,
14.2.0.0,14.2.255.255,HK,Kowloon,,Kowloon,,22.3,114.2,
14.3.0.0,14.3.255.255,CN,Zhejiang,,Hangzhou,,30.3,120.2,
";
    let asn = "14.0.0.0,14.255.255.255,4134,Chinanet\n";
    let layers = [("ip2region.xdb", china()), ("city.csv", city.into()), ("asn.csv", asn.into())];
    let inputs: Vec<_> = layers.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    check(
        &table(&inputs),
        &[
            // Another city of the same province: the centre stands for it.
            ("14.0.0.9", "CN CN-GD 深圳市 2313,11326 AS4134 cn-ct"),
            // Another province: its centre, not the overruled city's point.
            ("14.0.200.9", "CN CN-GD 深圳市 2313,11326 AS4134 cn-ct"),
            ("14.1.0.9", "US US-CA San Jose 3730,-12190 AS4134 cn-ct"),
            ("14.2.0.9", "HK Kowloon 2230,11420 AS4134 cn-ct"),
            // No province there, and a carrier that is no group: the others speak.
            ("14.3.0.9", "CN CN-ZJ Hangzhou 3030,12020 AS4134 cn-ct"),
        ],
    );
}

/// GeoCN's columns: no country, Chinese names, an adcode for the province.
#[test]
fn a_database_of_china_alone_is_regional() {
    let csv = "\
network,province,city,isp,provinceCode
14.0.0.0/16,广东省,深圳市,中国电信,440000
14.1.0.0/16,香港,,,810000
";
    let layer = read("geocn.csv", csv.as_bytes(), None, &mut |_, _| {}).unwrap();
    assert_eq!(layer.rank, Rank::Regional(vec![Country(*b"CN")]));
    check(
        &table(&[("geocn.csv", csv.as_bytes()), ("city.csv", b"14.0.0.0/8,CN\n")]),
        &[("14.0.9.9", "CN CN-GD 深圳市 cn-ct"), ("14.1.9.9", "CN"), ("14.2.9.9", "CN")],
    );
}

#[test]
fn unsound_xdb_files_are_refused() {
    let good = china();
    let mut version = good.clone();
    version[0] = 3;
    refused(
        "a.xdb",
        &version,
        "`a.xdb` is not a sound ip2region xdb: its format version is 3; help: download it again, or take the version 2 format",
    );
    refused(
        "a.xdb",
        &good[..good.len() - 1],
        &format!(
            "`a.xdb` is not a sound ip2region xdb: it has {} octets and should have {}; help: download it again, or take the version 2 format",
            good.len() - 1,
            good.len()
        ),
    );
    let mut outside = good.clone();
    let at = good.len() - 4;
    outside[at..].copy_from_slice(&u32::MAX.to_le_bytes());
    refused(
        "a.xdb",
        &outside,
        "`a.xdb` is not a sound ip2region xdb: segment 5 points outside the file; help: download it again, or take the version 2 format",
    );
}

#[test]
fn maxminds_broken_files_never_panic() {
    let files: [(&str, &[u8]); 12] = [
        (
            "double",
            include_bytes!("../../fixtures/maxmind/GeoIP2-City-Test-Broken-Double-Format.mmdb"),
        ),
        (
            "count",
            include_bytes!("../../fixtures/maxmind/GeoIP2-City-Test-Invalid-Node-Count.mmdb"),
        ),
        (
            "pointers",
            include_bytes!("../../fixtures/maxmind/MaxMind-DB-test-broken-pointers-24.mmdb"),
        ),
        (
            "tree",
            include_bytes!("../../fixtures/maxmind/MaxMind-DB-test-broken-search-tree-24.mmdb"),
        ),
        ("dos", include_bytes!("../../fixtures/maxmind/MaxMind-DB-test-pointer-decoder-dos.mmdb")),
        ("corrupt", include_bytes!("../../fixtures/maxmind/libmaxminddb-corrupt-search-tree.mmdb")),
        ("deep", include_bytes!("../../fixtures/maxmind/libmaxminddb-deep-nesting.mmdb")),
        (
            "offset",
            include_bytes!("../../fixtures/maxmind/libmaxminddb-offset-integer-overflow.mmdb"),
        ),
        ("marker", include_bytes!("../../fixtures/maxmind/libmaxminddb-metadata-marker-only.mmdb")),
        ("cycle", include_bytes!("../../fixtures/maxmind/cyclic-data-structure.mmdb")),
        ("record", include_bytes!("../../fixtures/maxmind/invalid-data-record-offset.mmdb")),
        ("octets", include_bytes!("../../fixtures/maxmind/unexpected-bytes.mmdb")),
    ];
    for (name, bytes) in files {
        let error = read(name, bytes, None, &mut |_, _| {}).expect_err(name);
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_cut_database_is_refused() {
    for len in [MAXMIND_CITY.len() / 2, MAXMIND_CITY.len() - 1, 1] {
        assert!(read("cut.mmdb", &MAXMIND_CITY[..len], None, &mut |_, _| {}).is_err(), "{len}");
    }
}

#[test]
fn progress_rises_to_its_total() {
    let mut seen = Vec::new();
    read("dbip-city.mmdb", CITY, None, &mut |done, total| seen.push((done, total))).unwrap();
    assert!(!seen.is_empty());
    assert!(seen.iter().all(|(done, total)| done <= total));
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0));
}

fn range() -> impl Strategy<Value = Range<u32>> {
    (0_u32..300, 0_u32..80, 1_u32..4).prop_map(|(at, len, fact)| {
        let start = u32::MAX - 350 + at;
        Range { start, last: start.saturating_add(len), fact }
    })
}

proptest! {
    #[test]
    fn overlapping_ranges_flatten_to_the_innermost(ranges in prop::collection::vec(range(), 0..12)) {
        let flat = flatten(ranges.clone());
        prop_assert_eq!(flat[0].0, 0);
        prop_assert!(flat.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for key in u32::MAX - 360..=u32::MAX {
            let inside = ranges.iter().enumerate().filter(|(_, it)| it.start <= key && key <= it.last);
            let best = inside.max_by_key(|(at, it)| (it.start, std::cmp::Reverse(it.last), *at));
            let ours = flat.iter().rev().find(|(start, _)| *start <= key).map(|(_, fact)| *fact);
            prop_assert_eq!(ours.unwrap(), best.map_or(0, |(_, it)| it.fact), "{}", key);
        }
    }

    #[test]
    fn a_mutated_mmdb_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        for whole in [MAXMIND_CITY, MAXMIND_ASN] {
            let mut bytes = whole.to_vec();
            for (at, octet) in &edits {
                let at = at.index(bytes.len());
                bytes[at] = *octet;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
            }
            let _ = read("mutated", &bytes, None, &mut |_, _| {});
        }
    }

    #[test]
    fn a_mutated_xdb_or_csv_never_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        near_end in any::<bool>(),
    ) {
        let csv = b"start_ip,end_ip,country,asn\n1.0.0.0,1.0.0.255,AU,13335\n2400::,2400::ff,CN,AS4134\n";
        for whole in [china(), csv.to_vec()] {
            let mut bytes = whole;
            let from = if near_end { bytes.len().saturating_sub(400) } else { 0 };
            for (at, octet) in &edits {
                let at = from + at.index(bytes.len() - from);
                bytes[at] = *octet;
            }
            let _ = read("mutated", &bytes, None, &mut |_, _| {});
        }
    }
}
