use super::*;

#[test]
fn sizes_are_octets_with_a_unit() {
    for (text, octets) in [
        ("0", Some(0)),
        ("65536", Some(65_536)),
        ("64Ki", Some(65_536)),
        ("8Mi", Some(8 << 20)),
        ("1Gi", Some(1 << 30)),
        ("5k", Some(5_000)),
        ("Mi", None),
        ("", None),
        ("-1", None),
        ("1.5Mi", None),
        ("99999999999Gi", None),
    ] {
        assert_eq!(parse(text), octets, "{text}");
    }
}

#[test]
fn nginx_writes_them_in_lower_case_and_zero_for_no_limit() {
    for (text, octets) in [
        ("8m", Some(Some(8 << 20))),
        ("64K", Some(Some(65_536))),
        ("1g", Some(Some(1 << 30))),
        ("100", Some(Some(100))),
        ("0", Some(None)),
        ("m", None),
        ("", None),
        ("é", None),
    ] {
        assert_eq!(parse_nginx(text), octets, "{text}");
    }
}
