//! From an AS number to an ISP group.

use model::geo::Isp;

/// The ISP group of an AS: one of the groups, else `as` and the number.
pub fn group(asn: u32) -> Isp {
    let text = format!("as{asn}");
    #[expect(clippy::expect_used, reason = "`as` and ten digits are a token of 16 octets")]
    Isp::parse(&text).expect("a token")
}
