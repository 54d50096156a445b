//! `Site`: a place with addresses that runs the gateway.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::alias;
use super::fields::{self, Fields};
use super::head::Head;
use super::locale;
use super::probe::{self, ProbeDefaults};
use super::report::{Report, Span, Spanned};
use super::tree::{Node, Value};
use super::value;
use crate::geo::{Country, Isp, Point, Subdivision};
use crate::name::SiteName;
use crate::service::Probe;
use crate::site::{Alias, Binding, Capacity, Site, SiteAddress, Tier};

/// The most addresses of a site: they are rendered into one answer section.
const ADDRESSES_MAX: usize = 64;
/// The most protocols of a site: each is a word of an answer.
const ALPN_MAX: usize = 8;
/// The longest name of a protocol (RFC 7301, section 3.1).
const ALPN_OCTETS_MAX: usize = 255;
/// The words for tiers.
pub(super) const TIERS: &[(&str, Tier)] =
    &[("access", Tier::Access), ("aggregation", Tier::Aggregation), ("core", Tier::Core)];

/// A `Site` document's `spec`.
#[derive(Debug)]
pub(super) struct SiteSpec {
    tier: Tier,
    location: LocationSpec,
    isps: Vec<Isp>,
    pub(super) addresses: Vec<(SiteAddress, Span)>,
    alias: Option<Alias>,
    binding: Binding,
    capacity: Capacity,
    drain: bool,
    l7: bool,
    health: Option<Probe>,
}

#[derive(Debug)]
struct LocationSpec {
    country: Country,
    subdivision: Option<Subdivision>,
    city: Option<Arc<str>>,
    coordinates: Option<Point>,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<SiteSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the Site", node, report)?;
    let tier = fields.required("tier", report, value::choice(TIERS));
    let location = fields.required("location", report, read_location);
    let isps = fields.list("isps", report, locale::isp);
    let alias = alias::take(&mut fields, report);
    let addresses = match &alias {
        None => fields.required("addresses", report, read_addresses),
        Some(_) => fields.optional("addresses", report, read_addresses).or(Some(Vec::new())),
    };
    let binding = fields.optional("https", report, read_binding).unwrap_or_default();
    let capacity = fields.optional("capacity", report, read_capacity).unwrap_or_default();
    let drain = fields.optional("drain", report, value::boolean).unwrap_or(false);
    let l7 = fields.optional("l7", report, value::boolean).unwrap_or(true);
    let health = fields.optional("health", report, |node, report| {
        let probe = probe::read_site_probe(node, ProbeDefaults::default(), report)?;
        Some(Spanned { value: probe, span: node.span })
    });
    fields.finish(report);
    if let (Some(health), Some([])) = (&health, addresses.as_deref()) {
        let message = "a site without addresses cannot be probed";
        report.error(health.span, message, "add `addresses` to probe, or remove `health`");
    }
    let health = health.map(|health| health.value);
    Some(SiteSpec {
        tier: tier?,
        location: location?,
        isps,
        addresses: addresses?,
        alias: alias.map(|alias| alias.value),
        binding,
        capacity,
        drain,
        l7,
        health,
    })
}

fn read_location(node: &Node<'_>, report: &mut Report) -> Option<LocationSpec> {
    let mut fields = Fields::open("`location`", node, report)?;
    let country = fields.required("country", report, locale::country);
    let subdivision = fields.optional("subdivision", report, |node, report| {
        locale::subdivision_of(country, node, report)
    });
    let city = fields.optional("city", report, value::filled);
    let coordinates = fields.optional("coordinates", report, locale::point);
    fields.finish(report);
    Some(LocationSpec { country: country?, subdivision, city, coordinates })
}

fn read_addresses(node: &Node<'_>, report: &mut Report) -> Option<Vec<(SiteAddress, Span)>> {
    let found =
        fields::list(node, report, |node, report| Some((read_address(node, report)?, node.span)))?;
    if let Value::List(items) = &node.value
        && !(1..=ADDRESSES_MAX).contains(&items.len())
    {
        let message =
            format!("a site has from 1 to {ADDRESSES_MAX} addresses, not {}", items.len());
        report.error(node.span, message, "write `addresses: [192.0.2.1]`, one for each uplink");
        return None;
    }
    for (at, (address, span)) in found.iter().enumerate() {
        if found[..at].iter().any(|(earlier, _)| earlier.ip == address.ip) {
            report.error(
                *span,
                format!("`{}` is given twice", address.ip),
                "remove one of the two",
            );
        }
    }
    Some(found)
}

fn read_address(node: &Node<'_>, report: &mut Report) -> Option<SiteAddress> {
    let Value::Map(_) = &node.value else {
        return Some(SiteAddress { ip: value::host_ip(node, report)?, isp: None });
    };
    let mut fields = Fields::open("an address", node, report)?;
    let ip = fields.required("ip", report, value::host_ip);
    let isp = fields.optional("isp", report, locale::isp);
    fields.finish(report);
    Some(SiteAddress { ip: ip?, isp })
}

fn read_binding(node: &Node<'_>, report: &mut Report) -> Option<Binding> {
    let mut fields = Fields::open("`https`", node, report)?;
    let port = fields.optional("port", report, value::port);
    let alpn = fields.optional("alpn", report, |node, report| {
        let alpn = fields::one_or_more(node, report, |node, report| {
            let protocol = value::filled(node, report)?;
            if protocol.len() > ALPN_OCTETS_MAX {
                let message = "this protocol has more than 255 octets";
                report.error(node.span, message, "write a name like `h2` or `h3`");
                return None;
            }
            Some(protocol)
        })?;
        if alpn.len() > ALPN_MAX {
            let message = format!("a site speaks at most {ALPN_MAX} protocols here");
            report.error(node.span, message, "remove the last ones");
        }
        Some(alpn)
    });
    fields.finish(report);
    Some(Binding { port, alpn: alpn.unwrap_or_default() })
}

fn read_capacity(node: &Node<'_>, report: &mut Report) -> Option<Capacity> {
    let mut fields = Fields::open("`capacity`", node, report)?;
    let amount = || value::whole(1..=u64::from(u32::MAX));
    let rps = fields.optional("rps", report, amount());
    let bandwidth_mbps = fields.optional("bandwidthMbps", report, amount());
    fields.finish(report);
    Some(Capacity { rps, bandwidth_mbps })
}

/// Spec -> model.
pub(super) fn convert(name: SiteName, head: &Head, spec: &SiteSpec) -> Site {
    let SiteSpec { tier, location, isps, addresses, alias, binding, capacity, drain, l7, health } =
        spec;
    let LocationSpec { country, subdivision, city, coordinates } = location;
    let labels: BTreeMap<Arc<str>, Arc<str>> = head.labels.clone();
    let mut distinct_isps = isps.clone();
    distinct_isps.sort_unstable();
    distinct_isps.dedup();
    Site {
        name,
        tier: *tier,
        country: *country,
        subdivision: *subdivision,
        city: city.clone(),
        point: *coordinates,
        isps: distinct_isps,
        addresses: addresses.iter().map(|(address, _)| *address).collect(),
        alias: alias.clone(),
        binding: binding.clone(),
        capacity: *capacity,
        labels,
        drain: *drain,
        l7: *l7,
        health: health.clone(),
    }
}
