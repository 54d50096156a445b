//! Where a client is: country, subdivision, city, coordinates, ASN, ISP and the operator's area.
//!
//! Every field is optional, because sources are merged by field. The small ones are inline values,
//! so that the compiler can compare millions of them without following a pointer.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::name::NameError;

/// ISO 3166-1 alpha-2, upper case (`CN`). Hong Kong, Macau and Taiwan are `HK`, `MO`, `TW`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Country(pub [u8; 2]);

impl Country {
    /// Takes two ASCII letters of either case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.as_bytes() {
            &[a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Some(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => None,
        }
    }

    /// The two letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("??")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A continent by its two-letter code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Continent {
    /// Africa.
    AF,
    /// Antarctica.
    AN,
    /// Asia.
    AS,
    /// Europe.
    EU,
    /// North America.
    NA,
    /// Oceania.
    OC,
    /// South America.
    SA,
}

/// A short text kept inline: at most `N` octets, padded with zeros, compared as octets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token<const N: usize>([u8; N]);

impl<const N: usize> Token<N> {
    /// Takes lower- or upper-case ASCII letters, digits, `-`, `_` and `.`; the case is kept.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let octets = text.as_bytes();
        if octets.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if octets.len() > N {
            return Err(NameError::LabelTooLong);
        }
        let fine = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if let Some(c) = text.chars().find(|c| !fine(c)) {
            return Err(NameError::BadCharacter(c));
        }
        let mut inline = [0; N];
        inline[..octets.len()].copy_from_slice(octets);
        Ok(Self(inline))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|&octet| octet == 0).unwrap_or(N);
        std::str::from_utf8(&self.0[..end]).unwrap_or("?")
    }
}

impl<const N: usize> fmt::Display for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Token<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> Serialize for Token<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Token<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// ISO 3166-2 (`CN-GD`), upper case.
pub type Subdivision = Token<6>;
/// An ISP group (`cn-ct`, `cn-cu`, `cn-cm`, `cn-edu`) or, outside the groups, `as` and the number
/// (`as7018`). Lower case. Documents also accept `ct`, `cu`, `cm`, `edu` and the Chinese names.
pub type Isp = Token<16>;
/// The operator's own label for a set of prefixes or cell ids.
pub type Area = Token<24>;

/// A place on the globe in hundredths of a degree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Point {
    /// Latitude, -9000..=9000, north positive.
    pub lat_cdeg: i16,
    /// Longitude, -18000..=18000, east positive.
    pub lon_cdeg: i16,
}

/// What is known of a client's place. A field that no source has is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Locale {
    /// The country.
    pub country: Option<Country>,
    /// The subdivision, always of `country` when both are there.
    pub subdivision: Option<Subdivision>,
    /// The city's name in English, where a source has it.
    pub city: Option<Arc<str>>,
    /// Coordinates: the city's, else the subdivision's, else the country's centre.
    pub point: Option<Point>,
    /// The origin AS.
    pub asn: Option<u32>,
    /// The ISP group, derived from the ASN unless a better source says so.
    pub isp: Option<Isp>,
    /// The operator's own label.
    pub area: Option<Area>,
}
