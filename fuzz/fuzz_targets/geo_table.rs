//! Geo files: any octets give a table whose look-ups hold, or a refusal; never a panic.
//!
//! The first octet of the input chooses what the rest is: a compiled table, its body under a right
//! checksum (or no mutation would ever get past it), a database to import, or an xdb without the
//! half megabyte of index that nobody reads.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geo_data::LocaleTable;
use geo_data::build::{self, Detail, Input};
use libfuzzer_sys::fuzz_target;

/// Magic and format 1 of a compiled table.
const HEAD: &[u8] = b"NEARGEO\n\x01\x00";
/// An xdb's header, and the part of it that means something.
const XDB_HEAD_OCTETS: usize = 16;
/// Header and vector index.
const XDB_TEXTS_AT: usize = 256 + 256 * 256 * 8;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let table = match choice % 4 {
        0 => LocaleTable::from_bytes(rest).ok(),
        1 => LocaleTable::from_bytes(&sealed(rest)).ok(),
        2 => import(rest),
        _ => import(&with_vector_index(rest)),
    };
    if let Some(table) = table {
        check(&table);
    }
});

/// A file whose body is `body`: no label, no sources, packed and with its checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut content = vec![0, 0];
    let mut left = body.len();
    while left >= 0x80 {
        content.push(left.to_le_bytes()[0] | 0x80);
        left >>= 7;
    }
    content.push(left.to_le_bytes()[0]);
    content.extend(zstd::bulk::compress(body, 1).expect("zstd packs anything"));
    [HEAD, blake3::hash(&content).as_bytes(), &content].concat()
}

fn with_vector_index(rest: &[u8]) -> Vec<u8> {
    let (head, texts) = rest.split_at(rest.len().min(XDB_HEAD_OCTETS));
    let mut file = head.to_vec();
    file.resize(XDB_TEXTS_AT, 0);
    file.extend(texts);
    file
}

fn import(bytes: &[u8]) -> Option<LocaleTable> {
    let input = Input { name: "fuzz", version: "", bytes, fields: None };
    let detail = if bytes.len() % 2 == 0 { Detail::City } else { Detail::Subdivision };
    build::table(&[input], detail, "fuzz", &mut |_| {}).ok()
}

/// What every table promises: starts rise from 0, neighbours differ, classes exist, and a look-up
/// finds the run an address is in.
fn check(table: &LocaleTable) {
    let classes = table.classes().len();
    let mut last = None;
    for (start, class) in table.runs_v4() {
        assert!((class.0 as usize) < classes, "class {class:?} of {classes}");
        assert!(last.map_or(start == 0, |(before, other)| start > before && other != class));
        let hit = table.lookup(IpAddr::V4(Ipv4Addr::from_bits(start)));
        assert!(hit.class == class && hit.prefix_len <= 32, "{hit:?}");
        last = Some((start, class));
    }
    let mut last = None;
    for (start, class) in table.runs_v6() {
        assert!((class.0 as usize) < classes, "class {class:?} of {classes}");
        assert!(last.map_or(start == 0, |(before, other)| start > before && other != class));
        last = Some((start, class));
        let ip = Ipv6Addr::from_bits(u128::from(start) << 64);
        // The first /96 and the mapped one are looked up as IPv4.
        if ip.segments()[..5] != [0; 5] {
            let hit = table.lookup(IpAddr::V6(ip));
            assert!(hit.class == class && hit.prefix_len <= 64, "{hit:?}");
        }
    }
}
