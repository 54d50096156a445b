//! The fields of a locale, wherever documents have them.

use super::fields::{Fields, expected};
use super::report::Report;
use super::tree::{Node, Value};
use super::value;
use crate::geo::{Area, Continent, Country, Isp, Locale, Point, Subdivision};
use crate::isp::parse_isp;

/// A country's code; it must be assigned.
pub(super) fn country(node: &Node<'_>, report: &mut Report) -> Option<Country> {
    let found = value::text(node, report)?;
    let country = Country::parse(found).filter(|country| country.continent().is_some());
    if country.is_none() {
        let message = format!("`{found}` is not a country code");
        let help = match found {
            "UK" | "uk" => "did you mean `GB`?",
            _ => "write an ISO 3166-1 alpha-2 code, as in `CN`",
        };
        report.error(node.span, message, help);
    }
    country
}

/// A continent's code.
pub(super) fn continent(node: &Node<'_>, report: &mut Report) -> Option<Continent> {
    let found = value::text(node, report)?;
    let continent = Continent::parse(found);
    if continent.is_none() {
        let message = format!("`{found}` is not a continent");
        report.error(node.span, message, "it is one of AF, AN, AS, EU, NA, OC, SA");
    }
    continent
}

/// A subdivision's code.
pub(super) fn subdivision(node: &Node<'_>, report: &mut Report) -> Option<Subdivision> {
    let found = value::text(node, report)?;
    let upper = found.to_ascii_uppercase();
    let fine = upper.split_once('-').is_some_and(|(country, part)| {
        Country::parse(country).is_some_and(|country| country.continent().is_some())
            && (1..=3).contains(&part.len())
            && part.bytes().all(|octet| octet.is_ascii_alphanumeric())
    });
    if !fine {
        let message = format!("`{found}` is not a subdivision code");
        report.error(node.span, message, "write an ISO 3166-2 code, as in `CN-GD`");
        return None;
    }
    Subdivision::parse(&upper).ok()
}

/// A subdivision that must lie in `country`.
pub(super) fn subdivision_of(
    country: Option<Country>,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Subdivision> {
    let subdivision = subdivision(node, report)?;
    if let Some(country) = country
        && !subdivision.as_str().starts_with(country.as_str())
    {
        report.error(
            node.span,
            format!("`{subdivision}` is not in `{country}`"),
            format!("write a subdivision that begins with `{country}-`, or another country"),
        );
        return None;
    }
    Some(subdivision)
}

/// An ISP in any spelling.
pub(super) fn isp(node: &Node<'_>, report: &mut Report) -> Option<Isp> {
    let found = value::text(node, report)?;
    let isp = parse_isp(found);
    if isp.is_none() {
        let message = format!("`{found}` is not an ISP");
        let help = "write a group (`cn-ct`, `cn-cu`, `cn-cm`, `cn-edu`) or an ASN (`AS7018`)";
        report.error(node.span, message, help);
    }
    isp
}

/// The operator's own label.
pub(super) fn area(node: &Node<'_>, report: &mut Report) -> Option<Area> {
    let found = value::text(node, report)?;
    match Area::parse(found) {
        Ok(area) => Some(area),
        Err(_) => {
            let message = format!("`{found}` is not an area");
            let help = "write up to 24 letters, digits, `-`, `_` and `.`";
            report.error(node.span, message, help);
            None
        }
    }
}

/// `{lat, lon}` in degrees.
pub(super) fn point(node: &Node<'_>, report: &mut Report) -> Option<Point> {
    let mut fields = Fields::open("`coordinates`", node, report)?;
    let lat_cdeg = fields.required("lat", report, value::rounded(2, -9000..=9000));
    let lon_cdeg = fields.required("lon", report, value::rounded(2, -18000..=18000));
    fields.finish(report);
    Some(Point { lat_cdeg: lat_cdeg?, lon_cdeg: lon_cdeg? })
}

/// A whole locale; at least one field.
pub(super) fn locale(node: &Node<'_>, report: &mut Report) -> Option<Locale> {
    let mut fields = Fields::open("`locale`", node, report)?;
    let country = fields.optional("country", report, country);
    let subdivision = fields
        .optional("subdivision", report, |node, report| subdivision_of(country, node, report));
    let city = fields.optional("city", report, value::filled);
    let point = fields.optional("coordinates", report, point);
    let asn = fields.optional("asn", report, asn);
    let isp = fields.optional("isp", report, isp);
    let area = fields.optional("area", report, area);
    fields.finish(report);
    // A subdivision's code names its country.
    let country =
        country.or_else(|| subdivision.and_then(|s| Country::parse(s.as_str().get(..2)?)));
    let locale = Locale { country, subdivision, city, point, asn, isp, area };
    let is_filled = match &node.value {
        Value::Map(entries) => entries.iter().any(|entry| !entry.value.is_null()),
        Value::List(_) | Value::Scalar(_) => false,
    };
    // What is there and wrong has been reported.
    if !is_filled {
        report.error(
            node.span,
            "this locale says nothing",
            "give `country`, `subdivision`, `city`, `coordinates`, `asn`, `isp` or `area`",
        );
        return None;
    }
    Some(locale)
}

/// An ASN: `4134` or `AS4134`.
pub(super) fn asn(node: &Node<'_>, report: &mut Report) -> Option<u32> {
    if let Value::Scalar(scalar) = &node.value {
        let text = scalar.text.trim_start_matches(['A', 'a']).trim_start_matches(['S', 's']);
        if !text.is_empty()
            && text.bytes().all(|octet| octet.is_ascii_digit())
            && let Ok(asn) = text.parse()
        {
            return Some(asn);
        }
    }
    expected(node, "an AS number", "write it as `4134` or `AS4134`", report);
    None
}
