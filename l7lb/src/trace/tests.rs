use proptest::prelude::*;

use super::*;

const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn valid_headers_are_taken_and_others_are_not() {
    let id = |text: &str| TraceId::parse(text.as_bytes()).map(|id| id.as_str().to_owned());
    assert_eq!(id(GOOD).as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    let future = GOOD.replacen("00", "cc", 1);
    assert!(id(&future).is_some());
    assert!(id(&format!("{future}-more")).is_some());
    for bad in [
        "",
        &GOOD[..54],
        &format!("{GOOD}-more"),
        &format!("{future}more"),
        &GOOD.replacen("00", "ff", 1),
        &GOOD.to_uppercase(),
        &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
        &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
        &GOOD.replace('-', "_"),
    ] {
        assert_eq!(id(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn what_is_made_is_valid(random: [u64; 3]) {
        let (id, header) = TraceId::make(random);
        prop_assert_eq!(TraceId::parse(header.as_bytes()), Some(id));
        prop_assert_eq!(id.as_str(), format!("{:016x}{:016x}", random[0], random[1] | 1));
    }

    #[test]
    fn nothing_breaks_the_parser(octets in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = TraceId::parse(&octets);
    }
}
