//! A compiled table as a file: a short plain head, then one zstd body.
//!
//! Head: magic, format version, BLAKE3 of all that follows, then the sources with their attributions
//! in the clear, so that they can be read without unpacking. Body: what a place is and who a network
//! is are kept apart, each with its own runs, because their borders have little to do with each
//! other; joined again when loading. Starts are gaps in whole units, ids are by frequency.

use std::collections::HashMap;

use crate::source::Source;
use crate::table::LocaleTable;

mod aspect;
mod column;
#[cfg(test)]
mod tests;

use column::{Reader, Writer};

/// First octets of every table file.
const MAGIC: &[u8; 8] = b"NEARGEO\n";
/// The format this program writes and reads.
const FORMAT: u16 = 1;
const CHECKSUM_OCTETS: usize = 32;
/// Magic, format, checksum.
const SEALED_FROM: usize = MAGIC.len() + 2 + CHECKSUM_OCTETS;
/// The largest unpacked body; the whole of DB-IP City takes about 60 MB.
const BODY_OCTETS_MAX: usize = 1 << 30;
/// zstd's best: built once, loaded at every start.
const LEVEL: i32 = 22;

/// Why a table file was refused.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Other octets at the start.
    #[error("this is not a compiled geo table; help: make one with `nearside geo build`")]
    NotATable,
    /// Another format.
    #[error(
        "the geo table has format {0}, this program reads format 1; help: build it again with this program's `nearside geo build`"
    )]
    Format(u16),
    /// The checksum differs.
    #[error("the geo table is damaged or cut short; help: copy it again or build it again")]
    Damaged,
    /// The checksum is right, but the content makes no sense.
    #[error("the geo table is malformed: {0}; help: build it again")]
    Body(&'static str),
    /// zstd says no.
    #[error("cannot pack or unpack the geo table")]
    Zstd(#[source] std::io::Error),
}

impl LocaleTable {
    /// The table as a file's octets; the same table always gives the same octets.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let mut body = Writer::default();
        aspect::write(self, &mut body);
        let packed = zstd::bulk::compress(&body.bytes, LEVEL).map_err(FileError::Zstd)?;
        let mut sealed = Writer::default();
        sealed.text(&self.label);
        sealed.count(self.sources.len());
        for source in &self.sources {
            let Source { name, version, attribution, link, licence } = source;
            for text in [name, version, attribution, link, licence] {
                sealed.text(text);
            }
        }
        sealed.count(body.bytes.len());
        sealed.bytes.extend(packed);
        let mut file = Vec::with_capacity(SEALED_FROM + sealed.bytes.len());
        file.extend(MAGIC);
        file.extend(FORMAT.to_le_bytes());
        file.extend(blake3::hash(&sealed.bytes).as_bytes());
        file.extend(sealed.bytes);
        Ok(file)
    }

    /// Reads a file made by [`Self::to_bytes`]. A damaged one is refused whole.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(FileError::NotATable) };
        let Some((format, rest)) = rest.split_first_chunk::<2>() else {
            return Err(FileError::Damaged);
        };
        if u16::from_le_bytes(*format) != FORMAT {
            return Err(FileError::Format(u16::from_le_bytes(*format)));
        }
        let Some((checksum, sealed)) = rest.split_first_chunk::<CHECKSUM_OCTETS>() else {
            return Err(FileError::Damaged);
        };
        if blake3::hash(sealed) != *checksum {
            return Err(FileError::Damaged);
        }
        open(sealed)
    }
}

/// Reads what the checksum covers.
fn open(sealed: &[u8]) -> Result<LocaleTable, FileError> {
    let mut head = Reader::new(sealed);
    let label = head.text()?.to_owned();
    let mut sources = Vec::new();
    for _ in 0..head.count()? {
        let mut text = || head.text().map(str::to_owned);
        sources.push(Source {
            name: text()?,
            version: text()?,
            attribution: text()?,
            link: text()?,
            licence: text()?,
        });
    }
    let octets = usize::try_from(head.number()?).unwrap_or(usize::MAX);
    if octets > BODY_OCTETS_MAX {
        return Err(FileError::Body("it is larger than 1 GiB"));
    }
    let body = zstd::bulk::decompress(head.rest(), octets).map_err(FileError::Zstd)?;
    let mut reader = Reader::new(&body);
    let table = aspect::read(&mut reader, label, sources)?;
    if !reader.is_empty() {
        return Err(FileError::Body("it has octets left over"));
    }
    Ok(table)
}

/// Texts or codes numbered in order of first appearance.
#[derive(Debug)]
struct Dictionary<T> {
    ids: HashMap<T, usize>,
    all: Vec<T>,
}

impl<T: Clone + Eq + std::hash::Hash> Dictionary<T> {
    fn new() -> Self {
        Self { ids: HashMap::new(), all: Vec::new() }
    }

    fn id(&mut self, item: &T) -> usize {
        if let Some(&id) = self.ids.get(item) {
            return id;
        }
        self.all.push(item.clone());
        self.ids.insert(item.clone(), self.all.len() - 1);
        self.all.len() - 1
    }
}
