//! The compiled locale table: sorted interval starts with a class each, and the classes' locales.
//!
//! Invariant: both families cover their whole space; the first interval starts at 0; neighbouring
//! intervals have different classes. IPv6 is keyed by the top 64 bits.

use std::net::IpAddr;

use model::geo::{Country, Locale, Point, Subdivision};
use model::policy::LocaleOverrides;

/// A class of clients with the same locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(pub u32);

/// The table.
#[derive(Debug, Clone, Default)]
pub struct LocaleTable {
    v4: Vec<(u32, ClassId)>,
    v6: Vec<(u64, ClassId)>,
    classes: Vec<Locale>,
}

/// A look-up's result.
#[derive(Debug, Clone)]
pub struct Hit<'a> {
    /// The class.
    pub class: ClassId,
    /// Its locale.
    pub locale: &'a Locale,
    /// The widest prefix around the address inside its interval.
    pub prefix_len: u8,
}

impl LocaleTable {
    /// Finds an address (an IPv4-mapped IPv6 address is looked up as IPv4).
    pub fn lookup(&self, _ip: IpAddr) -> Hit<'_> {
        unreachable_stub()
    }
    /// Every class; `ClassId` indexes it.
    pub fn classes(&self) -> &[Locale] {
        &self.classes
    }
    /// The IPv4 intervals: start and class, ascending, the first at 0.
    pub fn runs_v4(&self) -> impl Iterator<Item = (u32, ClassId)> {
        self.v4.iter().copied()
    }
    /// The IPv6 intervals by their top 64 bits, ascending, the first at 0.
    pub fn runs_v6(&self) -> impl Iterator<Item = (u64, ClassId)> {
        self.v6.iter().copied()
    }
    /// The table with the operator's client prefixes laid over it (longest prefix wins, by field).
    #[must_use]
    pub fn with_overrides(&self, _overrides: &LocaleOverrides) -> Self {
        self.clone()
    }
    /// The centre of a subdivision, or of a country when the subdivision is unknown or `None`.
    pub fn centre(&self, _country: Country, _subdivision: Option<Subdivision>) -> Option<Point> {
        None
    }
}

fn unreachable_stub() -> Hit<'static> {
    static NOWHERE: std::sync::OnceLock<Locale> = std::sync::OnceLock::new();
    Hit { class: ClassId(0), locale: NOWHERE.get_or_init(Locale::default), prefix_len: 0 }
}
