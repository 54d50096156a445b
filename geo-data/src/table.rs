//! The compiled locale table: sorted interval starts with a class each, and the classes' locales.
//!
//! Invariant: both families cover their whole space; the first interval starts at 0; neighbouring
//! intervals have different classes; every class is below `classes().len()`. IPv6 is keyed by the
//! top 64 bits. The table never changes: overrides make a new one.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;
use model::geo::{Country, Locale, Point, Subdivision};
use model::policy::LocaleOverrides;

use crate::centre::Centres;
use crate::layer::{ClassSet, Traced};
use crate::source::{Origins, Source, SourceId};

pub(crate) mod laminar;
mod overrides;
pub(crate) mod runs;
#[cfg(test)]
mod tests;
mod within;

use runs::Runs;

/// A class of clients with the same locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(pub u32);

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocaleTable {
    pub(crate) v4: Runs<u32>,
    pub(crate) v6: Runs<u64>,
    pub(crate) classes: Vec<Locale>,
    pub(crate) origins: Vec<Origins>,
    pub(crate) sources: Vec<Source>,
    pub(crate) centres: Centres,
    pub(crate) label: String,
}

/// A look-up's result.
#[derive(Debug, Clone)]
pub struct Hit<'a> {
    /// The class.
    pub class: ClassId,
    /// Its locale.
    pub locale: &'a Locale,
    /// The widest prefix around the address inside its interval: at most 32 for IPv4 and for
    /// IPv4-mapped addresses, at most 64 for IPv6.
    pub prefix_len: u8,
}

impl Default for LocaleTable {
    /// A table that knows nothing of anybody.
    fn default() -> Self {
        Self::from_prefixes(&[], Centres::default())
    }
}

impl LocaleTable {
    /// A small table written by hand: the longest prefix wins as a whole, the rest is unknown.
    pub fn from_prefixes(prefixes: &[(IpNet, Locale)], centres: Centres) -> Self {
        let blocks = laminar::Blocks::new(prefixes.iter().map(|&(prefix, _)| prefix));
        let mut set = ClassSet::default();
        set.intern(Traced::default());
        let mut class = |items: &[usize]| {
            set.intern(items.last().map_or_else(Traced::default, |&item| {
                let mut traced = Traced::new(&prefixes[item].1, SourceId(1));
                traced.centre(&centres);
                traced
            }))
        };
        let segments_v4 = laminar::segments(&blocks.v4);
        let v4 = Runs::pack(segments_v4.iter().map(|(start, items)| (*start, class(items))));
        let segments_v6 = laminar::segments(&blocks.v6);
        let v6 = Runs::pack(segments_v6.iter().map(|(start, items)| (*start, class(items))));
        let (classes, origins) = set.finish();
        let sources = vec![Source::named("prefixes")];
        Self { v4, v6, classes, origins, sources, centres, label: String::new() }
    }

    /// Finds an address (an IPv4-mapped IPv6 address is looked up as IPv4).
    pub fn lookup(&self, ip: IpAddr) -> Hit<'_> {
        let (class, prefix_len) = match ip.to_canonical() {
            IpAddr::V4(ip) => {
                let run = self.v4.find(u32::from(ip));
                (run.class, run.prefix_len(u32::from(ip)))
            }
            IpAddr::V6(ip) => {
                let run = self.v6.find(key_v6(ip));
                (run.class, run.prefix_len(key_v6(ip)))
            }
        };
        let prefix_len = u8::try_from(prefix_len).unwrap_or(u8::MAX);
        Hit { class, locale: &self.classes[class.0 as usize], prefix_len }
    }

    /// Every class; `ClassId` indexes it.
    pub fn classes(&self) -> &[Locale] {
        &self.classes
    }

    /// Which source each field of a class is from; the numbers are for [`Self::source`].
    ///
    /// # Panics
    /// When the class is another table's.
    pub fn origins(&self, class: ClassId) -> Origins {
        self.origins[class.0 as usize]
    }

    /// A source by its number; `None` for [`SourceId::NONE`].
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.sources.get(usize::from(id.0).checked_sub(1)?)
    }

    /// The databases this table was made of.
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Attributions to show wherever the table's data is shown, as (text, link), each once.
    pub fn attributions(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for source in &self.sources {
            let attribution = (source.attribution.as_str(), source.link.as_str());
            if !source.attribution.is_empty() && !all.contains(&attribution) {
                all.push(attribution);
            }
        }
        all
    }

    /// What its maker wrote on the table: a name and a date, for people.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The IPv4 intervals: start and class, ascending, the first at 0.
    pub fn runs_v4(&self) -> impl Iterator<Item = (u32, ClassId)> {
        self.v4.iter()
    }

    /// The IPv6 intervals by their top 64 bits, ascending, the first at 0.
    pub fn runs_v6(&self) -> impl Iterator<Item = (u64, ClassId)> {
        self.v6.iter()
    }

    /// How many intervals there are for IPv4 and for IPv6.
    pub fn runs_count(&self) -> (usize, usize) {
        (self.v4.len(), self.v6.len())
    }

    /// The table with the operator's client prefixes laid over it. Each field is from the longest
    /// prefix that has it, else from the base; finer fields that a new one contradicts are dropped
    /// and the point becomes the centre of what is left.
    #[must_use]
    pub fn with_overrides(&self, overrides: &LocaleOverrides) -> Self {
        overrides::lay(self, overrides)
    }

    /// The table cut down to what these prefixes hold, with the classes met there numbered anew;
    /// outside them nothing is known. Takes time by what is kept, not by the table.
    #[must_use]
    pub fn within(&self, prefixes: impl Iterator<Item = IpNet>) -> Self {
        within::cut(self, prefixes)
    }

    /// The centre of a subdivision, or of a country when the subdivision is unknown or `None`.
    pub fn centre(&self, country: Country, subdivision: Option<Subdivision>) -> Option<Point> {
        self.centres.of(country, subdivision)
    }

    /// Octets of memory the table takes, city names left out.
    pub fn memory_octets(&self) -> usize {
        self.v4.memory_octets()
            + self.v6.memory_octets()
            + self.classes.len() * (size_of::<Locale>() + size_of::<Origins>())
    }
}

/// The top 64 bits of an IPv6 address.
pub(crate) fn key_v6(ip: Ipv6Addr) -> u64 {
    u64::try_from(ip.to_bits() >> 64).unwrap_or(u64::MAX)
}
