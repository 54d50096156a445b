//! A service's spec to the model: its pool, backends, records, with every name resolved.

use super::hostname::Hostnames;
use super::inherit::convert_fence;
use super::names::Names;
use super::presence::{self, Claims, Slices};
use crate::document::head::Head;
use crate::document::report::{Report, Span, Spanned};
use crate::document::service::{
    BackendSpec, FallbackSpec, RecordSpec, SelectorSpec, ServiceSpec, SteeringSpec,
};
use crate::document::zone::encode_rdata;
use crate::name::{DnsName, ObjectRef};
use crate::policy::RuleSet;
use crate::record::RecordSet;
use crate::service::{BackendRef, Fallback, GlobalService, Steering};
use crate::site::{Alias, Site, SiteId};

/// What a service is resolved against.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) names: &'a Names<'a>,
    pub(super) hostnames: &'a Hostnames<'a>,
    pub(super) slices: &'a Slices<'a>,
    /// Every rule that reaches the service, in order of precedence.
    pub(super) rules: RuleSet,
}

/// Spec -> model.
pub(super) fn convert(
    head: &Head,
    spec: ServiceSpec,
    context: Context<'_>,
    report: &mut Report,
) -> GlobalService {
    let Context { names, hostnames, slices, rules } = context;
    let ServiceSpec {
        hostnames: own_names,
        tiers,
        protected,
        sites,
        backends,
        fence,
        steering,
        answers,
        health,
        panic_below_percent,
        fallback,
        records,
        // A rule by now.
        canary: _,
        targets,
        whole,
    } = spec;
    let pool = convert_pool(&sites, whole, names, report);
    let steering = convert_steering(steering, &pool, names, report);
    let fence = fence.as_ref().map(|fence| convert_fence(fence, names, report));
    let fallback = match fallback {
        FallbackSpec::All => Fallback::AnswerAll,
        FallbackSpec::None => Fallback::AnswerNone,
        FallbackSpec::Sites(sites) => Fallback::AnswerSites(names.sites_named(&sites, report)),
    };
    let backends: Vec<BackendRef> =
        backends.into_iter().map(|backend| convert_backend(head, backend, names, report)).collect();
    let sites = answered_sites(&pool, &fallback, names);
    let aliases = presence::convert_targets(targets, &sites, names, report);
    let own_records = records.first().map(|record| record.record_type.span);
    let claims = Claims { hostnames: &own_names, own_records };
    let mut cnames: Vec<(&Alias, &Site)> = Vec::new();
    for &(id, site) in &sites {
        let alias = aliases.get(&id).or(site.alias.as_ref());
        cnames.extend(alias.filter(|alias| matches!(alias, Alias::Cname(_))).zip(Some(site)));
    }
    presence::check_cnames(&cnames, &claims, (hostnames, report));
    let plain: Vec<(SiteId, &Site)> =
        sites.into_iter().filter(|(id, _)| !aliases.contains_key(id)).collect();
    let endpoints = slices.endpoints(&backends, &plain, (whole, report));
    if own_names.iter().all(|name| hostnames.zone_of(&name.value).is_none()) {
        check_data(&records, report);
    }
    let mut record_sets = Vec::new();
    for name in &own_names {
        for record in &records {
            record_sets.extend(convert_record(&name.value, record, hostnames, report));
        }
    }
    record_sets.sort_by(|a, b| (&a.owner, a.record_type).cmp(&(&b.owner, b.record_type)));
    GlobalService {
        object: head.object.clone(),
        hostnames: own_names.into_iter().map(|name| name.value).collect(),
        protected,
        tiers,
        pool,
        backends,
        fence,
        steering,
        answers,
        health,
        panic_below_percent,
        fallback,
        rules,
        records: record_sets,
        aliases,
        endpoints,
    }
}

/// Every site that may be answered, in id order.
fn answered_sites<'a>(
    pool: &[SiteId],
    fallback: &Fallback,
    names: &Names<'a>,
) -> Vec<(SiteId, &'a Site)> {
    let fallback = match fallback {
        Fallback::AnswerSites(sites) => sites.as_slice(),
        Fallback::AnswerAll | Fallback::AnswerNone => &[],
    };
    let is_answered =
        |(id, _): &(SiteId, &Site)| pool.binary_search(id).is_ok() || fallback.contains(id);
    names.sites().filter(is_answered).collect()
}

fn convert_pool(
    selector: &SelectorSpec,
    whole: Span,
    names: &Names<'_>,
    report: &mut Report,
) -> Vec<SiteId> {
    let SelectorSpec { names: wanted, match_labels, tiers } = selector;
    let wanted = wanted.as_ref().map(|wanted| {
        let mut ids = names.sites_named(wanted, report);
        ids.sort_unstable();
        ids
    });
    let chosen = names.sites().filter(|(id, site)| {
        wanted.as_ref().is_none_or(|wanted| wanted.binary_search(id).is_ok())
            && match_labels.iter().all(|(key, value)| site.labels.get(key) == Some(value))
            && tiers.as_ref().is_none_or(|tiers| tiers.contains(&site.tier))
    });
    let pool: Vec<SiteId> = chosen.map(|(id, _)| id).collect();
    // After an error a site may be missing for another reason than the selector.
    if pool.is_empty() && !report.has_errors() {
        let help = "no client gets an address until a site matches `sites`";
        report.warn(whole, "the pool of this GlobalService is empty", help);
    }
    pool
}

fn convert_steering(
    spec: SteeringSpec,
    pool: &[SiteId],
    names: &Names<'_>,
    report: &mut Report,
) -> Steering {
    let SteeringSpec {
        prefer,
        spread_within_us,
        sticky,
        weights,
        carrier_penalty_us,
        border_penalty_us,
    } = spec;
    let weight = |(site, weight): (Spanned<_>, u32)| {
        let id = names.site(&site, report)?;
        if pool.binary_search(&id).is_err() {
            let message = format!("`{}` is not in the pool, its weight is ignored", site.value);
            report.warn(site.span, message, "select the site under `sites`, or remove the weight");
        }
        Some((id, weight))
    };
    let weights = weights.into_iter().filter_map(weight).collect();
    Steering { prefer, spread_within_us, sticky, weights, carrier_penalty_us, border_penalty_us }
}

fn convert_backend(
    head: &Head,
    spec: BackendSpec,
    names: &Names<'_>,
    report: &mut Report,
) -> BackendRef {
    let BackendSpec { name, namespace, port } = spec;
    let namespace = namespace.unwrap_or_else(|| head.object.namespace.clone());
    let object = Spanned { value: ObjectRef::new(&namespace, &name.value), span: name.span };
    names.check_backend(&object, &port, report);
    BackendRef { object: object.value, port: port.value }
}

/// Reads the data of records whose zone is not known, for their mistakes.
fn check_data(records: &[RecordSpec], report: &mut Report) {
    let root = DnsName::root();
    for RecordSpec { record_type, ttl_s: _, data } in records {
        for text in data {
            let text = Spanned { value: text.value.as_str(), span: text.span };
            encode_rdata(record_type.value, &text, &root, report);
        }
    }
}

/// One set at one hostname; relative names in the rdata are below the hostname's zone.
fn convert_record(
    owner: &DnsName,
    spec: &RecordSpec,
    hostnames: &Hostnames<'_>,
    report: &mut Report,
) -> Option<RecordSet> {
    let zone = hostnames.zone_of(owner).and_then(|index| hostnames.zone(index))?;
    let RecordSpec { record_type, ttl_s, data } = spec;
    let (ttl_default_s, origin) = (zone.checked.zone.ns_ttl_s, &zone.checked.zone.apex);
    if let Some((_, at)) = zone.checked.sets.at(owner).find(|(t, _)| *t == record_type.value) {
        let message = format!("`{owner}` has static {} records in its zone", record_type.value);
        let help = format!("they are at {}: keep one of both", report.place(at));
        report.error(record_type.span, message, help);
        return None;
    }
    let mut rdata: Vec<Box<[u8]>> = Vec::with_capacity(data.len());
    for text in data {
        let text = Spanned { value: text.value.as_str(), span: text.span };
        let Some(octets) = encode_rdata(record_type.value, &text, origin, report) else { continue };
        if !rdata.contains(&octets) {
            rdata.push(octets);
        }
    }
    Some(RecordSet {
        owner: owner.clone(),
        record_type: record_type.value,
        ttl_s: ttl_s.unwrap_or(ttl_default_s),
        rdata,
    })
}
