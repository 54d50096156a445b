//! MMDB files of any layout: records are read as plain trees and looked into by path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use maxminddb::{Reader, WithinOptions};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{FieldMap, Ranges, ReadError};

/// Ends the search tree, begins the metadata, in the last 128 KiB (MaxMind DB format 2.0).
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
const METADATA_OCTETS_MAX: usize = 128 * 1024;

pub(super) fn is_mmdb(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(METADATA_OCTETS_MAX)..];
    tail.windows(MARKER.len()).any(|window| window == MARKER)
}

pub(super) fn read(
    bytes: &[u8],
    fields: &FieldMap,
    ranges: &mut Ranges,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), ReadError> {
    let name = ranges.name();
    let bad = |cause| ReadError::Mmdb { name: name.clone(), cause };
    let reader = Reader::from_source(bytes).map_err(bad)?;
    let total = u64::from(reader.metadata().node_count);
    let mut facts: HashMap<usize, u32> = HashMap::new();
    let mut seen: Vec<String> = Vec::new();
    // Leaves without data count too, or a forged tree of shared nodes could keep us for ever.
    let options = WithinOptions::default().include_networks_without_data();
    let networks = reader.networks(options).map_err(bad)?;
    for (count, network) in (0_u64..).zip(networks) {
        // A binary tree of n nodes has n + 1 leaves.
        if count > total {
            return Err(ReadError::Tree(name));
        }
        if count.is_multiple_of(65_536) {
            progress(count, total);
        }
        let network = network.map_err(bad)?;
        let Some(offset) = network.offset() else { continue };
        let fact = match facts.get(&offset) {
            Some(&fact) => fact,
            None => {
                let Some(record) = network.decode::<Value>().map_err(bad)? else { continue };
                if seen.is_empty() {
                    seen = record.keys();
                }
                let locale = fields.locale(|path| record.at(path).and_then(Value::text));
                let fact = ranges.fact(locale);
                facts.insert(offset, fact);
                fact
            }
        };
        let net = network.network().map_err(bad)?;
        match (net.network(), net.broadcast()) {
            (IpAddr::V4(start), IpAddr::V4(last)) => {
                ranges.push_v4(u32::from(start), u32::from(last), fact)?;
            }
            (IpAddr::V6(start), IpAddr::V6(last)) => {
                ranges.push_v6_whole(start.to_bits(), last.to_bits(), fact)?;
            }
            _ => {}
        }
    }
    if ranges.facts.len() == 1 && !seen.is_empty() {
        return Err(ReadError::UnknownLayout { name, found: list(&seen) });
    }
    Ok(())
}

pub(super) fn list(names: &[String]) -> String {
    /// Enough to recognise a layout by.
    const SHOWN_MAX: usize = 12;
    let shown: Vec<_> = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`")).collect();
    shown.join(", ")
}

/// A record as it stands.
#[derive(Debug)]
enum Value {
    Text(String),
    Number(f64),
    Map(Vec<(String, Self)>),
    List(Vec<Self>),
    Other,
}

impl Value {
    fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, step| match value {
            Self::Map(entries) => {
                entries.iter().find(|(key, _)| key == step).map(|(_, value)| value)
            }
            Self::List(items) => items.get(step.parse::<usize>().ok()?),
            Self::Text(_) | Self::Number(_) | Self::Other => None,
        })
    }

    fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Map(_) | Self::List(_) | Self::Other => None,
        }
    }

    fn keys(&self) -> Vec<String> {
        match self {
            Self::Map(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Text(_) | Self::Number(_) | Self::List(_) | Self::Other => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }
    fn visit_i32<E>(self, number: i32) -> Result<Value, E> {
        Ok(Value::Number(f64::from(number)))
    }
    fn visit_u16<E>(self, number: u16) -> Result<Value, E> {
        Ok(Value::Number(f64::from(number)))
    }
    fn visit_u32<E>(self, number: u32) -> Result<Value, E> {
        Ok(Value::Number(f64::from(number)))
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(u32::try_from(number).map_or(Value::Other, |number| Value::Number(f64::from(number))))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(i32::try_from(number).map_or(Value::Other, |number| Value::Number(f64::from(number))))
    }
    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Other)
    }
    fn visit_f32<E>(self, number: f32) -> Result<Value, E> {
        Ok(Value::Number(f64::from(number)))
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Other)
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Map(entries))
    }
}
