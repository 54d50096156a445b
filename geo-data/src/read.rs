//! Databases to layers: MMDB, CSV ranges and ip2region xdb, told apart by their octets.
//!
//! A layer is one database as intervals of facts, nothing merged yet. A file is either read whole or
//! refused with what is wrong and what to do; a broken one never panics and never half-loads.

use std::collections::HashMap;

use model::geo::{Country, Locale};

use crate::source::Source;
use crate::table::runs::Key;

mod csv;
mod fields;
mod mmdb;
#[cfg(test)]
mod tests;
mod xdb;

pub use fields::FieldMap;

/// The most intervals a database may have; DB-IP City has 8.4 million in IPv6.
pub const INTERVALS_MAX: usize = 64_000_000;

/// Why a database was refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Neither MMDB nor xdb nor text.
    #[error(
        "`{0}` is not a geo database: it is neither MMDB nor ip2region xdb nor CSV in UTF-8; help: check the download, and unpack it if it is compressed"
    )]
    UnknownFormat(String),
    /// The MMDB reader says no.
    #[error("cannot read `{name}` as MMDB; help: download it again, it may be cut short")]
    Mmdb {
        /// Which file.
        name: String,
        /// What the reader found.
        #[source]
        cause: maxminddb::MaxMindDbError,
    },
    /// Leaves that are reached twice.
    #[error("the search tree of `{0}` has more leaves than a tree can; help: download it again")]
    Tree(String),
    /// The records have no field we know.
    #[error(
        "no known field in the records of `{name}`, they have {found}; help: name the fields to take in a field map"
    )]
    UnknownLayout {
        /// Which file.
        name: String,
        /// The fields that are there.
        found: String,
    },
    /// A line of a CSV file.
    #[error("`{name}`, line {line}: {what}")]
    Csv {
        /// Which file.
        name: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong and what to do.
        what: String,
    },
    /// An xdb file.
    #[error(
        "`{name}` is not a sound ip2region xdb: {what}; help: download it again, or take the version 2 format"
    )]
    Xdb {
        /// Which file.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// More intervals than [`INTERVALS_MAX`].
    #[error("`{0}` has more than 64,000,000 intervals; help: take a database of coarser networks")]
    TooMany(String),
    /// Not one interval with a fact.
    #[error("`{0}` holds no data; help: check that the download is whole")]
    Empty(String),
}

/// Which fields a layer may set, and against whom it wins. The later variant wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Countries only.
    Country,
    /// Cities, subdivisions and coordinates.
    City,
    /// Origin ASes.
    Asn,
    /// A regional database: right about subdivision and ISP inside these countries, ignored outside.
    Regional(Vec<Country>),
}

/// One database as intervals. `facts[0]` knows nothing; starts rise from 0.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Where it is from.
    pub source: Source,
    /// What it may say.
    pub rank: Rank,
    pub(crate) v4: Vec<(u32, u32)>,
    pub(crate) v6: Vec<(u64, u32)>,
    pub(crate) facts: Vec<Locale>,
}

/// Reads one database. `name` is for messages and for the source; `fields` replaces the presets.
pub fn read(
    name: &str,
    bytes: &[u8],
    fields: Option<&FieldMap>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Layer, ReadError> {
    let preset = FieldMap::default();
    let fields = fields.unwrap_or(&preset);
    let mut ranges = Ranges::new(name);
    if mmdb::is_mmdb(bytes) {
        mmdb::read(bytes, fields, &mut ranges, progress)?;
    } else if xdb::is_xdb(bytes) {
        xdb::read(bytes, &mut ranges, progress)?;
    } else if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\0')
    {
        csv::read(text, fields, &mut ranges, progress)?;
    } else {
        return Err(ReadError::UnknownFormat(name.to_owned()));
    }
    let rank = rank_of(&ranges.facts);
    ranges.finish(rank)
}

/// The rank that fits what a database knows. One that names China's carriers and no other country's
/// places is China's regional one: ip2region as we read it, GeoCN, and their like.
fn rank_of(facts: &[Locale]) -> Rank {
    let china = |country: Country| matches!(&country.0, b"CN" | b"HK" | b"MO" | b"TW");
    let only_china = facts.iter().filter_map(|fact| fact.country).all(china);
    if only_china && facts.iter().any(|fact| fact.country.is_some() && fact.isp.is_some()) {
        return Rank::Regional(vec![Country(*b"CN")]);
    }
    if facts
        .iter()
        .any(|fact| fact.subdivision.is_some() || fact.city.is_some() || fact.point.is_some())
    {
        Rank::City
    } else if facts.iter().any(|fact| fact.asn.is_some()) {
        Rank::Asn
    } else {
        Rank::Country
    }
}

/// Ranges as a reader finds them, in any order, and the facts they point at.
#[derive(Debug)]
pub(crate) struct Ranges {
    name: String,
    v4: Vec<Range<u32>>,
    v6: Vec<Range<u64>>,
    facts: Vec<Locale>,
    ids: HashMap<Locale, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Range<K> {
    start: K,
    last: K,
    fact: u32,
}

impl Ranges {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            v4: Vec::new(),
            v6: Vec::new(),
            facts: vec![Locale::default()],
            ids: HashMap::from([(Locale::default(), 0)]),
        }
    }

    fn name(&self) -> String {
        self.name.clone()
    }

    /// The number of a fact.
    fn fact(&mut self, locale: Locale) -> u32 {
        if let Some(&id) = self.ids.get(&locale) {
            return id;
        }
        let id = u32::try_from(self.facts.len()).unwrap_or(u32::MAX);
        self.facts.push(locale.clone());
        self.ids.insert(locale, id);
        id
    }

    fn push_v4(&mut self, start: u32, last: u32, fact: u32) -> Result<(), ReadError> {
        if fact != 0 {
            self.room()?;
            self.v4.push(Range { start, last, fact });
        }
        Ok(())
    }

    fn push_v6(&mut self, start: u64, last: u64, fact: u32) -> Result<(), ReadError> {
        if fact != 0 {
            self.room()?;
            self.v6.push(Range { start, last, fact });
        }
        Ok(())
    }

    /// Takes whole IPv6 addresses; one under `::ffff:0:0/96` is IPv4.
    fn push_v6_whole(&mut self, start: u128, last: u128, fact: u32) -> Result<(), ReadError> {
        const MAPPED: u128 = 0xffff_0000_0000;
        let low = |address: u128| u32::try_from(address & 0xffff_ffff).unwrap_or(0);
        if start >= MAPPED && last <= MAPPED | 0xffff_ffff {
            return self.push_v4(low(start), low(last), fact);
        }
        let key = |address: u128| u64::try_from(address >> 64).unwrap_or(0);
        // Of several ranges within one /64 the first stands for it.
        if key(start) == key(last) && self.v6.last().is_some_and(|range| range.last == key(start)) {
            return Ok(());
        }
        self.push_v6(key(start), key(last), fact)
    }

    fn room(&self) -> Result<(), ReadError> {
        if self.v4.len() + self.v6.len() >= INTERVALS_MAX {
            return Err(ReadError::TooMany(self.name()));
        }
        Ok(())
    }

    fn finish(self, rank: Rank) -> Result<Layer, ReadError> {
        if self.v4.is_empty() && self.v6.is_empty() {
            return Err(ReadError::Empty(self.name));
        }
        let source = Source::of_file(&self.name);
        Ok(Layer { source, rank, v4: flatten(self.v4), v6: flatten(self.v6), facts: self.facts })
    }
}

/// Ranges to starts that cover the space. Where ranges overlap the one that starts later wins, and of
/// two with one start the shorter; the outer goes on after it.
fn flatten<K: Key + Step>(mut ranges: Vec<Range<K>>) -> Vec<(K, u32)> {
    ranges.sort_by(|a, b| a.start.cmp(&b.start).then(b.last.cmp(&a.last)));
    let mut out: Vec<(K, u32)> = vec![(K::ZERO, 0)];
    let mut open: Vec<(K, u32)> = Vec::new();
    for Range { start, last, fact } in ranges {
        resume(&mut out, &mut open, Some(start));
        open.push((last, fact));
        put(&mut out, start, fact);
    }
    resume(&mut out, &mut open, None);
    out
}

/// Closes the open ranges that end before `limit` and goes on with the ones around them.
fn resume<K: Key + Step>(out: &mut Vec<(K, u32)>, open: &mut Vec<(K, u32)>, limit: Option<K>) {
    while let Some(&(last, _)) = open.last() {
        if limit.is_some_and(|limit| last >= limit) {
            return;
        }
        open.pop();
        let Some(next) = last.after() else { return };
        while open.last().is_some_and(|&(outer, _)| outer <= last) {
            open.pop();
        }
        if limit.is_none_or(|limit| next < limit) {
            put(out, next, open.last().map_or(0, |&(_, fact)| fact));
        }
    }
}

fn put<K: Key>(out: &mut Vec<(K, u32)>, start: K, fact: u32) {
    match out.last_mut() {
        Some(end) if end.0 == start => end.1 = fact,
        Some(end) if end.1 == fact => {}
        _ => out.push((start, fact)),
    }
}

/// The key after this one; `None` at the last.
pub(crate) trait Step: Sized {
    fn after(self) -> Option<Self>;
}

impl Step for u32 {
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Step for u64 {
    fn after(self) -> Option<Self> {
        self.checked_add(1)
    }
}
