use model::name::DnsName;

use super::*;

#[track_caller]
fn check(record_type: &str, rdata: &[u8], wanted: &str) {
    let record_type = RecordType::parse(record_type).unwrap();
    assert_eq!(present(record_type, Reader::new(rdata), rdata.len()), wanted);
}

fn wire(name: &str) -> Vec<u8> {
    DnsName::parse(name).unwrap().as_wire().to_vec()
}

#[test]
fn fields_are_told_in_order() {
    check("A", &[192, 0, 2, 1], "192.0.2.1");
    check("AAAA", &[&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1]].concat(), "2001:db8::1");
    check("CNAME", &wire("www.example"), "www.example.");
    check("MX", &[&[0, 10][..], &wire("mail.example")].concat(), "10 mail.example.");
    check("SRV", &[&[0, 1, 0, 2, 1, 187][..], &wire("s.example")].concat(), "1 2 443 s.example.");
    let times = [7_u32, 7200, 900, 1_209_600, 60].map(u32::to_be_bytes).concat();
    check(
        "SOA",
        &[wire("ns.example"), wire("h.example"), times].concat(),
        "ns.example. h.example. 7 7200 900 1209600 60",
    );
    check("DS", &[0, 1, 13, 2, 0xab, 0x01], "1 13 2 ab01");
    check("CAA", b"\x80\x05issueca.example; a=\"b\"", "128 issue \"ca.example; a=\\\"b\\\"\"");
    check("HINFO", b"\x07RFC8482\x00", "\"RFC8482\" \"\"");
    check(
        "NAPTR",
        &[&b"\x00\x0a\x00\x0b\x01u\x07E2U+sip\x06!^.*$!"[..], &[0]].concat(),
        "10 11 \"u\" \"E2U+sip\" \"!^.*$!\" .",
    );
}

#[test]
fn texts_are_quoted_and_escaped() {
    check("TXT", b"\x04deep", "\"deep\"");
    check("TXT", b"\x01a\x00\x03b c", "\"a\" \"\" \"b c\"");
    check("TXT", b"\x07\"\\\x00\x7f\xff;=", "\"\\\"\\\\\\000\\127\\255;=\"");
}

#[test]
fn service_parameters_are_told_by_name_where_they_have_a_form() {
    check("HTTPS", b"\x00\x01\x00", "1 .");
    check("SVCB", &[&[0, 0][..], &wire("a.example")].concat(), "0 a.example.");
    check(
        "HTTPS",
        &[
            &b"\x00\x01\x00\x00\x01\x00\x06\x02h2\x02h3\x00\x02\x00\x00\x00\x03\x00\x02\x20\xfb"[..],
            &b"\x00\x04\x00\x08\xc0\x00\x02\x01\xc0\x00\x02\x02"[..],
            &[0, 6, 0, 16, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &b"\x02\x9a\x00\x02\"\x01"[..],
        ]
        .concat(),
        "1 . alpn=\"h2,h3\" no-default-alpn port=8443 ipv4hint=192.0.2.1,192.0.2.2 \
         ipv6hint=2001:db8::1 key666=\"\\\"\\001\"",
    );
    // A value that its form cannot hold is told as octets.
    check("HTTPS", b"\x00\x01\x00\x00\x01\x00\x04\x03a,b", "1 . key1=\"\\003a,b\"");
    check("HTTPS", b"\x00\x01\x00\x00\x04\x00\x03abc", "1 . key4=\"abc\"");
}

#[test]
fn what_has_no_row_or_breaks_it_is_told_as_octets() {
    check("TYPE65280", b"\x01\xab", "\\# 2 01ab");
    check("TYPE65280", b"", "\\# 0");
    check("A", &[192, 0, 2], "\\# 3 c00002");
    check("A", &[192, 0, 2, 1, 9], "\\# 5 c000020109");
    check("TXT", b"\x05abc", "\\# 4 05616263");
    check("CNAME", b"\x03abc", "\\# 4 03616263");
    check("CAA", b"\x00\x02a-x", "\\# 5 0002612d78");
}
