use super::*;

fn hosts(names: &[&str]) -> Vec<SubjectAltName> {
    names.iter().map(|name| SubjectAltName::Hostname((*name).into())).collect()
}

fn source<'a>(roots: Roots<'a>, names: &'a [SubjectAltName]) -> OriginTlsSource<'a> {
    OriginTlsSource { roots, server_name: "a.example".into(), names }
}

#[test]
fn a_wildcard_covers_one_label_on_either_side() {
    for (has, want, same) in [
        ("a.example", "A.example", true),
        ("*.example", "a.example", true),
        ("*.example", "a.b.example", false),
        ("*.example", "example", false),
        ("a.example", "*.example", true),
        ("a.b.example", "*.example", false),
        ("*.example", "*.example", true),
        ("b.example", "a.example", false),
        ("*.example", ".example", false),
    ] {
        assert_eq!(same_host(has, want), same, "{has} for {want}");
    }
}

#[test]
fn a_certificate_carries_dns_names_and_uris_apart() {
    let mut params = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
    let uri = rcgen::string::Ia5String::try_from("spiffe://a.example/one").unwrap();
    params.subject_alt_names.push(rcgen::SanType::URI(uri));
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = params.self_signed(&key).unwrap();
    let uri = |text: &str| vec![SubjectAltName::Uri(text.into())];
    assert!(carries(leaf.der(), &hosts(&["x.example", "a.example"])));
    assert!(carries(leaf.der(), &uri("spiffe://a.example/one")));
    assert!(!carries(leaf.der(), &uri("spiffe://a.example/two")));
    assert!(!carries(leaf.der(), &uri("a.example")));
    assert!(!carries(leaf.der(), &hosts(&["spiffe://a.example/one"])));
    assert!(!carries(b"no certificate", &hosts(&["a.example"])));
}

#[test]
fn settings_that_cannot_be_used_say_why() {
    let made = |source: &OriginTlsSource<'_>| OriginTls::new(source, 1).map(|_| ());
    let refused = |source: &OriginTlsSource<'_>| made(source).unwrap_err().to_string();
    let empty = refused(&source(Roots::Pem(b"nothing"), &[]));
    assert_eq!(empty, "the bundle of authorities holds no usable certificate");
    let nameless = OriginTlsSource { server_name: "".into(), ..source(Roots::System, &[]) };
    assert_eq!(refused(&nameless), "`` is not a DNS name");
    let keyless = OriginClient::new(b"", b"", 1).map(|_| ()).unwrap_err();
    assert_eq!(keyless.to_string(), "the client certificate or its key cannot be used");
    assert!(made(&source(Roots::System, &[])).is_ok());
}

#[test]
fn equal_settings_are_one_origin_and_others_have_other_groups() {
    let kept = crate::kept::Kept::default();
    let (one, two) = (hosts(&["a.example"]), hosts(&["b.example"]));
    let plain = kept.origin(&source(Roots::System, &[])).unwrap();
    let again = kept.origin(&source(Roots::System, &[])).unwrap();
    assert!(Arc::ptr_eq(&plain, &again));
    let groups = [
        plain.group,
        kept.origin(&source(Roots::Anybody, &[])).unwrap().group,
        kept.origin(&source(Roots::System, &one)).unwrap().group,
        kept.origin(&source(Roots::System, &two)).unwrap().group,
    ];
    assert_eq!(groups, [1, 2, 3, 4]);
    // What nobody holds is forgotten, and its group is never given again.
    drop((plain, again));
    assert_eq!(kept.origin(&source(Roots::System, &[])).unwrap().group, 5);
}

#[test]
fn only_what_pingora_cannot_check_is_left_to_us() {
    let mut peer = HttpPeer::new("127.0.0.1:443", false, String::new());
    let names = hosts(&["a.example"]);
    for (from, cert, host) in [
        (source(Roots::System, &[]), true, true),
        (source(Roots::System, &names), true, false),
        (source(Roots::Anybody, &names), false, true),
    ] {
        peer.options.verify_cert = true;
        peer.options.verify_hostname = true;
        assert_eq!(OriginTls::new(&from, 1).unwrap().apply(None, &mut peer), 1 << 28);
        assert_eq!((peer.options.verify_cert, peer.options.verify_hostname), (cert, host));
        assert!(peer.is_tls());
        assert_eq!(peer.sni, "a.example");
    }
}
