//! Sources of geo data and which of them a class has each field from.

use serde::{Deserialize, Serialize};

/// A database that went into a table, with the words its licence asks to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    /// Short name, shown beside each field of a look-up (`dbip-city`).
    pub name: String,
    /// Version or date as its publisher gives it; may be empty.
    pub version: String,
    /// The attribution to show; empty when none is asked for.
    pub attribution: String,
    /// Where the attribution links to; may be empty.
    pub link: String,
    /// The licence's name; may be empty.
    pub licence: String,
}

impl Source {
    /// A source that asks for no attribution.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            attribution: String::new(),
            link: String::new(),
            licence: String::new(),
        }
    }
}

/// The number of a source within its table, from 1; 0 is no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u8);

impl SourceId {
    /// The field is unknown.
    pub const NONE: Self = Self(0);
}

/// The most sources of one table.
pub const SOURCES_MAX: usize = 250;

/// The fields of a locale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Field {
    /// ISO 3166-1.
    Country,
    /// ISO 3166-2.
    Subdivision,
    /// The city's name.
    City,
    /// Coordinates.
    Point,
    /// The origin AS.
    Asn,
    /// The ISP group.
    Isp,
    /// The operator's label.
    Area,
}

impl Field {
    /// Every field, in the order of [`Origins`].
    pub const ALL: [Self; 7] = [
        Self::Country,
        Self::Subdivision,
        Self::City,
        Self::Point,
        Self::Asn,
        Self::Isp,
        Self::Area,
    ];

    /// The word shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Country => "country",
            Self::Subdivision => "subdivision",
            Self::City => "city",
            Self::Point => "point",
            Self::Asn => "asn",
            Self::Isp => "isp",
            Self::Area => "area",
        }
    }
}

/// Which source each field of a locale is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Origins([SourceId; Field::ALL.len()]);

impl Origins {
    /// The source of a field.
    pub fn of(&self, field: Field) -> SourceId {
        self.0[field as usize]
    }

    /// Records the source of a field.
    pub fn set(&mut self, field: Field, source: SourceId) {
        self.0[field as usize] = source;
    }

    /// The same with every source's number mapped.
    #[must_use]
    pub fn map(self, number: impl Fn(SourceId) -> SourceId) -> Self {
        Self(self.0.map(|id| if id == SourceId::NONE { id } else { number(id) }))
    }
}
