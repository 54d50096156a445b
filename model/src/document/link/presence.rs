//! What stands for a service at its sites beside the sites' own addresses: other names, and the
//! endpoints of sites without a gateway.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::hostname::Hostnames;
use super::names::Names;
use crate::document::report::{Report, Span, Spanned};
use crate::document::service::TargetSpec;
use crate::gateway::{Endpoint, EndpointSlice, ObjectSet};
use crate::name::{DnsName, ObjectRef};
use crate::service::{BackendRef, SITE_ENDPOINTS_MAX, SiteEndpoints};
use crate::site::{Alias, Site, SiteId};

/// Slices by their Service.
#[derive(Debug, Default)]
pub(super) struct Slices<'s>(HashMap<&'s ObjectRef, Vec<&'s EndpointSlice>>);

impl<'s> Slices<'s> {
    pub(super) fn new(slices: &'s ObjectSet<EndpointSlice>) -> Self {
        let mut by_service: HashMap<&ObjectRef, Vec<&EndpointSlice>> = HashMap::new();
        for slice in slices {
            by_service.entry(&slice.service).or_default().push(slice);
        }
        Self(by_service)
    }

    /// The endpoints of a backend at a site: of slices that are bound to it and of those bound to
    /// none, as its gateway would have them. `None` when there is no slice at all.
    fn at(&self, backend: &BackendRef, site: &Site) -> Option<Vec<&'s Endpoint>> {
        let is_there = |slice: &&&EndpointSlice| {
            slice.meta.site.as_ref().is_none_or(|bound| *bound == site.name)
        };
        let mut slices = self.0.get(&backend.object)?.iter().filter(is_there).peekable();
        slices.peek()?;
        Some(slices.flat_map(|slice| &slice.endpoints).collect())
    }

    /// What the sites without a gateway are answered by.
    pub(super) fn endpoints(
        &self,
        backends: &[BackendRef],
        sites: &[(SiteId, &Site)],
        (whole, report): (Span, &mut Report),
    ) -> Vec<SiteEndpoints> {
        let Some(first) = backends.first() else { return Vec::new() };
        let mut found = Vec::new();
        for &(id, site) in sites.iter().filter(|(_, site)| !site.l7 && site.alias.is_none()) {
            let Some(endpoints) = self.at(first, site) else { continue };
            let is_ready = |endpoint: &&&Endpoint| endpoint.ready && !endpoint.terminating;
            let ready: Vec<&Endpoint> = endpoints.iter().filter(is_ready).copied().collect();
            let others_ready = backends.iter().skip(1).all(|backend| {
                let endpoints = self.at(backend, site).unwrap_or_default();
                endpoints.iter().any(|endpoint| endpoint.ready && !endpoint.terminating)
            });
            let is_ready = !ready.is_empty() && others_ready;
            let answered = if ready.is_empty() { endpoints } else { ready };
            let first_of = |endpoint: &Endpoint| endpoint.addresses.first().copied();
            let mut addresses: Vec<IpAddr> = answered.into_iter().filter_map(first_of).collect();
            // IPv4 sorts before IPv6.
            addresses.sort_unstable();
            addresses.dedup();
            if addresses.len() > SITE_ENDPOINTS_MAX {
                let message = format!(
                    "`{}` has {} endpoints at the site `{}`",
                    first.object,
                    addresses.len(),
                    site.name
                );
                let help = format!("DNS answers the first {SITE_ENDPOINTS_MAX} of them in turn");
                report.warn(whole, message, help);
                addresses.truncate(SITE_ENDPOINTS_MAX);
            }
            found.push(SiteEndpoints { site: id, is_ready, addresses });
        }
        found
    }
}

/// A service's `targets`, by site.
pub(super) fn convert_targets(
    targets: Vec<TargetSpec>,
    sites: &[(SiteId, &Site)],
    names: &Names<'_>,
    report: &mut Report,
) -> BTreeMap<SiteId, Alias> {
    let mut converted = BTreeMap::new();
    for TargetSpec { site, alias } in targets {
        let Some(id) = names.site(&site, report) else { continue };
        if !sites.iter().any(|&(known, _)| known == id) {
            let message = format!("`{}` is not in the pool, its target is ignored", site.value);
            report.warn(site.span, message, "select the site under `sites`, or remove the target");
        }
        converted.insert(id, alias);
    }
    converted
}

/// What one service says of its hostnames, for [`check_cnames`].
pub(super) struct Claims<'a> {
    pub(super) hostnames: &'a [Spanned<DnsName>],
    pub(super) own_records: Option<Span>,
}

/// Checks every CNAME of a service: none leads back to the service, and the hostnames can be one.
pub(super) fn check_cnames(
    cnames: &[(&Alias, &Site)],
    claims: &Claims<'_>,
    (zones, report): (&Hostnames<'_>, &mut Report),
) {
    for (cname, site) in cnames {
        for Spanned { value: name, span } in claims.hostnames {
            if name == cname.name() {
                let message =
                    format!("the site `{}` is a CNAME to this hostname itself", site.name);
                report.error(*span, message, "name what has the site's addresses");
            }
        }
    }
    // What forbids one forbids all: the first is told.
    if let Some((cname, site)) = cnames.first() {
        check_alone(cname, site, claims, (zones, report));
    }
}

/// A CNAME is alone at its name (RFC 1034, section 3.6.2), so a service with a site that is answered
/// by one has neither an apex nor other records.
fn check_alone(
    cname: &Alias,
    site: &Site,
    claims: &Claims<'_>,
    (zones, report): (&Hostnames<'_>, &mut Report),
) {
    let Claims { hostnames, own_records } = claims;
    let help = format!(
        "write `targets: {{{}: {{alias: {}}}}}`: its addresses are answered then",
        site.name,
        cname.name()
    );
    for Spanned { value: name, span } in *hostnames {
        let Some(zone) = zones.zone_of(name).and_then(|index| zones.zone(index)) else { continue };
        let checked = &zone.checked;
        if checked.zone.apex == *name {
            let message = format!(
                "the apex `{name}` cannot be a CNAME, and the site `{}` is one to `{}`",
                site.name,
                cname.name()
            );
            report.error(*span, message, help.clone());
        } else if let Some((other, _)) = checked.sets.at(name).next() {
            let message = format!(
                "`{name}` has static {other} records, and the site `{}` is a CNAME",
                site.name
            );
            report.error(*span, message, help.clone());
        }
    }
    if let Some(span) = own_records {
        let message =
            format!("a service cannot have `records` while the site `{}` is a CNAME", site.name);
        report.error(*span, message, help);
    }
}
