//! ISP groups by the names people write: `cn-ct`, `ct`, `电信`, `AS4134`.
//!
//! The group of an ASN is the geo data's business; this is only about spelling.

use crate::geo::Isp;

/// China's four national groups with their short and Chinese names, lower case.
const ALIASES: [(&str, &str); 17] = [
    ("ct", "cn-ct"),
    ("chinatelecom", "cn-ct"),
    ("电信", "cn-ct"),
    ("中国电信", "cn-ct"),
    ("cu", "cn-cu"),
    ("chinaunicom", "cn-cu"),
    ("联通", "cn-cu"),
    ("中国联通", "cn-cu"),
    ("cm", "cn-cm"),
    ("chinamobile", "cn-cm"),
    ("移动", "cn-cm"),
    ("中国移动", "cn-cm"),
    ("edu", "cn-edu"),
    ("cernet", "cn-edu"),
    ("教育网", "cn-edu"),
    ("中国教育网", "cn-edu"),
    ("中国教育和科研计算机网", "cn-edu"),
];

/// Reads an ISP as written in a document: an alias, a group (`cn-ct`: a country and a name) or an
/// ASN (`AS7018`). Letter case does not matter.
pub fn parse_isp(text: &str) -> Option<Isp> {
    let lower = text.to_lowercase();
    if let Some((_, group)) = ALIASES.iter().find(|(alias, _)| *alias == lower) {
        return Isp::parse(group).ok();
    }
    if let Some(number) = lower.strip_prefix("as")
        && number.bytes().all(|octet| octet.is_ascii_digit())
    {
        let asn: u32 = number.parse().ok()?;
        return Isp::parse(&format!("as{asn}")).ok();
    }
    let (country, name) = lower.split_once('-')?;
    let is_group = country.len() == 2
        && country.bytes().all(|octet| octet.is_ascii_lowercase())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        && name.bytes().any(|octet| octet.is_ascii_alphanumeric());
    is_group.then(|| Isp::parse(&lower).ok())?
}

#[cfg(test)]
mod tests;
