use proptest::prelude::*;

use super::*;

fn name(text: &str) -> DnsName {
    DnsName::parse(text).unwrap()
}

#[track_caller]
fn check(target: &str, wanted: Request) {
    assert_eq!(Request::parse(target), Ok(wanted));
}

/// The status and the sentence.
#[track_caller]
fn check_refused(target: &str, status: u16, wanted: &str) {
    let error = Request::parse(target).unwrap_err();
    assert_eq!((error.status(), error.to_string().as_str()), (status, wanted));
}

fn resolve(record_type: RecordType, client: Option<&str>) -> Resolve {
    let client = client.map(|text| Prefix::parse(text).unwrap());
    Resolve {
        name: name("www.example"),
        record_type,
        client,
        place: None,
        detail: Detail::Plain,
        signature: None,
    }
}

#[test]
fn our_own_form() {
    check("/resolve?name=www.example", Request::Resolve(resolve(RecordType::A, None)));
    check(
        "/resolve?type=aaaa&name=WWW.example.&ip=192.0.2.1",
        Request::Resolve(resolve(RecordType::AAAA, Some("192.0.2.1/32"))),
    );
    check(
        "/resolve?name=www.example&type=65&edns_client_subnet=2001:db8::/32&cd=0&do=true&ct=",
        Request::Resolve(resolve(RecordType::HTTPS, Some("2001:db8::/32"))),
    );
    check(
        "/resolve?name=www.example&type=TYPE65&edns_client_subnet=0.0.0.0%2F0",
        Request::Resolve(resolve(RecordType::HTTPS, Some("0.0.0.0/0"))),
    );
    check(
        "/resolve?name=%77ww.example&ip=::ffff:192.0.2.1&explain=1&random_padding=xxxx",
        Request::Resolve(Resolve {
            detail: Detail::Explain,
            ..resolve(RecordType::A, Some("192.0.2.1/32"))
        }),
    );
}

#[test]
fn forms_of_the_large_providers() {
    let hosts = Hosts {
        names: vec![name("www.example")],
        ip: None,
        families: Families::V4,
        shape: HostsShape::Single,
        signature: None,
    };
    check("/100000/d?host=www.example", Request::Hosts(hosts.clone()));
    check(
        "/100000/d?host=www.example&ip=192.0.2.1&query=4,6&sdk=ios_3.1&sid=abc&net=wifi",
        Request::Hosts(Hosts {
            ip: "192.0.2.1".parse().ok(),
            families: Families::Both,
            ..hosts.clone()
        }),
    );
    check(
        "/my_account-1/resolve?host=www.example,b.example,www.example&query=6",
        Request::Hosts(Hosts {
            names: vec![name("www.example"), name("b.example")],
            families: Families::V6,
            shape: HostsShape::Batch,
            ..hosts
        }),
    );
    let plain = Plain {
        name: name("www.example"),
        ip: None,
        record_type: RecordType::A,
        ttl: PlainTtl::Leave,
        signature: None,
    };
    check("/d?dn=www.example.", Request::Plain(plain.clone()));
    check(
        "/d?dn=www.example&ip=2001:db8::1&ttl=1&type=AAAA",
        Request::Plain(Plain {
            ip: "2001:db8::1".parse().ok(),
            record_type: RecordType::AAAA,
            ttl: PlainTtl::Append,
            ..plain
        }),
    );
}

#[test]
fn a_redirect_keeps_path_and_query_as_sent() {
    for (target, rest) in [
        ("/go/www.example", "/"),
        ("/go/www.example/", "/"),
        ("/go/www.example?a=1", "/?a=1"),
        ("/go/www.example/a%20b/../c?x=%00&x=y#", "/a%20b/../c?x=%00&x=y#"),
        ("/go/www.example//evil.example/", "//evil.example/"),
        ("/go/WWW%2Eexample/d", "/d"),
    ] {
        check(target, Request::Go(Go { name: name("www.example"), rest: rest.to_owned() }));
    }
}

#[test]
fn what_is_half_right_is_refused_with_its_name() {
    let taken = "help: this form takes `name`, `type`, `ip`, `edns_client_subnet`, `lat`, `lon`, \
                 `cell`, `area`, `country`, `subdivision`, `isp`, `class`, `explain`, `t` and `s`";
    for key in ["latitude", "client", "LAT", "NAME", ""] {
        check_refused(
            &format!("/resolve?name=a&{key}=1"),
            400,
            &format!("unsupported parameter `{key}`; {taken}"),
        );
    }
    for (target, wanted) in [
        ("/resolve", "`name` is missing"),
        ("/resolve?name=a&name=b", "`name` is given twice"),
        ("/resolve?name=a&n%61me=b", "`name` is given twice"),
        (
            "/resolve?name=a&ip=1.1.1.1&edns_client_subnet=1.1.1.0/24",
            "`ip` and `edns_client_subnet` exclude each other",
        ),
        ("/resolve?name=a..b", "`name` is not a domain name"),
        ("/resolve?name=", "`name` is not a domain name"),
        ("/resolve?name=%C3%A9.example", "`name` is not in ASCII (`xn--…`)"),
        ("/resolve?name=%", "`%` is not percent-encoded UTF-8"),
        ("/resolve?name=%4", "`%4` is not percent-encoded UTF-8"),
        ("/resolve?name=%+1", "`%+1` is not percent-encoded UTF-8"),
        ("/resolve?name=%ff", "`%ff` is not percent-encoded UTF-8"),
        ("/resolve?name=a&type=", "`type` is not a record type"),
        ("/resolve?name=a&type=65536", "`type` is not a record type"),
        ("/resolve?name=a&type=BOGUS", "`type` is not a record type"),
        ("/resolve?name=a&ip=1.2.3", "`ip` is not an IP address"),
        ("/resolve?name=a&ip=01.2.3.4", "`ip` is not an IP address"),
        ("/resolve?name=a&ip=fe80::1%25eth0", "`ip` is not an IP address"),
        ("/resolve?name=a&ip=1.2.3.4/24", "`ip` is not an IP address"),
        ("/resolve?name=a&explain=yes", "`explain` is not 0 or 1"),
        ("/resolve?name=a&lat=95&lon=0", "`lat` is not a latitude in degrees, from -90 to 90"),
        ("/resolve?name=a&lat=5", "`lon` is missing beside `lat`"),
        ("/resolve?name=a&cell=1&area=b", "`cell` and `area` exclude each other"),
        ("/resolve?name=a&cell=1&class=slow", "`class` is not `realtime`, `interactive` or `bulk`"),
        (
            "/resolve?name=a&class=bulk",
            "`class` needs a place; help: give `lat` and `lon`, `cell`, `area`, `subdivision` or \
             `country`",
        ),
        ("/1/d?host=a,b", "`host` is not one name"),
        ("/1/d?host=a&query=5", "`query` is not 4, 6 or 4,6"),
        ("/1/resolve?host=a,b,c,d,e,f", "`host` is not a list of up to 5"),
        ("/1/resolve?host=a,,b", "`host` is not a domain name"),
        ("/d?dn=a&type=addrs", "`type` is not a record type"),
        ("/d?dn=a&type=MX", "`type` is not `A` or `AAAA`"),
        (
            "/d?dn=a&alg=des",
            "unsupported parameter `alg`; help: this form takes `dn`, `ip`, `ttl`, `type`, `t` and `s`",
        ),
        ("/1/d?host=a&s=0", "`t` is missing"),
        ("/1/d?host=a&t=0", "`s` is missing"),
        ("/1/d?host=a&s=0&t=1", "`s` is not 64 hexadecimal digits"),
        ("/1/d?host=a&s=0&t=+1", "`t` is not a time in Unix seconds"),
        ("/1/d?host=a&s=0&t=%2B1", "`t` is not a time in Unix seconds"),
        ("/1/d?host=a&s=0&t=4294967296", "`t` is not a time in Unix seconds"),
        (
            "/1/d?host=a&sign=0",
            "unsupported parameter `sign`; help: this form takes `host`, `ip`, `query`, `t` and `s`",
        ),
        ("/go/", "`NAME` is missing"),
        ("/go/a..b/", "`NAME` is not a domain name"),
    ] {
        check_refused(target, 400, wanted);
    }
}

#[test]
fn prefixes_that_are_none_are_refused() {
    let bad_prefix = "`edns_client_subnet` is not an IP prefix without host bits";
    for prefix in [
        "1.2.3.4/24",
        "1.2.3.0/33",
        "::/129",
        "1.2.3.0/",
        "1.2.3.0/-1",
        "1.2.3.0/+1",
        "/24",
        "1.2.3.0/24/0",
        "2001:db8::1/64",
    ] {
        check_refused(&format!("/resolve?name=a&edns_client_subnet={prefix}"), 400, bad_prefix);
    }
}

#[test]
fn paths_that_are_not_ours() {
    let wanted =
        "no such path; help: ask `/resolve?name=`, `/d?dn=`, `/ACCOUNT/d?host=` or `/go/NAME/`";
    let long = format!("/{}/d?host=a", "a".repeat(65));
    for target in
        ["", "/", "*", "/resolve/", "//d", "/a/b/d", "/d/", "/go", "/a%2Fb/d?host=a", &long]
    {
        check_refused(target, 404, wanted);
    }
}

#[test]
fn sizes_are_bounded() {
    let at_most = format!("/resolve?name=a&random_padding={}", "x".repeat(2048 - 31));
    assert_eq!(at_most.len(), TARGET_OCTETS_MAX);
    assert!(Request::parse(&at_most).is_ok());
    check_refused(&format!("{at_most}x"), 414, "path and query are longer than 2048 octets");
    let many: String = (0..33).map(|number| format!("{number}&")).collect();
    check_refused(&format!("/resolve?{many}"), 400, "more than 32 parameters");
    // The longest name there is, every octet of it escaped and encoded.
    let label = |octets: usize| "%5C000".repeat(octets);
    let longest = format!("{}.{}.{}.{}", label(63), label(63), label(63), label(61));
    let target = format!("/resolve?name={longest}");
    assert!(target.len() <= TARGET_OCTETS_MAX);
    assert!(Request::parse(&target).is_ok());
    check_refused(&target.replace("?name=", "?name=a"), 400, "`name` is not a domain name");
}

#[test]
fn lookups_are_counted_for_the_rate() {
    for (target, lookups) in [
        ("/resolve?name=a", 1),
        ("/resolve?name=a&explain=1", 10),
        ("/1/d?host=a&query=4,6", 2),
        ("/1/resolve?host=a,b,c", 3),
        ("/1/resolve?host=a,b,c&query=4,6", 6),
        ("/d?dn=a", 1),
        ("/go/a/", 1),
    ] {
        assert_eq!(Request::parse(target).unwrap().lookups(), lookups, "{target}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_panics(
        form in prop::sample::select(vec!["", "/", "/resolve?", "/d?", "/a/d?", "/go/", "/a/resolve?host="]),
        rest in "([a-z./&=%+]|name|ip|%[0-9a-fA-F]{2}|\\PC){0,60}",
    ) {
        let _either = Request::parse(&format!("{form}{rest}"));
    }

    #[test]
    fn a_prefix_is_taken_exactly_when_it_has_no_host_bits(octets: [u8; 4], len in 0_u8..=40) {
        let ip = u32::from_be_bytes(octets);
        let is_whole = len <= 32 && (len == 32 || ip << len == 0);
        let text = format!("{}/{len}", Ipv4Addr::from(ip));
        prop_assert_eq!(Prefix::parse(&text).is_some(), is_whole);
    }
}
