//! Every object of a run as read, by kind, before one is checked against another.

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::Fields;
use super::head::{self, Head};
use super::object::{self, Kind, Recognized};
use super::report::{Lost, Report, Span, Spanned};
use super::tree::Node;
use super::{DOCUMENTS_MAX, guard, locale_map, service, site, traffic, upstream, zone};
use crate::gateway::GatewayObjects;
use crate::name::{ObjectRef, SiteName};

/// An object's head and what follows it.
#[derive(Debug)]
pub(super) struct Object<S> {
    pub(super) head: Head,
    pub(super) spec: S,
}

/// The objects, and the name of every object that was declared, also of those that failed.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) zones: Vec<Object<zone::ZoneSpec>>,
    pub(super) sites: Vec<Object<site::SiteSpec>>,
    pub(super) services: Vec<Object<service::ServiceSpec>>,
    pub(super) policies: Vec<Object<traffic::TrafficSpec>>,
    pub(super) locale_maps: Vec<Object<locale_map::LocaleMapSpec>>,
    pub(super) guards: Vec<Object<guard::GuardSpec>>,
    pub(super) gateway: GatewayObjects,
    pub(super) declared: HashMap<(Kind, ObjectRef), (Span, Arc<str>)>,
    /// Sites that gateway objects are bound to.
    pub(super) bound_sites: Vec<Spanned<SiteName>>,
    pub(super) documents: usize,
}

impl Objects {
    /// Reads one document; whatever is wrong with it is reported.
    pub(super) fn add(&mut self, document: &Node<'_>, path: &str, report: &mut Report) {
        self.documents += 1;
        if self.documents > DOCUMENTS_MAX {
            if self.documents == DOCUMENTS_MAX + 1 {
                let message = format!("there are more than {DOCUMENTS_MAX} documents");
                report.error(document.span, message, "split the set, one directory for each run");
            }
            report.lose(Lost::Document);
            return;
        }
        let Some(mut fields) = Fields::open("a document", document, report) else {
            report.lose(Lost::Document);
            return;
        };
        match object::recognize(&mut fields, report) {
            None => report.lose(Lost::Document),
            Some(Recognized::Ignored) => {}
            Some(Recognized::List) => {
                for item in object::list_items(&mut fields, report) {
                    self.add(item, path, report);
                }
                fields.finish(report);
            }
            Some(Recognized::Kind(kind)) => {
                let head = head::read(kind, &mut fields, path, report);
                if head.is_named {
                    self.declare(kind, &head, report);
                } else {
                    report.lose(Lost::Name(kind));
                }
                self.add_object(kind, head, fields, report);
            }
        }
    }

    fn declare(&mut self, kind: Kind, head: &Head, report: &mut Report) {
        let key = (kind, head.object.clone());
        if let Some((_, origin)) = self.declared.get(&key) {
            let message = format!("the {} `{}` is given twice", kind.name(), head.object);
            let help = format!("rename or remove one of the two: the first is at {origin}");
            report.error(head.span, message, help);
        } else {
            self.declared.insert(key, (head.span, Arc::clone(&head.origin)));
        }
    }

    /// Reads what follows the head, also of an object whose head is wrong.
    fn add_object(
        &mut self,
        kind: Kind,
        mut head: Head,
        mut fields: Fields<'_, '_>,
        report: &mut Report,
    ) {
        fields.ignore(&["status"]);
        match kind {
            Kind::Zone => {
                let spec = zone::read(&mut fields, report);
                if spec.as_ref().is_none_or(|spec| spec.apex.is_none()) {
                    report.lose(Lost::Apex);
                }
                keep(&mut self.zones, head, spec);
            }
            Kind::Site => keep(&mut self.sites, head, site::read(&mut fields, report)),
            Kind::GlobalService => {
                keep(&mut self.services, head, service::read(&mut fields, report));
            }
            Kind::TrafficPolicy => {
                keep(&mut self.policies, head, traffic::read(&mut fields, report));
            }
            Kind::LocaleMap => {
                keep(&mut self.locale_maps, head, locale_map::read(&mut fields, report));
            }
            Kind::GuardPolicy => keep(&mut self.guards, head, guard::read(&mut fields, report)),
            Kind::Gateway(kind) => {
                let site = head.site.take();
                let read =
                    upstream::read(kind, &Head { site: site.clone(), ..head }, &mut fields, report);
                if let Some(object) = read {
                    self.gateway.put(object);
                }
                self.bound_sites.extend(site);
            }
        }
        fields.finish(report);
    }
}

fn keep<S>(all: &mut Vec<Object<S>>, head: Head, spec: Option<S>) {
    all.extend(spec.map(|spec| Object { head, spec }));
}
