//! What a table knows of an address, field by field, with the source of each and the prefix it holds
//! for.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use crate::source::{Field, SourceId};
use crate::table::LocaleTable;

/// One field of a look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldReport {
    /// Which field.
    pub field: Field,
    /// Its value as text; `None` when nobody knows.
    pub value: Option<String>,
    /// The source's name and version; `None` when the value is unknown.
    pub source: Option<String>,
}

/// A look-up told in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LookupReport {
    /// The address asked for; an IPv4-mapped one as IPv4.
    pub ip: IpAddr,
    /// The widest prefix around it for which all of this holds.
    pub prefix: IpNet,
    /// Every field, in a fixed order.
    pub fields: Vec<FieldReport>,
    /// What the sources' licences ask to be shown: text and link.
    pub attributions: Vec<(String, String)>,
}

/// Looks an address up and tells what is known and from where.
pub fn describe(table: &LocaleTable, ip: IpAddr) -> LookupReport {
    let ip = ip.to_canonical();
    let hit = table.lookup(ip);
    let origins = table.origins(hit.class);
    let locale = hit.locale;
    let fields: Vec<FieldReport> = Field::ALL
        .into_iter()
        .map(|field| {
            let value = match field {
                Field::Country => locale.country.map(|it| it.to_string()),
                Field::Subdivision => locale.subdivision.map(|it| it.to_string()),
                Field::City => locale.city.as_ref().map(|it| it.to_string()),
                Field::Point => locale
                    .point
                    .map(|it| format!("{},{}", degrees(it.lat_cdeg), degrees(it.lon_cdeg))),
                Field::Asn => locale.asn.map(|it| format!("AS{it}")),
                Field::Isp => locale.isp.map(|it| it.to_string()),
                Field::Area => locale.area.map(|it| it.to_string()),
            };
            let source = value.as_ref().and_then(|_| source(table, locale, origins.of(field)));
            FieldReport { field, value, source }
        })
        .collect();
    let prefix = IpNet::new(ip, hit.prefix_len).unwrap_or_else(|_| IpNet::from(ip)).trunc();
    let attributions = table
        .attributions()
        .into_iter()
        .map(|(text, link)| (text.to_owned(), link.to_owned()))
        .collect();
    LookupReport { ip, prefix, fields, attributions }
}

fn source(table: &LocaleTable, locale: &model::Locale, id: SourceId) -> Option<String> {
    if id == SourceId::CENTRE {
        let subdivision = locale.subdivision.filter(|&it| table.centres.has(it));
        let of = subdivision
            .map(|it| it.to_string())
            .or_else(|| locale.country.map(|it| it.to_string()))?;
        return Some(format!("centre of {of}"));
    }
    let source = table.source(id)?;
    if source.version.is_empty() {
        return Some(source.name.clone());
    }
    Some(format!("{} {}", source.name, source.version))
}

/// Hundredths of a degree as degrees.
fn degrees(cdeg: i16) -> String {
    let (sign, cdeg) =
        if cdeg < 0 { ("-", cdeg.unsigned_abs()) } else { ("", cdeg.unsigned_abs()) };
    format!("{sign}{}.{:02}", cdeg / 100, cdeg % 100)
}

impl fmt::Display for LookupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} holds for {}", self.ip, self.prefix)?;
        for FieldReport { field, value, source } in &self.fields {
            let value = value.as_deref().unwrap_or("-");
            match source {
                Some(source) => writeln!(f, "  {:<12} {value:<18} {source}", field.as_str())?,
                None => writeln!(f, "  {:<12} {value}", field.as_str())?,
            }
        }
        for (text, link) in &self.attributions {
            writeln!(f, "{text}, {link}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use model::geo::{Area, Country, Locale, Subdivision};
    use model::policy::LocaleOverrides;

    use super::*;
    use crate::centre::Centres;

    #[test]
    fn the_operators_fields_are_told_from_the_databases() {
        let net = |text: &str| text.parse::<IpNet>().unwrap();
        let point = model::Point { lat_cdeg: -5, lon_cdeg: -12_189 };
        let centres = Centres::new(vec![(Country(*b"CN"), point)], vec![]);
        let base = Locale {
            country: Some(Country(*b"CN")),
            subdivision: Subdivision::parse("CN-GD").ok(),
            asn: Some(4134),
            ..Locale::default()
        };
        let area = Locale { area: Area::parse("mec-7").ok(), ..Locale::default() };
        let table = LocaleTable::from_prefixes(&[(net("10.0.0.0/8"), base)], centres)
            .with_overrides(&LocaleOverrides {
                clients: vec![(net("10.1.0.0/16"), area)],
                ..LocaleOverrides::default()
            });
        let told = |ip: &str| describe(&table, ip.parse().unwrap()).to_string();
        assert_eq!(
            told("::ffff:10.1.2.3"),
            "\
10.1.2.3 holds for 10.1.0.0/16
  country      CN                 prefixes
  subdivision  CN-GD              prefixes
  city         -
  point        -0.05,-121.89      centre of CN
  asn          AS4134             prefixes
  isp          cn-ct              prefixes
  area         mec-7              LocaleMap
"
        );
        assert_eq!(
            told("2001:db8::1"),
            "\
2001:db8::1 holds for ::/0
  country      -
  subdivision  -
  city         -
  point        -
  asn          -
  isp          -
  area         -
"
        );
    }
}
