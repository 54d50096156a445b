//! Ranges in CSV: `start,end,…` with addresses or numbers, or a CIDR column; with or without a header.
//!
//! Without a header the columns after the range are known by their number: 1 is a country, 2 are ASN
//! and organisation, 8 are ip-location-db's city columns, 6 are DB-IP's own.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use super::mmdb::list;
use super::{FieldMap, Ranges, ReadError};

/// Names of the columns that hold the range.
const START: [&str; 6] =
    ["start_ip", "ip_range_start", "start", "ip_from", "range_start", "first_ip"];
const END: [&str; 6] = ["end_ip", "ip_range_end", "end", "ip_to", "range_end", "last_ip"];
const NETWORK: [&str; 4] = ["network", "cidr", "prefix", "range"];

/// ip-location-db's city columns.
const CITY: [&str; 8] =
    ["country_code", "state1", "state2", "city", "postcode", "latitude", "longitude", "timezone"];
/// DB-IP's own city columns.
const CITY_DBIP: [&str; 6] =
    ["continent", "country_code", "state1", "city", "latitude", "longitude"];

pub(super) fn read(
    text: &str,
    fields: &FieldMap,
    ranges: &mut Ranges,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ReadError> {
    let name = ranges.name();
    let total = text.len() as u64;
    let mut reader = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(::csv::Trim::All)
        .from_reader(std::io::Cursor::new(text.as_bytes()));
    let mut columns: Option<Columns> = None;
    let mut row = ::csv::StringRecord::new();
    let mut last: Option<(String, u32)> = None;
    loop {
        let line = reader.position().line();
        let bad = |what: String| ReadError::Csv { name: name.clone(), line, what };
        if !reader.read_record(&mut row).map_err(|cause| bad(cause.to_string()))? {
            return Ok(());
        }
        let Some(layout) = &columns else {
            let found = Columns::find(&row, fields).map_err(bad)?;
            let header = found.header;
            columns = Some(found);
            if !header {
                reader.seek(::csv::Position::new()).map_err(|cause| bad(cause.to_string()))?;
            }
            continue;
        };
        let (start, end) = layout.bounds(&row).map_err(bad)?;
        let rest = layout.rest(&row);
        let fact = match &last {
            Some((same, fact)) if *same == rest => *fact,
            _ => {
                let locale = fields.locale(|path| {
                    let at = layout.names.iter().position(|name| name == path)?;
                    row.get(layout.data + at).map(Cow::Borrowed)
                });
                let fact = ranges.fact(locale);
                last = Some((rest, fact));
                fact
            }
        };
        match (start, end) {
            (Address::V4(start), Address::V4(end)) if start <= end => {
                ranges.push_v4(start, end, fact)?;
            }
            (Address::V6(start), Address::V6(end)) if start <= end => {
                ranges.push_v6_whole(start, end, fact)?;
            }
            _ => return Err(bad("the range ends before it starts".to_owned())),
        }
        if line.is_multiple_of(65_536) {
            progress(reader.position().byte(), total);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Address {
    V4(u32),
    V6(u128),
}

/// Where the range is and what the other columns are called.
#[derive(Debug)]
struct Columns {
    header: bool,
    start: usize,
    /// The same as `start` for a CIDR column.
    end: usize,
    /// Column of the first of `names`.
    data: usize,
    names: Vec<String>,
}

impl Columns {
    fn find(row: &::csv::StringRecord, fields: &FieldMap) -> Result<Self, String> {
        let first = row.get(0).unwrap_or_default();
        if first.parse::<IpNet>().is_ok() {
            let names = unnamed(row, 1)?;
            return Ok(Self { header: false, start: 0, end: 0, data: 1, names });
        }
        if address(first).is_some() {
            if row.get(1).and_then(address).is_none() {
                return Err(
                    "the second column is no address; help: a line is `start,end,…` or `network,…`"
                        .to_owned(),
                );
            }
            let names = unnamed(row, 2)?;
            return Ok(Self { header: false, start: 0, end: 1, data: 2, names });
        }
        let names: Vec<String> = row.iter().map(str::to_lowercase).collect();
        let at = |wanted: &[&str]| names.iter().position(|name| wanted.contains(&name.as_str()));
        let (start, end) = match (at(&NETWORK), at(&START), at(&END)) {
            (_, Some(start), Some(end)) => (start, end),
            (Some(network), _, _) => (network, network),
            _ => {
                return Err(format!(
                    "no column for the range among {}; help: name it `network`, or `start_ip` and `end_ip`",
                    list(&names)
                ));
            }
        };
        if !fields.all().any(|path| names.contains(path)) {
            let hint = if names.iter().any(|name| name == "geoname_id") {
                "this is a split GeoLite2 CSV, take the MMDB instead"
            } else {
                "name the columns to take in a field map"
            };
            return Err(format!("no known column among {}; help: {hint}", list(&names)));
        }
        Ok(Self { header: true, start, end, data: 0, names })
    }

    fn bounds(&self, row: &::csv::StringRecord) -> Result<(Address, Address), String> {
        let cell = |at: usize| row.get(at).unwrap_or_default();
        if self.start == self.end {
            let text = cell(self.start);
            let wrong = || format!("`{text}` is no network; help: write it as `192.0.2.0/24`");
            return match text.parse::<IpNet>().map_err(|_| wrong())? {
                IpNet::V4(net) => Ok((
                    Address::V4(net.network().to_bits()),
                    Address::V4(net.broadcast().to_bits()),
                )),
                IpNet::V6(net) => Ok((
                    Address::V6(net.network().to_bits()),
                    Address::V6(net.broadcast().to_bits()),
                )),
            };
        }
        let read = |text: &str| address(text).ok_or_else(|| format!("`{text}` is no address"));
        match (read(cell(self.start))?, read(cell(self.end))?) {
            // A number below 2^32 among IPv6 numbers.
            (Address::V4(start), end @ Address::V6(_)) => Ok((Address::V6(u128::from(start)), end)),
            both => Ok(both),
        }
    }

    /// Everything but the range, to see whether a row says the same as the last.
    fn rest(&self, row: &::csv::StringRecord) -> String {
        let mut rest = String::new();
        for (at, cell) in row.iter().enumerate() {
            if at != self.start && at != self.end {
                rest.push_str(cell);
                rest.push('\u{1f}');
            }
        }
        rest
    }
}

/// Names for the columns of a file without a header.
fn unnamed(row: &::csv::StringRecord, range: usize) -> Result<Vec<String>, String> {
    let own = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let first = row.get(range).unwrap_or_default();
    match row.len().saturating_sub(range) {
        1 if super::fields::asn(first).is_none() => Ok(own(&["country_code"])),
        1 | 2 if super::fields::asn(first).is_some() || first == "0" => {
            Ok(own(&["asn", "as_name"]))
        }
        6 => Ok(own(&CITY_DBIP)),
        8 => Ok(own(&CITY)),
        count => Err(format!(
            "no header, and {count} columns beside the range fit no known layout; help: give the file a first line with names such as `start_ip,end_ip,country,asn`"
        )),
    }
}

fn address(text: &str) -> Option<Address> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(match ip {
            IpAddr::V4(ip) => Address::V4(ip.to_bits()),
            IpAddr::V6(ip) => Address::V6(ip.to_bits()),
        });
    }
    let number: u128 = text.parse().ok()?;
    Some(u32::try_from(number).map_or(Address::V6(number), Address::V4))
}
