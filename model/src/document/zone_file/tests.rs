use super::super::SourceFile;
use super::*;

/// Every record as `owner ttl type hex`, then every finding as `line:column message`, with the path
/// before it in files that are included.
fn check_files(sources: &[(&str, &str)], expected: &[&str]) {
    let apex = DnsName::parse("edge.example").unwrap();
    let sources: Vec<SourceFile> = sources
        .iter()
        .map(|&(path, text)| SourceFile { path: path.into(), text: text.into() })
        .collect();
    let mut report = Report::new(&sources);
    let mut files = Files::new(&sources);
    let defaults = Defaults { apex: &apex, ttl_s: 300 };
    let mut found = Vec::new();
    for record in read(0, &sources[0].text, defaults, &mut files, &mut report) {
        let hex: String = record.rdata.iter().map(|octet| format!("{octet:02x}")).collect();
        found.push(format!("{} {} {} {hex}", record.owner, record.ttl_s, record.record_type));
    }
    for diagnostic in report.into_diagnostics(&sources) {
        let path = Some(&*diagnostic.path).filter(|&path| path != "main.zone");
        let path = path.map(|path| format!("{path}:")).unwrap_or_default();
        let place = format!("{}:{}", diagnostic.line, diagnostic.column);
        found.push(format!("{path}{place} {}", diagnostic.message));
    }
    assert_eq!(found, expected);
}

fn check(text: &str, expected: &[&str]) {
    check_files(&[("main.zone", text)], expected);
}

#[test]
fn owners_ttls_and_origins_carry_over() {
    check(
        "first A 192.0.2.9\nwww 60 IN A 192.0.2.1\n\tIN 61 A 192.0.2.2\n A 192.0.2.3\n$TTL 1h\n\
         @ A 192.0.2.4\n 62 A 192.0.2.7\n A 192.0.2.8\n\
         $ORIGIN sub\na A 192.0.2.5\nfull.edge.example. A 192.0.2.6",
        &[
            "first.edge.example. 300 A c0000209",
            "www.edge.example. 60 A c0000201",
            "www.edge.example. 61 A c0000202",
            "www.edge.example. 61 A c0000203",
            "edge.example. 3600 A c0000204",
            "edge.example. 62 A c0000207",
            "edge.example. 3600 A c0000208",
            "a.sub.edge.example. 3600 A c0000205",
            "full.edge.example. 3600 A c0000206",
        ],
    );
}

#[test]
fn parentheses_and_unknown_types() {
    check(
        "a TYPE65280 \\# 2 (\r\n ab ; half\r\n cd )\r\nb CLASS1 A 192.0.2.1\r\nc class3 A 192.0.2.1",
        &[
            "a.edge.example. 300 TYPE65280 abcd",
            "b.edge.example. 300 A c0000201",
            "5:3 class `class3` is not supported",
        ],
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
         $INCLUDED more.zone\n\
         $TTL\n\
         e 99999999999 A 192.0.2.1\n\
         f\n\
         g TXT \"open\n\
         h A 192.0.2.9\n\
         $INCLUDE\n\
         $GENERATE 1-2 a A\n",
        &[
            "h.edge.example. 300 A c0000209",
            "1:2 this record has no owner, and there is none before it to repeat",
            "2:5 `192.0.2.256` is not an IPv4 address",
            "3:6 unknown record type `AAAAA`",
            "4:3 class `CH` is not supported",
            "5:1 `d.other.` is not in the zone `edge.example.`",
            "6:1 unknown directive `$INCLUDED`",
            "7:1 `$TTL` takes one value",
            "8:3 `99999999999` is not a TTL",
            "9:1 this line has no record type",
            "10:7 this quote is never closed",
            "12:1 `$INCLUDE` takes a path, and perhaps an origin",
            "13:1 `$GENERATE` takes a range, an owner, a type and data",
        ],
    );
}

#[test]
fn an_included_file_changes_nothing_for_the_one_that_includes_it() {
    check_files(
        &[
            (
                "main.zone",
                "$TTL 60\na A 192.0.2.1\n$INCLUDE parts/one.zone sub\n A 192.0.2.2\n\
                 $INCLUDE ./two.zone\nb A 192.0.2.3\n",
            ),
            (
                "parts/one.zone",
                "@ A 192.0.2.4\nc A 192.0.2.5\n$ORIGIN deeper\n$TTL 70\nd A 192.0.2.6\n\
                 $INCLUDE \"more one.zone\"\n",
            ),
            ("parts/more one.zone", "e A 192.0.2.7"),
            ("two.zone", "f A 192.0.2.8"),
        ],
        &[
            "a.edge.example. 60 A c0000201",
            "sub.edge.example. 60 A c0000204",
            "c.sub.edge.example. 60 A c0000205",
            "d.deeper.sub.edge.example. 70 A c0000206",
            "e.deeper.sub.edge.example. 70 A c0000207",
            "a.edge.example. 60 A c0000202",
            "f.edge.example. 60 A c0000208",
            "b.edge.example. 60 A c0000203",
        ],
    );
}

#[test]
fn a_mistake_in_an_included_file_names_both() {
    check_files(
        &[
            ("main.zone", "a A 192.0.2.1\n$INCLUDE parts/one.zone\n"),
            ("parts/one.zone", " A 192.0.2.2\nb A ::1\n$INCLUDE two.zone\n$INCLUDE three.zone"),
            ("parts/two.zone", "c (\n"),
        ],
        &[
            "a.edge.example. 300 A c0000201",
            "parts/one.zone:1:2 this record has no owner, and there is none before it to repeat \
             (included at `main.zone:2`)",
            "parts/one.zone:2:5 `::1` is not an IPv4 address (included at `main.zone:2`)",
            "parts/one.zone:4:10 there is no zone file `parts/three.zone` (included at \
             `main.zone:2`)",
            "parts/two.zone:1:3 this parenthesis is never closed (included at \
             `parts/one.zone:3`)",
        ],
    );
}

#[test]
fn nothing_outside_the_directory_is_included_and_no_document() {
    let outside = |path: &str, column: u32| {
        let message = format!("1:{column} `{path}` leads out of the directory");
        check_files(
            &[
                ("main.zone", &format!("$INCLUDE \"{path}\"")),
                ("../other.zone", "a A 192.0.2.1"),
                ("other.zone", "a A 192.0.2.1"),
            ],
            &[&message],
        );
    };
    for path in ["../other.zone", "/other.zone", "x/../other.zone", "x/../../other.zone", ""] {
        outside(path, 10);
    }
    check_files(
        &[("main.zone", "$INCLUDE a.yaml"), ("a.yaml", "a A 192.0.2.1")],
        &["1:10 there is no zone file `a.yaml`"],
    );
}

#[test]
fn files_that_include_themselves_come_to_an_end() {
    check_files(
        &[("main.zone", "$INCLUDE a.zone\n"), ("a.zone", "\n$INCLUDE a.zone\n$INCLUDE a.zone\n")],
        &["a.zone:2:10 files are included more than 8 deep (included at `a.zone:2`)"],
    );
    check_files(
        &[("main.zone", &"$INCLUDE a.zone\n".repeat(1_100)), ("a.zone", "")],
        &["1001:10 more than 1000 files are included"],
    );
}

#[test]
fn ranges_make_records_and_the_first_mistake_ends_them() {
    check(
        "$GENERATE 1-3/2 host${0,2} 60 A 192.0.2.$\n\
         $ORIGIN sub\n$GENERATE 9-10 $ TXT n${1}\\$ $$\n$GENERATE 254-400 h A 192.0.2.$\n\
         $GENERATE 3-1 h A 192.0.2.$\n$GENERATE 0-4 h${-2} A 192.0.2.1\n\
         $GENERATE 1-2 h A 192.0.2.${0\n@ A 192.0.2.1\n",
        &[
            "host01.edge.example. 60 A c0000201",
            "host03.edge.example. 60 A c0000203",
            "9.sub.edge.example. 60 TXT 046e3130240124",
            "10.sub.edge.example. 60 TXT 046e3131240124",
            "h.sub.edge.example. 60 A c00002fe",
            "h.sub.edge.example. 60 A c00002ff",
            "sub.edge.example. 60 A c0000201",
            "4:23 `192.0.2.256` is not an IPv4 address",
            "5:11 `3-1` is not a range",
            "6:11 an offset takes 0 below zero",
            "7:19 `${0` has no closing brace",
        ],
    );
}
