use super::*;

/// Every record as `owner ttl type hex`, then every finding as `line:column message`.
fn check(text: &str, expected: &[&str]) {
    let apex = DnsName::parse("edge.example").unwrap();
    let mut report = Report::default();
    let defaults = Defaults { apex: &apex, ttl_s: 300 };
    let mut found = Vec::new();
    for record in read(0, text, defaults, &mut report) {
        let hex: String = record.rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        found.push(format!("{} {} {} {hex}", record.owner, record.ttl_s, record.record_type));
    }
    for diagnostic in report.into_diagnostics(&[]) {
        let place = format!("{}:{}", diagnostic.line, diagnostic.column);
        found.push(format!("{place} {}", diagnostic.message));
    }
    assert_eq!(found, expected);
}

#[test]
fn owners_ttls_and_origins_carry_over() {
    check(
        "www 60 IN A 192.0.2.1\n\tIN 61 A 192.0.2.2\n A 192.0.2.3\n$TTL 1h\n@ A 192.0.2.4\n\
         $ORIGIN sub\na A 192.0.2.5\nfull.edge.example. A 192.0.2.6\n",
        &[
            "www.edge.example. 60 A c0000201",
            "www.edge.example. 61 A c0000202",
            "www.edge.example. 300 A c0000203",
            "edge.example. 3600 A c0000204",
            "a.sub.edge.example. 3600 A c0000205",
            "full.edge.example. 3600 A c0000206",
        ],
    );
}

#[test]
fn parentheses_and_unknown_types() {
    check(
        "a TYPE65280 \\# 2 (\n ab ; half\n cd )\nb CLASS1 A 192.0.2.1",
        &["a.edge.example. 300 TYPE65280 abcd", "4:3 unknown record type `CLASS1`"],
    );
}

#[test]
fn every_mistake_is_found_with_its_place() {
    check(
        " A 192.0.2.1\n\
         a A 192.0.2.256\n\
         b IN AAAAA ::1\n\
         c CH TXT x\n\
         d.other. A 192.0.2.1\n\
         $INCLUDE more.zone\n\
         $TTL\n\
         e 99999999999 A 192.0.2.1\n\
         f\n\
         g TXT \"open\n\
         h A 192.0.2.9\n",
        &[
            "h.edge.example. 300 A c0000209",
            "1:2 this record has no owner, and there is none before it to repeat",
            "2:5 `192.0.2.256` is not an IPv4 address",
            "3:6 unknown record type `AAAAA`",
            "4:3 class `CH` is not supported",
            "5:1 `d.other.` is not in the zone `edge.example.`",
            "6:1 `$INCLUDE` is not supported",
            "7:1 `$TTL` takes one value",
            "8:3 `99999999999` is not a TTL",
            "9:1 this line has no record type",
            "10:7 this quote is never closed",
        ],
    );
}
