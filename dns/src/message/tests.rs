use super::*;

/// `www.edge.example`, A, IN, with the flags and counts of an ordinary query.
fn plain() -> Vec<u8> {
    let mut packet = vec![0x12, 0x34, 0x01, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend_from_slice(b"\x03www\x04EdGe\x07example\x00\x00\x01\x00\x01");
    packet
}

/// The same with an OPT record of these options.
fn with_options(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut rdata = Vec::new();
    for (code, value) in options {
        rdata.extend_from_slice(&code.to_be_bytes());
        rdata.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        rdata.extend_from_slice(value);
    }
    with_opt(&[&[0, 0, 41, 4, 208, 0, 0, 0, 0], &*rdata_with_length(&rdata)].concat())
}

/// Nothing but an OPT record.
fn without_question(options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut packet = with_options(options);
    packet[5] = 0;
    packet.drain(HEADER_OCTETS..plain().len());
    packet
}

fn rdata_with_length(rdata: &[u8]) -> Vec<u8> {
    [&u16::try_from(rdata.len()).expect("short").to_be_bytes(), rdata].concat()
}

fn with_opt(record: &[u8]) -> Vec<u8> {
    let mut packet = plain();
    packet[11] = 1;
    packet.extend_from_slice(record);
    packet
}

/// The fault of a packet; `None` when it is a query.
fn fault(packet: &[u8]) -> Option<Fault> {
    match parse(packet, &mut NameBuf::default()) {
        Ok(_) => None,
        Err(Refusal::Answer { fault, .. }) => Some(fault),
        Err(Refusal::Drop) => panic!("dropped: {packet:?}"),
    }
}

#[track_caller]
fn check_subnet(value: &[u8], wanted: Option<(&str, u8)>) {
    let packet = with_options(&[(8, value)]);
    let mut name = NameBuf::default();
    let found = match parse(&packet, &mut name) {
        Ok(query) => query.edns.and_then(|edns| edns.subnet),
        Err(Refusal::Answer { fault: Fault::Subnet, edns, .. }) => {
            assert_eq!(edns.and_then(|edns| edns.subnet), None, "a bad subnet is not echoed");
            None
        }
        Err(other) => panic!("{other:?}"),
    };
    let found = found.map(|subnet| {
        let ip = subnet.ip().map_or_else(|| "hidden".to_owned(), |ip| ip.to_string());
        assert_eq!(subnet.sent(), &value[4..]);
        (ip, subnet.source_len)
    });
    assert_eq!(found, wanted.map(|(ip, len)| (ip.to_owned(), len)), "{value:?}");
}

#[test]
fn a_query_is_read_whole() {
    let packet = with_options(&[(3, b""), (8, &[0, 1, 24, 0, 1, 2, 3]), (10, b"12345678")]);
    let mut name = NameBuf::default();
    let query = parse(&packet, &mut name).expect("a query");
    assert_eq!(query.name.wire(), b"\x03www\x04edge\x07example\x00");
    assert_eq!(query.record_type, RecordType::A);
    assert_eq!(query.question_end(), plain().len());
    let edns = query.edns.expect("EDNS");
    assert_eq!((edns.udp_octets_max, edns.dnssec_ok, edns.nsid), (1232, false, true));
    assert_eq!(edns.cookie, Some(b"12345678".as_slice()));
    assert_eq!(edns.subnet.expect("a subnet").source_len, 24);
}

#[test]
fn client_subnets_are_read_strictly() {
    check_subnet(&[0, 1, 24, 0, 1, 2, 3], Some(("1.2.3.0", 24)));
    check_subnet(&[0, 1, 32, 0, 1, 2, 3, 4], Some(("1.2.3.4", 32)));
    check_subnet(&[0, 1, 20, 0, 1, 2, 0x30], Some(("1.2.48.0", 20)));
    check_subnet(&[0, 1, 0, 0], Some(("hidden", 0)));
    check_subnet(&[0, 2, 0, 0], Some(("hidden", 0)));
    check_subnet(&[0, 0, 0, 0], Some(("hidden", 0)));
    check_subnet(&[0, 2, 32, 0, 0x20, 1, 0xd, 0xb8], Some(("2001:db8::", 32)));
    check_subnet(
        &[&[0, 2, 128, 0], [0xff; 16].as_slice()].concat(),
        Some(("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 128)),
    );
    for bad in [
        // Too short for its head.
        &[][..],
        &[0, 1, 24],
        // Families: unknown, none with a source.
        &[0, 3, 24, 0, 1, 2, 3],
        &[0, 0, 8, 0, 1],
        // Lengths past the address.
        &[0, 1, 33, 0, 1, 2, 3, 4, 0x80],
        &[0, 2, 129, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0x80],
        &[0, 1, 255, 0, 1, 2, 3, 4],
        // A scope in a query.
        &[0, 1, 24, 24, 1, 2, 3],
        &[0, 1, 0, 1],
        // Octets missing or too many.
        &[0, 1, 24, 0, 1, 2],
        &[0, 1, 24, 0, 1, 2, 3, 0],
        &[0, 1, 0, 0, 0],
        // Host bits.
        &[0, 1, 20, 0, 1, 2, 0x38],
        &[0, 1, 1, 0, 0x40],
        &[0, 2, 33, 0, 0x20, 1, 0xd, 0xb8, 0x40],
    ] {
        check_subnet(bad, None);
    }
    let twice = with_options(&[(8, &[0, 1, 8, 0, 1]), (8, &[0, 1, 8, 0, 1])]);
    assert_eq!(fault(&twice), Some(Fault::Subnet));
}

#[test]
fn the_name_in_a_question_is_literal_and_within_bounds() {
    let question = |name: &[u8]| {
        let mut packet = plain()[..HEADER_OCTETS].to_vec();
        packet.extend_from_slice(name);
        packet.extend_from_slice(&[0, 1, 0, 1]);
        packet
    };
    let label = |octets: u8| [&[octets], vec![b'a'; usize::from(octets)].as_slice()].concat();
    let longest = [label(63), label(63), label(63), label(61), vec![0]].concat();
    assert_eq!(longest.len(), 255);
    let too_long = [label(63), label(63), label(63), label(62), vec![0]].concat();
    let most_labels = [b"\x01a".repeat(127), vec![0]].concat();
    for (name, wanted) in [
        (longest.as_slice(), None),
        (&most_labels, None),
        (b"\x00", None),
        (&too_long, Some(Fault::Malformed)),
        (&b"\x01a".repeat(128), Some(Fault::Malformed)),
        // A pointer to itself, to the header, and one after a label.
        (b"\xc0\x0c", Some(Fault::Malformed)),
        (b"\xc0\x00", Some(Fault::Malformed)),
        (b"\x01a\xc0\x0c", Some(Fault::Malformed)),
        // Label types that nobody uses (RFC 6891, section 5).
        (b"\x41a\x00", Some(Fault::Malformed)),
        (b"\x80a\x00", Some(Fault::Malformed)),
    ] {
        assert_eq!(fault(&question(name)), wanted, "{name:?}");
    }
}

#[test]
fn sections_hold_what_they_say_and_nothing_follows() {
    let counts = |at: usize, count: u16| {
        let mut packet = plain();
        packet[at..at + 2].copy_from_slice(&count.to_be_bytes());
        packet
    };
    let opt: &[u8] = &[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0];
    let two_opts = {
        let mut packet = with_opt(&opt.repeat(2));
        packet[11] = 2;
        packet
    };
    // A TSIG-like record whose owner ends in a pointer is walked over.
    let record: &[u8] = &[1, b'k', 0xc0, 12, 0, 250, 0, 255, 0, 0, 0, 0, 0, 1, 9];
    let mut known_and_unknown = with_opt(&[opt, record].concat());
    known_and_unknown[11] = 2;
    for (packet, wanted) in [
        (plain(), None),
        // What follows is not announced.
        (counts(4, 0), Some(Fault::Malformed)),
        (counts(4, 2), Some(Fault::QuestionCount)),
        (counts(4, 0)[..HEADER_OCTETS].to_vec(), Some(Fault::QuestionCount)),
        (without_question(&[]), Some(Fault::QuestionCount)),
        (without_question(&[(10, b"12345678")]), Some(Fault::CookieAlone)),
        (without_question(&[(10, b"1234567")]), Some(Fault::Cookie)),
        (without_question(&[(10, b"12345678")])[..20].to_vec(), Some(Fault::Malformed)),
        (counts(6, 1), Some(Fault::Malformed)),
        (counts(8, 1), Some(Fault::Malformed)),
        (counts(10, 1), Some(Fault::Malformed)),
        (counts(10, 65_535), Some(Fault::Malformed)),
        ([plain(), vec![0]].concat(), Some(Fault::Malformed)),
        (with_opt(opt), None),
        (known_and_unknown, None),
        (two_opts, Some(Fault::Malformed)),
        (with_opt(&[&[1, b'a'], opt].concat()), Some(Fault::Malformed)),
        (with_opt(&opt[..10]), Some(Fault::Malformed)),
        (with_opt(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 1]), Some(Fault::Malformed)),
        (with_opt(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 2, 0, 3]), Some(Fault::Malformed)),
        (with_opt(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 3, 0, 1]), Some(Fault::Malformed)),
        (with_opt(&[0, 0, 41, 4, 208, 0, 1, 0, 0, 0, 1, 7]), Some(Fault::Version)),
        (with_options(&[(10, b"1234567")]), Some(Fault::Cookie)),
        (with_options(&[(10, b"123456789")]), Some(Fault::Cookie)),
        (with_options(&[(10, &[0; 41])]), Some(Fault::Cookie)),
        (with_options(&[(10, &[0; 40]), (65_001, &[0; 300])]), None),
    ] {
        assert_eq!(fault(&packet), wanted, "{packet:?}");
    }
}

#[test]
fn every_cut_of_a_query_is_refused_or_dropped() {
    let packet = with_options(&[(8, &[0, 1, 24, 0, 1, 2, 3])]);
    for end in 0..packet.len() {
        let mut name = NameBuf::default();
        let refusal = parse(&packet[..end], &mut name).expect_err("cut short");
        assert_eq!(refusal == Refusal::Drop, end < HEADER_OCTETS, "{end}");
    }
}

#[test]
fn an_answer_is_never_answered() {
    for flags in [0x80, 0xff] {
        let mut packet = plain();
        packet[2] = flags;
        assert!(matches!(parse(&packet, &mut NameBuf::default()), Err(Refusal::Drop)));
    }
}
