//! The world table that ships with the program: country, subdivision and network of every address.
//!
//! Made by `scripts/rebuild-geo` from DB-IP City Lite, the RouteViews/NRO ASN table and ip2region for
//! China, so that a first run needs neither an account nor a download. `NOTICE` has the licences.

use crate::table::LocaleTable;

/// The table file.
const WORLD: &[u8] = include_bytes!("../data/world.geo");

impl LocaleTable {
    /// Unpacks the table that ships with the program: a few tenths of a second, about 60 MB.
    pub fn embedded() -> Self {
        #[expect(clippy::expect_used, reason = "a test unpacks the very octets that ship")]
        Self::from_bytes(WORLD).expect("the embedded table is whole")
    }

    /// The octets of the table that ships with the program.
    pub fn embedded_bytes() -> &'static [u8] {
        WORLD
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::OnceLock;

    use super::*;
    use crate::report::describe;
    use crate::source::Field;

    fn world() -> &'static LocaleTable {
        static TABLE: OnceLock<LocaleTable> = OnceLock::new();
        TABLE.get_or_init(LocaleTable::embedded)
    }

    /// Country, subdivision, ISP and AS, `-` for unknown.
    fn told(ip: &str) -> String {
        let locale = world().lookup(ip.parse().unwrap()).locale.clone();
        let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        format!(
            "{} {} {} {}",
            text(locale.country.map(|it| it.to_string())),
            text(locale.subdivision.map(|it| it.to_string())),
            text(locale.isp.map(|it| it.to_string())),
            text(locale.asn.map(|it| it.to_string())),
        )
    }

    /// Addresses on whose province and carrier DB-IP, ip2region, qqwry and the operators' own lists
    /// agree, a /24 each.
    #[test]
    fn agreed_prefixes_have_their_province_and_carrier() {
        for (net, expected) in [
            ("116.31.45", "CN CN-GD cn-ct 4134"),
            ("163.125.84", "CN CN-GD cn-cu 17623"),
            ("120.85.100", "CN CN-GD cn-cu 17622"),
            ("183.233.1", "CN CN-GD cn-cm 9808"),
            ("120.235.245", "CN CN-GD cn-cm 56040"),
            ("219.158.156", "CN CN-BJ cn-cu 4808"),
            ("114.82.126", "CN CN-SH cn-ct 4812"),
            ("183.154.78", "CN CN-ZJ cn-ct 4134"),
            ("120.68.64", "CN CN-XJ cn-ct 4134"),
            ("42.93.221", "CN CN-GS cn-ct 4134"),
            ("1.82.42", "CN CN-SN cn-ct 4134"),
            ("111.9.87", "CN CN-SC cn-cm 9808"),
            ("36.153.24", "CN CN-JS cn-cm 56046"),
            ("42.57.89", "CN CN-LN cn-cu 4837"),
            ("8.8.8", "US US-CA as15169 15169"),
        ] {
            for last in [0, 8, 255] {
                assert_eq!(told(&format!("{net}.{last}")), expected, "{net}.{last}");
            }
        }
    }

    #[test]
    fn the_rest_of_the_world_is_there_in_both_families() {
        for (ip, expected) in [
            ("1.36.0.1", "HK - hk-hkt 4760"),
            ("168.95.1.1", "TW - tw-hinet 3462"),
            ("73.0.0.1", "US US-FL us-comcast 7922"),
            ("2001:4860:4860::8888", "CA CA-QC as15169 15169"),
            ("2409:8a00::1", "CN CN-BJ cn-cm 56048"),
            ("10.0.0.1", "- - - -"),
            ("127.0.0.1", "- - - -"),
            ("192.168.1.1", "- - - -"),
            ("::1", "- - - -"),
            ("fe80::1", "- - - -"),
            ("2001:db8::1", "- - - -"),
        ] {
            assert_eq!(told(ip), expected, "{ip}");
        }
    }

    /// Registration addresses are not provinces: see `home.rs`.
    #[test]
    fn national_ipv6_of_china_is_not_all_in_beijing() {
        assert_eq!(told("240e::1"), "CN - cn-ct 4134");
        assert_eq!(told("2408:8000::1"), "CN - cn-cu 4837");
    }

    #[test]
    fn every_subdivision_has_a_centre_and_belongs_to_its_country() {
        for locale in world().classes() {
            let Some(country) = locale.country else {
                assert_eq!((locale.subdivision, locale.point), (None, None));
                continue;
            };
            assert!(locale.point.is_some(), "{locale:?}");
            if let Some(subdivision) = locale.subdivision {
                assert_eq!(subdivision.as_str().get(..2), Some(country.as_str()));
                assert!(world().centre(country, Some(subdivision)).is_some(), "{subdivision}");
            }
        }
    }

    #[test]
    fn the_file_is_small_and_its_runs_are_whole_units() {
        assert!(LocaleTable::embedded_bytes().len() <= 8_000_000);
        assert!(world().runs_v4().all(|(start, _)| start % 256 == 0));
        assert!(world().runs_v6().all(|(start, _)| start % 256 == 0));
        let (v4, v6) = world().runs_count();
        assert!(v4 > 2_000_000 && v6 > 2_000_000, "{v4} {v6}");
        assert!(world().memory_octets() < 62_000_000);
    }

    #[test]
    fn a_report_names_sources_and_attributions() {
        let report = describe(world(), "163.125.84.7".parse::<IpAddr>().unwrap());
        assert_eq!(report.to_string(), include_str!("../fixtures/report.txt"));
        assert_eq!(report.fields.len(), Field::ALL.len());
    }
}
