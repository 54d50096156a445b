use model::gateway::ServicePort;

use super::*;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
}

#[test]
fn near_addresses_are_not_served_in_any_disguise() {
    for text in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "169.254.169.254",
        "169.254.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::7f00:1",
        "fe80::1",
        "255.255.255.255",
        "224.0.0.1",
        "ff02::1",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
    ] {
        assert!(!is_allowed(text.parse().unwrap(), &[]), "{text}");
    }
    for text in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "fd00::1", "64:ff9b::c000:201"] {
        assert!(is_allowed(text.parse().unwrap(), &[]), "{text}");
    }
    let permitted = ["127.0.0.0/8".parse().unwrap()];
    assert!(is_allowed("127.0.0.1".parse().unwrap(), &permitted));
    assert!(is_allowed("::ffff:127.0.0.1".parse().unwrap(), &permitted));
    assert!(!is_allowed("169.254.169.254".parse().unwrap(), &permitted));
}

#[test]
fn a_good_answer_is_kept_until_there_is_a_better_one() {
    let (a, b) = (name("a.test"), name("b.test"));
    let mut book = Book::default();
    book.follow(&BTreeSet::from([a.clone(), b.clone()]));
    assert_eq!(book.due(), [a.clone(), b.clone()]);
    let answer = |text: &str, ttl_s| Some(Resolved { addresses: addresses(text), ttl_s });
    book.take(&a, answer("192.0.2.2 127.0.0.1 192.0.2.1", 1), &[]);
    book.take(&b, None, &[]);
    assert_eq!(book.found(), BTreeMap::from([(a.clone(), addresses("192.0.2.1 192.0.2.2"))]));
    assert_eq!(book.due(), []);
    for _ in 0..TTL_S_MIN {
        book.tick();
    }
    assert_eq!(book.due(), [a.clone(), b.clone()], "both five seconds later");
    book.take(&a, None, &[]);
    assert_eq!(book.found()[&a], addresses("192.0.2.1 192.0.2.2"));
    // Nothing but what may not be served is an answer too: the name has moved away.
    book.take(&a, answer("127.0.0.1", 9_999_999), &[]);
    assert_eq!(book.found()[&a], addresses(""));
    for _ in 0..TTL_S_MAX {
        book.tick();
    }
    assert!(book.due().contains(&a), "however long a TTL is");
    book.follow(&BTreeSet::from([b.clone()]));
    assert_eq!(book.found(), BTreeMap::new());
}

#[test]
fn what_resolves_is_laid_over_the_documents() {
    let mut objects = GatewayObjects::default();
    let service = |name: &str, external: Option<&str>| Service {
        meta: Meta { object: ObjectRef::new("apps", name), ..Meta::default() },
        ports: vec![ServicePort { name: Some("web".into()), port: 8080, ..ServicePort::default() }],
        external_name: external.map(Into::into),
        ..Service::default()
    };
    objects.services.insert(service("outside", Some("a.test")));
    objects.services.insert(service("unknown", Some("b.test")));
    objects.services.insert(service("damaged", Some("a..test")));
    objects.services.insert(service("inside", None));
    assert_eq!(names(&objects), BTreeSet::from([name("a.test"), name("b.test")]));
    let found = BTreeMap::from([(name("a.test"), addresses("192.0.2.1 2001:db8::1"))]);
    let all = overlay(&objects, &found);
    let slices: Vec<_> = all.endpoint_slices.iter().collect();
    let [slice] = slices.as_slice() else { panic!("{slices:?}") };
    assert_eq!(slice.service, ObjectRef::new("apps", "outside"));
    assert_eq!(slice.ports, [(Some("web".into()), 8080)]);
    let ends: Vec<_> = slice.endpoints.iter().flat_map(|one| one.addresses.clone()).collect();
    assert_eq!(ends, addresses("192.0.2.1 2001:db8::1"));
    assert!(objects.endpoint_slices.is_empty(), "the documents stay as they are");
}
