//! ip2region's xdb, version 2: a segment index of 14-octet entries over IPv4.
//!
//! Header of 256 octets (version u16, index policy u16, created u32, first and last segment u32),
//! a vector index of 256 x 256 pairs, region texts, then segments: first and last address u32, text
//! length u16, text position u32; all little-endian. The text is `country|area|province|city|ISP`
//! in Chinese with `0` for unknown. Only China's rows are taken.

use std::collections::HashMap;
use std::sync::Arc;

use model::geo::{Country, Locale};

use super::{Ranges, ReadError};
use crate::{isp, subdivision};

const VERSION: u16 = 2;
const HEADER_OCTETS: usize = 256;
const VECTOR_OCTETS: usize = 256 * 256 * 8;
const SEGMENT_OCTETS: usize = 14;

pub(super) fn is_xdb(bytes: &[u8]) -> bool {
    // The first segment follows the vector index and the texts, the last one ends the file.
    let (Some(version), Some(last)) = (u16_at(bytes, 0), u32_at(bytes, 12)) else { return false };
    (1..=3).contains(&version) && last as usize >= HEADER_OCTETS + VECTOR_OCTETS
}

pub(super) fn read(
    bytes: &[u8],
    ranges: &mut Ranges,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ReadError> {
    let name = ranges.name();
    let bad = |what: String| ReadError::Xdb { name: name.clone(), what };
    let version = u16_at(bytes, 0).unwrap_or(0);
    if version != VERSION {
        return Err(bad(format!("its format version is {version}")));
    }
    let first = u32_at(bytes, 8).unwrap_or(0) as usize;
    let last = u32_at(bytes, 12).unwrap_or(0) as usize;
    if first < HEADER_OCTETS + VECTOR_OCTETS
        || last < first
        || !(last - first).is_multiple_of(SEGMENT_OCTETS)
    {
        return Err(bad(format!("its segments from {first} to {last} make no sense")));
    }
    let Some(segments) = bytes.get(first..last + SEGMENT_OCTETS) else {
        return Err(bad(format!(
            "it has {} octets and should have {}",
            bytes.len(),
            last + SEGMENT_OCTETS
        )));
    };
    let total = (segments.len() / SEGMENT_OCTETS) as u64;
    let mut facts: HashMap<&[u8], u32> = HashMap::new();
    for (count, segment) in (0_u64..).zip(segments.chunks_exact(SEGMENT_OCTETS)) {
        let field = |at| u32_at(segment, at).unwrap_or(0);
        let (start, end, at) = (field(0), field(4), field(10) as usize);
        let len = usize::from(u16_at(segment, 8).unwrap_or(0));
        let Some(text) = bytes.get(at..at + len) else {
            return Err(bad(format!("segment {count} points outside the file")));
        };
        if end < start {
            return Err(bad(format!("segment {count} ends before it starts")));
        }
        let fact = match facts.get(text) {
            Some(&fact) => fact,
            None => {
                let Ok(region) = std::str::from_utf8(text) else {
                    return Err(bad(format!("the text of segment {count} is not UTF-8")));
                };
                let fact = ranges.fact(locale(region));
                facts.insert(text, fact);
                fact
            }
        };
        ranges.push_v4(start, end, fact)?;
        if count.is_multiple_of(65_536) {
            progress(count, total);
        }
    }
    Ok(())
}

/// `中国|0|广东省|深圳市|电信` to what it says.
fn locale(region: &str) -> Locale {
    let mut cells =
        region.split('|').map(|cell| Some(cell).filter(|cell| !matches!(*cell, "" | "0")));
    let mut next = || cells.next().flatten();
    let (country, _area, province, city, carrier) = (next(), next(), next(), next(), next());
    if country != Some("中国") {
        return Locale::default();
    }
    let place = province.and_then(subdivision::chinese);
    Locale {
        country: Some(place.map_or(Country(*b"CN"), |place| place.country)),
        subdivision: place.and_then(|place| place.subdivision),
        city: city.filter(|_| place.is_some()).map(Arc::from),
        isp: carrier.and_then(isp::named),
        ..Locale::default()
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}
