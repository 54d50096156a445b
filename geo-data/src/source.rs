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

    /// The source of a database by its file's name: publishers we know with their licence and the
    /// words it asks for, any other by the name alone.
    pub fn of_file(file: &str) -> Self {
        let file = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let lower = file.to_lowercase();
        match PUBLISHERS.iter().find(|publisher| lower.contains(publisher.part)) {
            Some(publisher) => Self {
                name: publisher.name.to_owned(),
                version: String::new(),
                attribution: publisher.attribution.to_owned(),
                link: publisher.link.to_owned(),
                licence: publisher.licence.to_owned(),
            },
            None => Self::named(file.split('.').next().unwrap_or(file)),
        }
    }

    /// The same with a version.
    #[must_use]
    pub fn at_version(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }
}

struct Publisher {
    /// What its files' names have in them.
    part: &'static str,
    name: &'static str,
    attribution: &'static str,
    link: &'static str,
    licence: &'static str,
}

const DBIP: &str = "IP Geolocation by DB-IP";
const DBIP_LINK: &str = "https://db-ip.com";
const CC_BY: &str = "CC BY 4.0";

/// The first that fits is taken.
const PUBLISHERS: [Publisher; 8] = [
    Publisher {
        part: "dbip-city",
        name: "dbip-city",
        attribution: DBIP,
        link: DBIP_LINK,
        licence: CC_BY,
    },
    Publisher {
        part: "dbip-country",
        name: "dbip-country",
        attribution: DBIP,
        link: DBIP_LINK,
        licence: CC_BY,
    },
    Publisher { part: "dbip", name: "dbip", attribution: DBIP, link: DBIP_LINK, licence: CC_BY },
    Publisher {
        part: "asn-ipv",
        name: "routeviews-asn",
        attribution: "AS numbers by RouteViews, NRO and DB-IP",
        link: "https://www.routeviews.org",
        licence: CC_BY,
    },
    Publisher {
        part: "ip2region",
        name: "ip2region",
        attribution: "Provinces and carriers of China by ip2region",
        link: "https://github.com/lionsoul2014/ip2region",
        licence: "Apache-2.0 OR MIT",
    },
    Publisher {
        part: "geolite2",
        name: "geolite2",
        attribution: "This product includes GeoLite Data created by MaxMind",
        link: "https://www.maxmind.com",
        licence: "GeoLite End User License Agreement",
    },
    Publisher {
        part: "geoip2",
        name: "geoip2",
        attribution: "This product includes GeoIP2 Data created by MaxMind",
        link: "https://www.maxmind.com",
        licence: "",
    },
    Publisher {
        part: "ipinfo",
        name: "ipinfo",
        attribution: "IP address data powered by IPinfo",
        link: "https://ipinfo.io",
        licence: "CC BY-SA 4.0",
    },
];

/// The number of a source within its table, from 1; 0 is no source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SourceId(pub u8);

impl SourceId {
    /// The field is unknown.
    pub const NONE: Self = Self(0);
    /// The point is the centre of the subdivision or country, from the table's own list.
    pub const CENTRE: Self = Self(u8::MAX);
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
        let kept = |id| id == SourceId::NONE || id == SourceId::CENTRE;
        Self(self.0.map(|id| if kept(id) { id } else { number(id) }))
    }
}
