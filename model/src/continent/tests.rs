use std::collections::BTreeSet;

use super::*;

fn check(code: &str, continent: Option<Continent>) {
    assert_eq!(Country::parse(code).unwrap().continent(), continent, "{code}");
}

#[test]
fn every_assigned_code_is_there_exactly_once() {
    let codes: Vec<&str> = COUNTRIES.iter().flat_map(|(_, codes)| codes.split(' ')).collect();
    let distinct: BTreeSet<&str> = codes.iter().copied().collect();
    assert_eq!((codes.len(), distinct.len()), (250, 250));
    for (continent, codes) in COUNTRIES {
        for code in codes.split(' ') {
            check(code, Some(continent));
        }
    }
}

#[test]
fn a_code_nobody_has_is_on_no_continent() {
    for code in ["UK", "AA", "ZZ", "EU"] {
        check(code, None);
    }
    assert_eq!(Country(*b"\0\0").continent(), None);
    assert_eq!(Country(*b"cn").continent(), None);
}

#[test]
fn continents_parse_back() {
    for continent in Continent::ALL {
        assert_eq!(Continent::parse(continent.as_str()), Some(continent));
        assert_eq!(Continent::parse(&continent.as_str().to_ascii_lowercase()), Some(continent));
    }
    assert_eq!(Continent::parse("Asia"), None);
}
