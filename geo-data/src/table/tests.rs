use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::geo::{Area, Country, Isp, Locale, Point, Subdivision};
use model::policy::LocaleOverrides;
use proptest::prelude::*;

use super::runs::Runs;
use super::*;
use crate::source::Field;

fn locale(text: &str) -> Locale {
    let mut locale = Locale::default();
    for word in text.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "cc" => locale.country = Country::parse(value),
            "sub" => locale.subdivision = Some(Subdivision::parse(value).unwrap()),
            "city" => locale.city = Some(Arc::from(value)),
            "at" => locale.point = Some(point(value)),
            "asn" => locale.asn = Some(value.parse().unwrap()),
            "isp" => locale.isp = Some(Isp::parse(value).unwrap()),
            "area" => locale.area = Some(Area::parse(value).unwrap()),
            _ => panic!("{key}"),
        }
    }
    locale
}

fn point(text: &str) -> Point {
    let (lat, lon) = text.split_once(',').unwrap();
    Point { lat_cdeg: lat.parse().unwrap(), lon_cdeg: lon.parse().unwrap() }
}

fn nets(rows: &[(&str, &str)]) -> Vec<(IpNet, Locale)> {
    rows.iter().map(|(net, text)| (net.parse().unwrap(), locale(text))).collect()
}

fn centres() -> Centres {
    Centres::new(
        vec![(Country(*b"CN"), point("3400,10800")), (Country(*b"US"), point("3900,-9800"))],
        vec![(Subdivision::parse("CN-GD").unwrap(), point("2313,11326"))],
    )
}

fn table(rows: &[(&str, &str)]) -> LocaleTable {
    LocaleTable::from_prefixes(&nets(rows), centres())
}

fn overrides(rows: &[(&str, &str)]) -> LocaleOverrides {
    LocaleOverrides { clients: nets(rows), ..LocaleOverrides::default() }
}

#[track_caller]
fn check(table: &LocaleTable, ip: &str, expected: &str, prefix_len: u8) {
    let hit = table.lookup(ip.parse().unwrap());
    assert_eq!((hit.locale, hit.prefix_len), (&locale(expected), prefix_len), "{ip}");
}

#[test]
fn a_table_that_knows_nothing_still_answers() {
    let table = LocaleTable::default();
    check(&table, "192.0.2.1", "", 0);
    check(&table, "2001:db8::1", "", 0);
    assert_eq!(table.runs_v4().collect::<Vec<_>>(), [(0, ClassId(0))]);
    assert_eq!(table.runs_v6().collect::<Vec<_>>(), [(0, ClassId(0))]);
}

#[test]
fn the_longest_prefix_wins_and_the_hit_says_how_wide_it_holds() {
    let table = table(&[
        ("10.0.0.0/8", "cc=US at=1,1"),
        ("10.1.0.0/16", "cc=CN sub=CN-GD"),
        ("2400::/12", "cc=CN"),
        ("2400:1::/32", "cc=US"),
    ]);
    check(&table, "10.1.2.3", "cc=CN sub=CN-GD at=2313,11326", 16);
    check(&table, "10.0.255.255", "cc=US at=1,1", 16);
    check(&table, "10.128.0.0", "cc=US at=1,1", 9);
    check(&table, "11.0.0.0", "", 8);
    check(&table, "::ffff:10.1.2.3", "cc=CN sub=CN-GD at=2313,11326", 16);
    check(&table, "2400:1::7", "cc=US at=3900,-9800", 32);
    check(&table, "2400:2::7", "cc=CN at=3400,10800", 31);
    check(&table, "240f:ffff::", "cc=CN at=3400,10800", 13);
}

#[test]
fn an_override_sets_its_fields_and_leaves_the_others() {
    let base =
        table(&[("10.0.0.0/8", "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=4134 isp=cn-ct")]);
    let table = base.with_overrides(&overrides(&[
        ("10.1.0.0/16", "area=mec-7"),
        ("10.2.0.0/16", "sub=CN-GD isp=cn-cu"),
        ("10.3.0.0/16", "sub=CN-XJ"),
        ("10.4.0.0/16", "cc=US"),
        ("10.5.0.0/16", "cc=US at=5,6"),
        ("10.6.0.0/16", "asn=7018"),
        ("10.7.0.0/16", "city=Foshan"),
    ]));
    check(&table, "10.0.0.1", "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=4134 isp=cn-ct", 16);
    check(
        &table,
        "10.1.0.1",
        "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=4134 isp=cn-ct area=mec-7",
        16,
    );
    check(&table, "10.2.0.1", "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=4134 isp=cn-cu", 16);
    check(&table, "10.3.0.1", "cc=CN sub=CN-XJ at=3400,10800 asn=4134 isp=cn-ct", 16);
    check(&table, "10.4.0.1", "cc=US at=3900,-9800 asn=4134 isp=cn-ct", 16);
    check(&table, "10.5.0.1", "cc=US at=5,6 asn=4134 isp=cn-ct", 16);
    check(
        &table,
        "10.6.0.1",
        "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=7018 isp=us-att",
        16,
    );
    check(&table, "10.7.0.1", "cc=CN sub=CN-GD city=Foshan at=2313,11326 asn=4134 isp=cn-ct", 16);
    check(&table, "10.8.0.1", "cc=CN sub=CN-GD city=Shenzhen at=2255,11406 asn=4134 isp=cn-ct", 13);
}

#[test]
fn nested_overrides_add_up_field_by_field() {
    let table = LocaleTable::default().with_overrides(&overrides(&[
        ("10.1.2.0/24", "sub=CN-GD"),
        ("10.0.0.0/8", "isp=cn-ct sub=CN-BJ"),
        ("10.1.0.0/16", "area=south"),
        ("::ffff:10.9.0.0/112", "area=mapped"),
        ("2400::/64", "area=six"),
        ("2400:0:0:1::/65", "area=finer"),
    ]));
    check(&table, "10.1.2.3", "cc=CN sub=CN-GD isp=cn-ct area=south", 24);
    check(&table, "10.1.3.3", "cc=CN sub=CN-BJ isp=cn-ct area=south", 24);
    check(&table, "10.9.3.3", "cc=CN sub=CN-BJ isp=cn-ct area=mapped", 16);
    check(&table, "2400::1", "area=six", 64);
    check(&table, "2400:0:0:1::1", "", 64);
}

#[test]
fn the_whole_space_can_be_overridden() {
    let table = LocaleTable::default().with_overrides(&overrides(&[
        ("0.0.0.0/0", "cc=US"),
        ("::/0", "cc=CN"),
        ("255.255.255.255/32", "area=last"),
    ]));
    check(&table, "1.2.3.4", "cc=US", 1);
    check(&table, "255.255.255.255", "cc=US area=last", 32);
    check(&table, "ffff::", "cc=CN", 0);
}

#[test]
fn origins_tell_the_operators_fields_from_the_bases() {
    let base = table(&[("10.0.0.0/8", "cc=CN sub=CN-GD asn=4134")]);
    let table = base.with_overrides(&overrides(&[("10.1.0.0/16", "sub=CN-XJ area=west")]));
    let hit = table.lookup("10.1.0.1".parse().unwrap());
    let origins = table.origins(hit.class);
    let names: Vec<_> = Field::ALL
        .iter()
        .map(|&field| table.source(origins.of(field)).map_or("-", |source| source.name.as_str()))
        .collect();
    assert_eq!(origins.of(Field::Point), SourceId::CENTRE);
    assert_eq!(names, ["LocaleMap", "LocaleMap", "-", "-", "prefixes", "prefixes", "LocaleMap"]);
}

fn small_v4() -> impl Strategy<Value = IpNet> {
    (0_u32..1 << 12, 20_u8..=32).prop_map(|(low, len)| {
        IpNet::V4(Ipv4Net::new(Ipv4Addr::from(0xfffe_f800 + low), len).unwrap().trunc())
    })
}

fn small_v6() -> impl Strategy<Value = IpNet> {
    (0_u128..1 << 12, 48_u8..=64).prop_map(|(low, len)| {
        let bits = (0x2400_0001_ffff_f800_u128 + low) << 64;
        IpNet::V6(Ipv6Net::new(Ipv6Addr::from(bits), len).unwrap().trunc())
    })
}

fn small_locale() -> impl Strategy<Value = Locale> {
    prop::sample::select(vec![
        "cc=US",
        "cc=CN",
        "sub=CN-GD",
        "sub=US-NY at=1,2",
        "asn=4134",
        "isp=cn-cu",
        "area=a",
        "city=X",
    ])
    .prop_map(locale)
}

/// What the table must say, worked out address by address.
fn naive(base: &[(IpNet, Locale)], over: &[(IpNet, Locale)], ip: IpAddr) -> Locale {
    let longest = base.iter().enumerate().filter(|(_, (net, _))| net.contains(&ip));
    let longest = longest.max_by_key(|(at, (net, _))| (net.prefix_len(), *at));
    let mut traced =
        longest.map_or_else(Traced::default, |(_, (_, it))| Traced::new(it, SourceId(1)));
    traced.centre(&centres());
    let mut chain: Vec<_> = over.iter().filter(|(net, _)| net.contains(&ip)).collect();
    chain.sort_by_key(|(net, _)| net.prefix_len());
    for (_, over) in chain {
        traced.lay(over, SourceId(2));
    }
    traced.centre(&centres());
    traced.locale
}

proptest! {
    #[test]
    fn any_table_agrees_with_the_naive_model(
        base in prop::collection::vec((prop_oneof![small_v4(), small_v6()], small_locale()), 0..12),
        over in prop::collection::vec((prop_oneof![small_v4(), small_v6()], small_locale()), 0..12),
        lows in prop::collection::vec(0_u32..1 << 13, 40),
    ) {
        let table = LocaleTable::from_prefixes(&base, centres())
            .with_overrides(&LocaleOverrides { clients: over.clone(), ..Default::default() });
        for low in lows {
            let v4 = IpAddr::V4(Ipv4Addr::from(0xfffe_f400 + low));
            let v6 = Ipv6Addr::from((0x2400_0001_ffff_f400_u128 + u128::from(low)) << 64 | 7);
            for ip in [v4, IpAddr::V6(v6)] {
                let hit = table.lookup(ip);
                prop_assert_eq!(hit.locale, &naive(&base, &over, ip), "{}", ip);
                // The promised prefix is inside the interval, and one bit less is not.
                let net = IpNet::new(ip, hit.prefix_len).unwrap().trunc();
                prop_assert_eq!(table.lookup(net.network()).class, hit.class);
                prop_assert_eq!(table.lookup(net.broadcast()).class, hit.class);
                if let Some(wider) = net.supernet() {
                    let sibling = wider.subnets(net.prefix_len()).unwrap().find(|other| *other != net);
                    let other = table.lookup(sibling.unwrap().network());
                    let other_end = table.lookup(sibling.unwrap().broadcast());
                    let same = other.class == hit.class && other_end.class == hit.class;
                    prop_assert!(!same || other.prefix_len > net.prefix_len());
                }
            }
        }
    }

    #[test]
    fn packed_runs_give_back_what_went_in(starts in prop::collection::btree_map(any::<u64>(), 0_u32..4, 0..60)) {
        let runs = Runs::pack(starts.iter().map(|(&start, &class)| (start, ClassId(class))));
        let out: Vec<_> = runs.iter().collect();
        prop_assert_eq!(out[0].0, 0);
        prop_assert!(out.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1));
        for &key in starts.keys() {
            for key in [key, key.saturating_sub(1), key.saturating_add(1)] {
                let expected = starts.range(..=key).next_back().map_or(0, |(_, &class)| class);
                let run = runs.find(key);
                prop_assert_eq!(run.class.0, expected);
                prop_assert!(run.start <= key && run.next.is_none_or(|next| key < next));
            }
        }
    }
}

#[test]
fn a_table_cut_down_knows_what_is_left_and_nothing_else() {
    let rows = nets(&[
        ("10.0.0.0/8", "cc=DE"),
        ("10.1.0.0/16", "cc=FR asn=3215"),
        ("2001:db8::/32", "cc=CN"),
    ]);
    let base = LocaleTable::from_prefixes(&rows, Centres::default());
    let kept = ["10.0.0.0/15", "10.1.2.3/32", "192.0.2.0/24", "2001:db8:7::53/128"];
    let cut = base.within(kept.iter().map(|net| net.parse().unwrap()));
    for ip in ["10.0.0.0", "10.0.255.255", "10.1.0.0", "10.1.2.3", "192.0.2.7", "2001:db8:7::9"] {
        let ip = ip.parse().unwrap();
        let (of_cut, of_base) = (cut.lookup(ip), base.lookup(ip));
        assert_eq!(of_cut.locale, of_base.locale, "{ip}");
        assert_eq!(cut.origins(of_cut.class), base.origins(of_base.class), "{ip}");
    }
    for ip in ["9.255.255.255", "10.2.0.0", "2001:db8:7:1::", "2001:db8::"] {
        assert_eq!(*cut.lookup(ip.parse().unwrap()).locale, Locale::default(), "{ip}");
    }
    // What is outside, Germany, France, China, and what the base does not know.
    assert_eq!(cut.classes().len(), 5);
    assert_eq!(base.within(std::iter::empty()).runs_count(), (1, 1));
}
