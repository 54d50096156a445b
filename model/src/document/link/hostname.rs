//! Hostnames of services against zones: each lies in one zone, belongs to one service, and hides no
//! static record.

use std::collections::HashMap;
use std::sync::Arc;

use super::NamedZone;
use crate::document::head::Head;
use crate::document::report::{Report, Span, Spanned};
use crate::document::service::ServiceSpec;
use crate::document::suggest;
use crate::name::DnsName;
use crate::record::RecordType;

/// Who owns which hostname, and where each lies.
#[derive(Debug)]
pub(super) struct Hostnames<'z> {
    zones: &'z [NamedZone],
    by_apex: HashMap<&'z DnsName, usize>,
    owners: HashMap<DnsName, Arc<str>>,
}

impl<'z> Hostnames<'z> {
    pub(super) fn new(zones: &'z [NamedZone]) -> Self {
        let by_apex = zones.iter().map(|zone| &zone.checked.zone.apex).zip(0..).collect();
        Self { zones, by_apex, owners: HashMap::new() }
    }

    /// The index of the most specific zone that holds a name.
    pub(super) fn zone_of(&self, name: &DnsName) -> Option<usize> {
        let mut at = Some(name.clone());
        while let Some(candidate) = at {
            if let Some(index) = self.by_apex.get(&candidate) {
                return Some(*index);
            }
            at = candidate.parent();
        }
        None
    }

    /// The zone at an index.
    pub(super) fn zone(&self, index: usize) -> Option<&'z NamedZone> {
        self.zones.get(index)
    }

    /// Takes a service's hostnames; gives the zones they lie in.
    pub(super) fn claim(
        &mut self,
        head: &Head,
        spec: &ServiceSpec,
        report: &mut Report,
    ) -> Vec<usize> {
        let mut zones = Vec::new();
        for hostname in &spec.hostnames {
            if let Some(earlier) = self.owners.get(&hostname.value) {
                let message = format!("the hostname `{}` is taken", hostname.value);
                let help = format!("remove it here or from the GlobalService at {earlier}");
                report.error(hostname.span, message, help);
            }
            self.owners.insert(hostname.value.clone(), Arc::clone(&head.origin));
            match self.zone_of(&hostname.value) {
                Some(index) => {
                    if !zones.contains(&index) {
                        zones.push(index);
                    }
                    if let Some(zone) = self.zone(index) {
                        check_in_zone(zone, hostname, report);
                    }
                }
                None if report.may_have_lost_zone() => {}
                None => self.report_zoneless(hostname, report),
            }
        }
        zones
    }

    fn report_zoneless(&self, hostname: &Spanned<DnsName>, report: &mut Report) {
        let apexes: Vec<String> =
            self.zones.iter().map(|zone| zone.checked.zone.apex.to_string()).collect();
        let parent = hostname.value.parent().unwrap_or_else(DnsName::root).to_string();
        let apexes = apexes.iter().map(String::as_str);
        let help = suggest::help_for(&parent, "zones here", apexes);
        let message = format!("the hostname `{}` is in no zone", hostname.value);
        report.error(hostname.span, message, help);
    }
}

fn check_in_zone(zone: &NamedZone, hostname: &Spanned<DnsName>, report: &mut Report) {
    let Spanned { value: name, span } = hostname;
    let mut clash = |what: String, other: Span| {
        let message = format!("the hostname `{name}` {what}");
        let help = format!("steer another name, or remove what is at {}", report.place(other));
        report.error(*span, message, help);
    };
    if let Some((record_type, cut, at)) = zone.checked.sets.cut_at_or_above(name) {
        let is_cut = record_type == RecordType::NS || cut != *name;
        if is_cut {
            let kind = if record_type == RecordType::NS { "delegation" } else { "DNAME" };
            clash(format!("is covered by the {kind} of `{cut}`"), at);
        }
    }
    for (record_type, at) in zone.checked.sets.at(name) {
        let addressing = [RecordType::A, RecordType::AAAA, RecordType::CNAME, RecordType::ALIAS];
        if addressing.contains(&record_type) {
            clash(format!("has a static {record_type} record"), at);
        }
    }
    if zone.checked.zone.name_servers.iter().any(|server| server.name == *name) {
        let message = format!("the hostname `{name}` is a name server of the zone");
        report.error(*span, message, "steer another name");
    }
}
