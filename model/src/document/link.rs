//! What documents say about each other: references, pools, hostnames in zones, inherited rules.
//!
//! This runs over whatever could be read, also after errors, so that one run finds everything. An
//! object that was named but failed is known here: a reference to it is not an error of its own.

mod gateway;
mod hostname;
mod inherit;
mod names;
mod presence;
mod service;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Display;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use self::hostname::Hostnames;
use self::names::Names;
use self::presence::Slices;
use super::files::Files;
use super::head::NAMESPACE_DEFAULT;
use super::object::Kind;
use super::objects::{Object, Objects};
use super::report::{Report, Span, Spanned};
use super::{guard, locale_map, site, suggest, zone};
use crate::gateway::GatewayObjects;
use crate::geo::Locale;
use crate::name::{ObjectRef, SiteName};
use crate::policy::{GuardPolicy, LocaleOverrides, Policy};
use crate::site::{SITES_MAX, Site};

/// A zone with the name of its document, which policies refer to.
#[derive(Debug)]
struct NamedZone {
    name: Arc<str>,
    checked: zone::CheckedZone,
}

/// Everything the documents mean, as far as it could be read.
pub(super) fn link(
    objects: Objects,
    files: &mut Files<'_>,
    report: &mut Report,
) -> (Policy, GatewayObjects) {
    let Objects {
        zones,
        sites,
        services,
        policies,
        locale_maps,
        guards,
        gateway,
        declared,
        bound_sites,
        documents: _,
    } = objects;
    let sites = convert_sites(&sites, report);
    let zones = convert_zones(zones, files, report);
    files.warn_of_unused(report);
    let names = Names::new(&declared, &sites, &gateway.services);
    for bound in bound_sites {
        let name = Spanned { value: Arc::from(bound.value.as_str()), span: bound.span };
        names.site(&name, report);
    }
    gateway::check(&gateway, &names, report);
    let mut inherited = inherit::collect(policies, &zones, &names, report);
    let mut hostnames = Hostnames::new(&zones);
    let slices = Slices::new(&gateway.endpoint_slices);
    let mut linked = Vec::with_capacity(services.len());
    for Object { head, spec } in services {
        let zones_of_it = hostnames.claim(&head, &spec, report);
        inherited.add_canary(&head, spec.canary.as_ref(), &names, report);
        let rules = inherited.rules_of(&head.object, &zones_of_it);
        let context =
            service::Context { names: &names, hostnames: &hostnames, slices: &slices, rules };
        linked.push(service::convert(&head, spec, context, report));
    }
    linked.sort_by(|a, b| a.object.cmp(&b.object));
    linked.dedup_by(|a, b| a.object == b.object);
    let policy = Policy {
        services: linked,
        locale_overrides: merge_locale_maps(locale_maps, report),
        guard: convert_guards(guards, &zones, &names, report),
        zones: zones.into_iter().map(|zone| zone.checked.zone).collect(),
        sites,
    };
    (policy, gateway)
}

fn convert_sites(sites: &[Object<site::SiteSpec>], report: &mut Report) -> Vec<Site> {
    let mut holders: HashMap<IpAddr, Arc<str>> = HashMap::new();
    let mut converted = Vec::with_capacity(sites.len());
    for (at, Object { head, spec }) in sites.iter().enumerate() {
        if at == SITES_MAX {
            report.error(
                head.whole,
                format!("there are more than {SITES_MAX} sites"),
                "remove sites, or run two sets of documents",
            );
        }
        for (address, span) in &spec.addresses {
            match holders.entry(address.ip) {
                Entry::Occupied(holder) if *holder.get() != head.object.name => {
                    let message =
                        format!("`{}` is also an address of `{}`", address.ip, holder.get());
                    let help = "clients sent to either site reach the same place";
                    report.warn(*span, message, help);
                }
                Entry::Occupied(_) => {}
                Entry::Vacant(vacant) => {
                    vacant.insert(Arc::clone(&head.object.name));
                }
            }
        }
        // The head's reader has checked the name.
        if let Ok(name) = SiteName::new(&head.object.name) {
            converted.push(site::convert(name, head, spec));
        }
    }
    // Ids are 16 bits; the error is reported above.
    converted.truncate(SITES_MAX);
    converted.sort_by(|a, b| a.name.cmp(&b.name));
    converted.dedup_by(|a, b| a.name == b.name);
    converted
}

fn convert_zones(
    zones: Vec<Object<zone::ZoneSpec>>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<NamedZone> {
    let mut seen = HashMap::new();
    let mut converted = Vec::with_capacity(zones.len());
    for Object { head, spec } in zones {
        let Some(apex) = spec.apex.clone() else {
            zone::check_zone_file(&spec, files, report);
            continue;
        };
        first_only(&mut seen, &apex, "the zone", report);
        let checked = zone::convert(apex.value, spec, files, report);
        converted.push(NamedZone { name: Arc::clone(&head.object.name), checked });
    }
    converted.sort_by(|a, b| a.checked.zone.apex.cmp(&b.checked.zone.apex));
    converted.dedup_by(|a, b| a.checked.zone.apex == b.checked.zone.apex);
    converted
}

/// Reports a key that was there before; says whether it is the first.
fn first_only<K: Clone + Display + Eq + Hash>(
    seen: &mut HashMap<K, Span>,
    key: &Spanned<K>,
    what: &str,
    report: &mut Report,
) -> bool {
    match seen.entry(key.value.clone()) {
        Entry::Vacant(vacant) => {
            vacant.insert(key.span);
            true
        }
        Entry::Occupied(first) => {
            let message = format!("{what} `{}` is given twice", key.value);
            let at = report.place(*first.get());
            let help = format!("remove one of the two: the first is at {at}");
            report.error(key.span, message, help);
            false
        }
    }
}

fn merge_locale_maps(
    maps: Vec<Object<locale_map::LocaleMapSpec>>,
    report: &mut Report,
) -> LocaleOverrides {
    fn merge<K: Clone + Display + Eq + Hash + Ord>(
        pairs: impl Iterator<Item = (Spanned<K>, Locale)>,
        what: &str,
        report: &mut Report,
    ) -> Vec<(K, Locale)> {
        let mut seen = HashMap::new();
        let mut merged = Vec::new();
        for (key, locale) in pairs {
            if first_only(&mut seen, &key, what, report) {
                merged.push((key.value, locale));
            }
        }
        merged.sort_by(|a, b| a.0.cmp(&b.0));
        merged
    }
    let (mut clients, mut resolvers, mut cells) = (Vec::new(), Vec::new(), Vec::new());
    for Object { spec: locale_map::LocaleMapSpec { clients: c, resolvers: r, cells: i }, .. } in
        maps
    {
        clients.extend(c);
        resolvers.extend(r);
        cells.extend(i);
    }
    LocaleOverrides {
        clients: merge(clients.into_iter(), "the client prefix", report),
        resolvers: merge(resolvers.into_iter(), "the resolver prefix", report),
        cells: merge(cells.into_iter(), "the cell", report),
    }
}

fn convert_guards(
    guards: Vec<Object<guard::GuardSpec>>,
    zones: &[NamedZone],
    names: &Names<'_>,
    report: &mut Report,
) -> GuardPolicy {
    let mut guards = guards.into_iter();
    let Some(Object { head: first, spec }) = guards.next() else {
        return GuardPolicy { window_s: guard::WINDOW_DEFAULT_S, ..GuardPolicy::default() };
    };
    for Object { head, spec: _ } in guards {
        let help = format!("put both into one: the first is at {}", first.origin);
        report.error(head.span, "there can be only one GuardPolicy", help);
    }
    let guard::GuardSpec { protected, removals_max, window_s, withdrawn_percent_max, undrainable } =
        spec;
    let protected = protected
        .iter()
        .filter_map(|object| protected_object(object, names, report))
        .map(|object| by_apex(&object, zones))
        .collect();
    let name = |site: &Spanned<Arc<str>>| {
        names.site(site, report)?;
        SiteName::new(&site.value).ok()
    };
    let undrainable = undrainable.iter().filter_map(name).collect();
    GuardPolicy { protected, removals_max, window_s, withdrawn_percent_max, undrainable }
}

/// A Zone is known by its apex past this point, whatever its document is called.
fn by_apex(object: &Arc<str>, zones: &[NamedZone]) -> Arc<str> {
    let named = object.strip_prefix("Zone/");
    let Some(zone) = named.and_then(|name| zones.iter().find(|zone| *zone.name == *name)) else {
        return Arc::clone(object);
    };
    let apex = zone.checked.zone.apex.to_string();
    format!("Zone/{}", apex.trim_end_matches('.')).into()
}

/// `Kind/name` or `Kind/namespace/name`, made whole; an object that is not there is only warned of,
/// because the guard must still refuse to lose it.
fn protected_object(
    text: &Spanned<Arc<str>>,
    names: &Names<'_>,
    report: &mut Report,
) -> Option<Arc<str>> {
    const KINDS: &[Kind] = &[Kind::Zone, Kind::Site, Kind::GlobalService];
    let mut parts = text.value.splitn(3, '/');
    let (kind, second, third) = (parts.next()?, parts.next(), parts.next());
    let Some(kind) = KINDS.iter().copied().find(|known| known.name() == kind) else {
        let help = suggest::help_for(kind, "kinds are", KINDS.iter().map(|kind| kind.name()));
        report.error(text.span, format!("unknown kind `{kind}`"), help);
        return None;
    };
    let namespaced = kind == Kind::GlobalService;
    let object = match (second, third) {
        (Some(name), None) if namespaced => ObjectRef::new(NAMESPACE_DEFAULT, name),
        (Some(name), None) => ObjectRef::new("", name),
        (Some(namespace), Some(name)) if namespaced => ObjectRef::new(namespace, name),
        _ => {
            let wanted = if namespaced { "namespace/name" } else { "name" };
            let message = format!("`{}` does not name an object", text.value);
            let help = format!("write `{}/{wanted}`", kind.name());
            report.error(text.span, message, help);
            return None;
        }
    };
    names.warn_unless_declared(kind, &object, text.span, report);
    Some(format!("{}/{object}", kind.name()).into())
}
