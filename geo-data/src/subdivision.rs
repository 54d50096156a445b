//! Names of subdivisions to ISO 3166-2 codes: the spellings of the databases, and China's own.

use std::collections::HashMap;
use std::sync::OnceLock;

use model::geo::{Country, Subdivision};

/// Country, code and name per line; its head says where it is from.
const NAMES: &str = include_str!("../data/subdivisions.csv");

/// China's provinces: code, then the Chinese name without `省`, `市`, `自治区` and the like.
/// Longer names that begin with it are the same place.
const CHINA: [(&str, &str); 31] = [
    ("CN-AH", "安徽"),
    ("CN-BJ", "北京"),
    ("CN-CQ", "重庆"),
    ("CN-FJ", "福建"),
    ("CN-GD", "广东"),
    ("CN-GS", "甘肃"),
    ("CN-GX", "广西"),
    ("CN-GZ", "贵州"),
    ("CN-HA", "河南"),
    ("CN-HB", "湖北"),
    ("CN-HE", "河北"),
    ("CN-HI", "海南"),
    ("CN-HL", "黑龙江"),
    ("CN-HN", "湖南"),
    ("CN-JL", "吉林"),
    ("CN-JS", "江苏"),
    ("CN-JX", "江西"),
    ("CN-LN", "辽宁"),
    ("CN-NM", "内蒙古"),
    ("CN-NX", "宁夏"),
    ("CN-QH", "青海"),
    ("CN-SC", "四川"),
    ("CN-SD", "山东"),
    ("CN-SH", "上海"),
    ("CN-SN", "陕西"),
    ("CN-SX", "山西"),
    ("CN-TJ", "天津"),
    ("CN-XJ", "新疆"),
    ("CN-XZ", "西藏"),
    ("CN-YN", "云南"),
    ("CN-ZJ", "浙江"),
];

/// Places that Chinese databases list as provinces and ISO 3166-1 as countries.
const CHINA_COUNTRIES: [(Country, &str); 3] =
    [(Country(*b"HK"), "香港"), (Country(*b"MO"), "澳门"), (Country(*b"TW"), "台湾")];

/// ISO 3166-2 also lists them under China; the canonical key is the country's.
const CHINA_CODES: [(&str, Country); 3] =
    [("CN-HK", Country(*b"HK")), ("CN-MO", Country(*b"MO")), ("CN-TW", Country(*b"TW"))];

/// What a name or code of a subdivision stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Region {
    pub(crate) country: Country,
    pub(crate) subdivision: Option<Subdivision>,
}

/// Finds a subdivision by its name in a country's databases: English as in DB-IP, or Chinese.
pub(crate) fn named(country: Country, name: &str) -> Option<Region> {
    if country == Country(*b"CN")
        && let Some(region) = chinese(name)
    {
        return Some(region);
    }
    let code = *names().get(&(country, plain(name)))?;
    Some(Region { country, subdivision: Some(code) })
}

/// Takes the second half of an ISO 3166-2 code (`GD`) or the whole of it (`CN-GD`).
pub(crate) fn coded(country: Country, code: &str) -> Option<Region> {
    let whole = match code.split_once('-') {
        Some((first, _)) if first.eq_ignore_ascii_case(country.as_str()) => code.to_uppercase(),
        Some(_) => return None,
        None => format!("{country}-{}", code.to_uppercase()),
    };
    if let Some(&(_, country)) = CHINA_CODES.iter().find(|(code, _)| *code == whole) {
        return Some(Region { country, subdivision: None });
    }
    let half = whole.get(3..)?;
    if half.is_empty() || half.len() > 3 || !half.bytes().all(|octet| octet.is_ascii_alphanumeric())
    {
        return None;
    }
    Some(Region { country, subdivision: Some(Subdivision::parse(&whole).ok()?) })
}

/// Finds a Chinese province by its Chinese name, with or without its kind (`广东`, `广东省`).
pub(crate) fn chinese(name: &str) -> Option<Region> {
    if let Some(&(country, _)) = CHINA_COUNTRIES.iter().find(|(_, stem)| name.starts_with(stem)) {
        return Some(Region { country, subdivision: None });
    }
    let (code, _) = CHINA.iter().find(|(_, stem)| name.starts_with(stem))?;
    Some(Region { country: Country(*b"CN"), subdivision: Some(Subdivision::parse(code).ok()?) })
}

/// Every row of the table of names.
fn rows() -> impl Iterator<Item = (Country, Subdivision, &'static str)> {
    NAMES.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut cells = line.splitn(3, ',');
        let (country, code, name) = (cells.next()?, cells.next()?, cells.next()?);
        let code = Subdivision::parse(&format!("{country}-{code}")).ok()?;
        Some((Country::parse(country)?, code, name))
    })
}

fn names() -> &'static HashMap<(Country, String), Subdivision> {
    static TABLE: OnceLock<HashMap<(Country, String), Subdivision>> = OnceLock::new();
    TABLE.get_or_init(|| {
        rows().map(|(country, code, name)| ((country, plain(name)), code)).collect()
    })
}

/// A name without case and punctuation.
fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(country: &str, name: &str, expected: &str) {
        let found = named(Country::parse(country).unwrap(), name);
        let text = found.map_or_else(
            || "-".to_owned(),
            |region| {
                region
                    .subdivision
                    .map_or_else(|| region.country.to_string(), |code| code.to_string())
            },
        );
        assert_eq!(text, expected, "{country} {name}");
    }

    #[test]
    fn names_of_both_worlds_find_their_codes() {
        check("CN", "Guangdong", "CN-GD");
        check("CN", "广东省", "CN-GD");
        check("CN", "广西壮族自治区", "CN-GX");
        check("CN", "内蒙古", "CN-NM");
        check("CN", "Inner Mongolia", "CN-NM");
        check("CN", "陕西省", "CN-SN");
        check("CN", "山西省", "CN-SX");
        check("CN", "Shaanxi", "CN-SN");
        check("CN", "Shanxi", "CN-SX");
        check("CN", "台湾省", "TW");
        check("CN", "香港", "HK");
        check("US", "California", "US-CA");
        check("DE", "North Rhine-Westphalia", "DE-NW");
        check("GB", "England", "GB-ENG");
        check("KR", "Seoul", "KR-11");
        check("RU", "Moscow", "RU-MOW");
        check("HK", "Kowloon", "-");
        check("US", "Guangdong", "-");
    }

    #[test]
    fn every_row_is_read_and_unique() {
        let lines = NAMES.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows().count(), lines);
        assert_eq!(names().len(), lines, "two rows differ only in case or punctuation");
    }

    #[test]
    fn codes_are_completed_and_checked() {
        let cn = Country(*b"CN");
        let code = |text| coded(cn, text).map(|region| (region.country, region.subdivision));
        assert_eq!(code("GD"), Some((cn, Subdivision::parse("CN-GD").ok())));
        assert_eq!(code("cn-gd"), Some((cn, Subdivision::parse("CN-GD").ok())));
        assert_eq!(code("CN-TW"), Some((Country(*b"TW"), None)));
        assert_eq!(code("US-CA"), None);
        assert_eq!(code("GUANG"), None);
        assert_eq!(code(""), None);
    }
}
