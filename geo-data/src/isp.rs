//! From an AS number, or an operator's name, to an ISP group.
//!
//! The table in `data/isp-groups.csv` holds China's carriers (Telecom, Unicom, Mobile with TieTong,
//! CERNET, CSTNET, the broadcasters) and the large eyeball networks of the world that announce from
//! several ASes; the rules it was made by are at its head. Any other AS is a group of its own. A
//! carrier's backbone AS is national: a province never follows from it.

use std::collections::HashMap;
use std::sync::OnceLock;

use model::geo::Isp;

/// A group and its AS numbers per line; its head says how it was made.
const GROUPS: &str = include_str!("../data/isp-groups.csv");

/// Words for China's carriers in databases and documents, each with its group.
/// TieTong (铁通) was merged into Mobile in 2015.
const NAMES: [(&str, &str); 20] = [
    ("ct", "cn-ct"),
    ("cu", "cn-cu"),
    ("cm", "cn-cm"),
    ("edu", "cn-edu"),
    ("电信", "cn-ct"),
    ("中国电信", "cn-ct"),
    ("联通", "cn-cu"),
    ("中国联通", "cn-cu"),
    ("网通", "cn-cu"),
    ("移动", "cn-cm"),
    ("中国移动", "cn-cm"),
    ("铁通", "cn-cm"),
    ("中国铁通", "cn-cm"),
    ("教育网", "cn-edu"),
    ("中国教育网", "cn-edu"),
    ("科技网", "cn-cst"),
    ("广电", "cn-cbn"),
    ("广电网", "cn-cbn"),
    ("中国广电", "cn-cbn"),
    ("歌华", "cn-cbn"),
];

/// The ISP group of an AS: one of the table's groups, else `as` and the number.
pub fn group(asn: u32) -> Isp {
    if let Some(&isp) = groups().get(&asn) {
        return isp;
    }
    own_group(asn)
}

/// The group of a carrier by the name a database or a document gives it (`电信`, `ct`, `广东广电`).
/// `None` when the name is none of China's carriers'.
pub fn named(name: &str) -> Option<Isp> {
    let exact = NAMES.iter().find(|(word, _)| *word == name);
    // Each province has a broadcaster of its own name; all are China Broadnet today.
    let group = match exact {
        Some((_, group)) => group,
        None if name.ends_with("广电") => "cn-cbn",
        None => return None,
    };
    Isp::parse(group).ok()
}

/// Every group of the table with its AS numbers, in the table's order.
pub fn table() -> impl Iterator<Item = (Isp, Vec<u32>)> {
    GROUPS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (group, numbers) = line.split_once(',')?;
        let numbers = numbers.split(' ').filter_map(|number| number.parse().ok()).collect();
        Some((Isp::parse(group).ok()?, numbers))
    })
}

fn own_group(asn: u32) -> Isp {
    #[expect(clippy::expect_used, reason = "`as` and ten digits are a token of 16 octets")]
    Isp::parse(&format!("as{asn}")).expect("a token")
}

fn groups() -> &'static HashMap<u32, Isp> {
    static TABLE: OnceLock<HashMap<u32, Isp>> = OnceLock::new();
    TABLE.get_or_init(|| {
        table().flat_map(|(isp, numbers)| numbers.into_iter().map(move |asn| (asn, isp))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_carriers_have_their_ases() {
        for (asn, expected) in [
            (4134, "cn-ct"),
            (4809, "cn-ct"),
            (4812, "cn-ct"),
            (4837, "cn-cu"),
            (17622, "cn-cu"),
            (9808, "cn-cm"),
            (9394, "cn-cm"),
            (56040, "cn-cm"),
            (4538, "cn-edu"),
            (7497, "cn-cst"),
            (7641, "cn-cbn"),
            (7922, "us-comcast"),
            (3462, "tw-hinet"),
            (15169, "as15169"),
            (45090, "as45090"),
            (0, "as0"),
            (u32::MAX, "as4294967295"),
        ] {
            assert_eq!(group(asn).as_str(), expected);
        }
    }

    #[test]
    fn no_as_is_in_two_groups_and_no_row_is_lost() {
        let rows: usize = table().map(|(_, numbers)| numbers.len()).sum();
        assert_eq!(groups().len(), rows);
        let lines: Vec<_> = GROUPS.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(table().count(), lines.len());
        assert_eq!(
            lines.iter().map(|line| line.split([',', ' ']).count() - 1).sum::<usize>(),
            rows
        );
    }

    #[test]
    fn carriers_are_known_by_name() {
        let name = |text| named(text).map(|isp| isp.to_string());
        assert_eq!(name("电信").as_deref(), Some("cn-ct"));
        assert_eq!(name("铁通").as_deref(), Some("cn-cm"));
        assert_eq!(name("ct").as_deref(), Some("cn-ct"));
        assert_eq!(name("广东广电").as_deref(), Some("cn-cbn"));
        assert_eq!(name("阿里云"), None);
        assert_eq!(name("中华电信"), None);
        assert_eq!(name(""), None);
    }
}
