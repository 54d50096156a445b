use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(DnsName::parse(text).unwrap().to_string(), expected, "{text}");
}

fn check_bad(text: &str, expected: &NameError) {
    assert_eq!(DnsName::parse(text).as_ref(), Err(expected), "{text}");
}

#[test]
fn presentation_format_is_absolute_and_lower_case() {
    check("Hello.Edge.Example", "hello.edge.example.");
    check("hello.edge.example.", "hello.edge.example.");
    check(".", ".");
    check("*.a", "*.a.");
    check(r"a\.b.c", r"a\.b.c.");
    check(r"\065\000.x", r"a\000.x.");
}

#[test]
fn bad_names_say_why() {
    check_bad("", &NameError::EmptyLabel);
    check_bad("..", &NameError::EmptyLabel);
    check_bad("a..b", &NameError::EmptyLabel);
    check_bad(".a", &NameError::EmptyLabel);
    check_bad(&"a".repeat(64), &NameError::LabelTooLong);
    check_bad(&"a.".repeat(128), &NameError::NameTooLong);
    check_bad(r"a\", &NameError::BadEscape);
    check_bad(r"\25x", &NameError::BadEscape);
    check_bad(r"\256", &NameError::BadEscape);
}

#[test]
fn wire_is_taken_whole_or_not() {
    assert_eq!(DnsName::from_wire(b"\x01A\0").unwrap().as_wire(), b"\x01a\0");
    for bad in [&b""[..], b"\x01a", b"\x01a\0\0", b"\xc0\x00", b"\x02a\0", b"\x40"] {
        assert_eq!(DnsName::from_wire(bad), Err(NameError::BadWire), "{bad:?}");
    }
    assert_eq!(DnsName::from_wire(&[1; 256]), Err(NameError::NameTooLong));
}

#[test]
fn relations_go_by_labels() {
    let name = |text: &str| DnsName::parse(text).unwrap();
    assert!(name("a.edge.example").is_within(&name("edge.example")));
    assert!(name("edge.example").is_within(&name("edge.example")));
    assert!(name("edge.example").is_within(&DnsName::root()));
    assert!(!name("aedge.example").is_within(&name("edge.example")));
    assert!(!name("example").is_within(&name("edge.example")));
    assert_eq!(name("a.b").parent(), Some(name("b")));
    assert_eq!(name("b").parent(), Some(DnsName::root()));
    assert_eq!(DnsName::root().parent(), None);
    assert_eq!(name("b").child(b"a"), Ok(name("a.b")));
    assert_eq!(name("b").child(b""), Err(NameError::EmptyLabel));
    assert!(name("*.b").is_wildcard() && !name("a.*.b").is_wildcard());
    assert_eq!((name("a.b.c").label_count(), DnsName::root().label_count()), (3, 0));
}

#[test]
fn object_names_are_rfc_1123_subdomains() {
    for fine in ["a", "gd-ct-1", "a.b", "1"] {
        assert_eq!(object_name(fine), Ok(()), "{fine}");
    }
    for bad in ["", "-", "a-", "-a", "a..b", ".a", "a.-b", "A", "a_b", &"a".repeat(64)] {
        assert!(object_name(bad).is_err(), "{bad}");
    }
}

fn labels() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=20), 0..=10)
}

proptest! {
    #[test]
    fn text_and_wire_say_the_same(labels in labels()) {
        let mut wire = Vec::new();
        for label in &labels {
            wire.push(u8::try_from(label.len()).unwrap());
            wire.extend(label);
        }
        wire.push(0);
        let name = DnsName::from_wire(&wire).unwrap();
        prop_assert_eq!(&DnsName::parse(&name.to_string()).unwrap(), &name);
        prop_assert_eq!(name.label_count(), labels.len());
        let mut up = Some(name.clone());
        let mut steps = 0;
        while let Some(above) = up {
            prop_assert!(name.is_within(&above));
            up = above.parent();
            steps += 1;
        }
        prop_assert_eq!(steps, labels.len() + 1);
    }

    #[test]
    fn any_octets_are_a_name_or_an_error(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(name) = DnsName::from_wire(&octets) {
            prop_assert_eq!(name.as_wire().len(), octets.len());
        }
    }

    #[test]
    fn any_text_is_a_name_or_an_error(text in ".{0,80}") {
        if let Ok(name) = DnsName::parse(&text) {
            prop_assert!(name.as_wire().len() <= NAME_OCTETS_MAX);
        }
    }
}
