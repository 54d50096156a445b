//! Our locale table as an MMDB file in the GeoIP2 City layout, so that a peer knows of every
//! subnet exactly what we know.
//!
//! The table's runs are sorted and disjoint, so the file's tree is built in one pass over them.
//! Format: MaxMind DB 2.0, IPv4 only, 32-bit records.

use std::collections::HashMap;

use geo_data::LocaleTable;
use model::geo::Locale;

/// Octets between tree and data (MaxMind DB 2.0, "Data Section Separator").
const SEPARATOR_OCTETS: u32 = 16;
/// What a leaf without data is called while the tree is built.
const NOTHING: u32 = u32::MAX;
/// Set on a reference to data, clear on one to a node, while the tree is built.
const DATA: u32 = 1 << 31;

/// The file's octets for the IPv4 half of a table.
pub fn encode(table: &LocaleTable) -> Vec<u8> {
    let mut data = Data::default();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for (start, class) in table.runs_v4() {
        let locale = table.classes().get(class.0 as usize);
        let reference = locale.map_or(NOTHING, |locale| data.reference(table, locale));
        if runs.last().is_none_or(|&(_, last)| last != reference) {
            runs.push((start, reference));
        }
    }
    encode_runs(&runs, &data.octets)
}

fn encode_runs(runs: &[(u32, u32)], data: &[u8]) -> Vec<u8> {
    let mut nodes = vec![[NOTHING; 2]];
    let [low, high] = [0, 1 << 31].map(|first| subtree(&mut nodes, runs, first, 31));
    nodes[0] = [low, high];
    let count = u32::try_from(nodes.len()).unwrap_or(0);
    let mut file = Vec::with_capacity(nodes.len() * 8 + data.len() + 1024);
    for reference in nodes.into_iter().flatten() {
        let record = match reference {
            NOTHING => count,
            data if data & DATA != 0 => count + SEPARATOR_OCTETS + (data & !DATA),
            node => node,
        };
        file.extend_from_slice(&record.to_be_bytes());
    }
    file.extend_from_slice(&[0; SEPARATOR_OCTETS as usize]);
    file.extend_from_slice(data);
    file.extend_from_slice(b"\xAB\xCD\xEFMaxMind.com");
    push_metadata(&mut file, count);
    file
}

/// The reference to the tree for the block of 2^`bits` addresses at `first`. Depth is at most 32.
fn subtree(nodes: &mut Vec<[u32; 2]>, runs: &[(u32, u32)], first: u64, bits: u32) -> u32 {
    let at = runs.partition_point(|&(start, _)| u64::from(start) <= first);
    let reference = at.checked_sub(1).map_or(NOTHING, |at| runs[at].1);
    let end = first + (1 << bits);
    let whole = runs.get(at).is_none_or(|&(start, _)| u64::from(start) >= end);
    if whole {
        return reference;
    }
    let node = nodes.len();
    nodes.push([NOTHING; 2]);
    let runs = &runs[at.saturating_sub(1)..];
    let upto = runs.partition_point(|&(start, _)| u64::from(start) < end);
    let low = subtree(nodes, &runs[..upto], first, bits - 1);
    let high = subtree(nodes, &runs[..upto], first + (1 << (bits - 1)), bits - 1);
    nodes[node] = [low, high];
    u32::try_from(node).unwrap_or(NOTHING)
}

/// The data section: one map per distinct place.
#[derive(Default)]
struct Data {
    octets: Vec<u8>,
    known: HashMap<Vec<u8>, u32>,
}

impl Data {
    fn reference(&mut self, table: &LocaleTable, locale: &Locale) -> u32 {
        let Some(country) = locale.country else { return NOTHING };
        let mut map = Vec::new();
        let point = locale.point.or_else(|| table.centre(country, locale.subdivision));
        let fields = [true, locale.subdivision.is_some(), point.is_some()];
        push_head(&mut map, MAP, fields.into_iter().filter(|there| *there).count());
        push_text(&mut map, "country");
        push_head(&mut map, MAP, 1);
        push_text(&mut map, "iso_code");
        push_text(&mut map, country.as_str());
        if let Some(subdivision) = locale.subdivision {
            push_text(&mut map, "subdivisions");
            map.extend_from_slice(&[1, ARRAY_EXTENDED]);
            push_head(&mut map, MAP, 1);
            push_text(&mut map, "iso_code");
            let code = subdivision.as_str();
            push_text(&mut map, code.split_once('-').map_or(code, |(_, code)| code));
        }
        if let Some(point) = point {
            push_text(&mut map, "location");
            push_head(&mut map, MAP, 2);
            push_text(&mut map, "latitude");
            push_double(&mut map, f64::from(point.lat_cdeg) / 100.0);
            push_text(&mut map, "longitude");
            push_double(&mut map, f64::from(point.lon_cdeg) / 100.0);
        }
        if let Some(&known) = self.known.get(&map) {
            return known;
        }
        let reference = u32::try_from(self.octets.len()).unwrap_or(0) | DATA;
        self.octets.extend_from_slice(&map);
        self.known.insert(map, reference);
        reference
    }
}

// Type numbers of the format's control octet.
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
/// Extended types are announced by 0 and follow minus 7: unsigned 64-bit is 9, array 11.
const UINT64_EXTENDED: u8 = 2;
const ARRAY_EXTENDED: u8 = 4;

/// Control octet; every size here is below 285.
fn push_head(into: &mut Vec<u8>, kind: u8, size: usize) {
    let size = u8::try_from(size.min(284) % 256).unwrap_or(0);
    match size.checked_sub(29) {
        None => into.push(kind << 5 | size),
        Some(more) => into.extend_from_slice(&[kind << 5 | 29, more]),
    }
}

fn push_text(into: &mut Vec<u8>, text: &str) {
    push_head(into, TEXT, text.len());
    into.extend_from_slice(text.as_bytes());
}

fn push_double(into: &mut Vec<u8>, value: f64) {
    push_head(into, DOUBLE, 8);
    into.extend_from_slice(&value.to_be_bytes());
}

fn push_metadata(into: &mut Vec<u8>, node_count: u32) {
    let uint16 = |into: &mut Vec<u8>, key: &str, value: u16| {
        push_text(into, key);
        push_head(into, UINT16, 2);
        into.extend_from_slice(&value.to_be_bytes());
    };
    push_head(into, MAP, 9);
    uint16(into, "binary_format_major_version", 2);
    uint16(into, "binary_format_minor_version", 0);
    uint16(into, "ip_version", 4);
    uint16(into, "record_size", 32);
    push_text(into, "node_count");
    push_head(into, UINT32, 4);
    into.extend_from_slice(&node_count.to_be_bytes());
    push_text(into, "build_epoch");
    into.extend_from_slice(&[8, UINT64_EXTENDED]);
    into.extend_from_slice(&1_u64.to_be_bytes());
    push_text(into, "database_type");
    push_text(into, "GeoIP2-City");
    push_text(into, "languages");
    into.extend_from_slice(&[1, ARRAY_EXTENDED]);
    push_text(into, "en");
    push_text(into, "description");
    push_head(into, MAP, 1);
    push_text(into, "en");
    push_text(into, "a locale table for comparisons");
}

#[cfg(test)]
mod tests;
