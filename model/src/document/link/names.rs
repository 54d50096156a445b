//! Names of objects to ids, with "did you mean" for those that are not there.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use crate::document::head::is_namespace;
use crate::document::object::Kind;
use crate::document::report::{Report, Span, Spanned};
use crate::document::suggest;
use crate::gateway::{ObjectKind, ObjectSet, Service, ServicePort};
use crate::name::ObjectRef;
use crate::site::{Site, SiteId};

/// After so many unknown names nobody looks for near ones: 10,000 of them against 10,000 sites would
/// take half a minute.
const HELPED_MAX: u32 = 200;

/// Where each declared object is, by kind and name.
pub(super) type Declared = HashMap<(Kind, ObjectRef), (Span, Arc<str>)>;

/// What references are resolved against.
#[derive(Debug)]
pub(super) struct Names<'a> {
    declared: &'a Declared,
    sites: &'a [Site],
    site_ids: HashMap<&'a str, SiteId>,
    services: HashMap<&'a ObjectRef, &'a Service>,
    helped: Cell<u32>,
}

impl<'a> Names<'a> {
    pub(super) fn new(
        declared: &'a Declared,
        sites: &'a [Site],
        services: &'a ObjectSet<Service>,
    ) -> Self {
        let ids = (0_u16..).map(SiteId);
        let site_ids = sites.iter().map(|site| site.name.as_str()).zip(ids).collect();
        let services = services.iter().map(|service| (&service.meta.object, &**service)).collect();
        Self { declared, sites, site_ids, services, helped: Cell::new(0) }
    }

    /// Every site, by id.
    pub(super) fn sites(&self) -> impl Iterator<Item = (SiteId, &'a Site)> {
        (0_u16..).map(SiteId).zip(self.sites)
    }

    /// A site by name; a name nobody declared is an error.
    pub(super) fn site(&self, name: &Spanned<Arc<str>>, report: &mut Report) -> Option<SiteId> {
        let id = self.site_ids.get(&*name.value).copied();
        if id.is_none() {
            self.require(Kind::Site, &ObjectRef::new("", &name.value), name.span, report);
        }
        id
    }

    /// Several sites by name.
    pub(super) fn sites_named(
        &self,
        names: &[Spanned<Arc<str>>],
        report: &mut Report,
    ) -> Vec<SiteId> {
        names.iter().filter_map(|name| self.site(name, report)).collect()
    }

    /// Reports an object that was never declared.
    pub(super) fn require(&self, kind: Kind, object: &ObjectRef, span: Span, report: &mut Report) {
        if self.is_missing(kind, object, report) {
            let message = format!("unknown {} `{object}`", kind.name());
            report.error(span, message, self.help(kind, object));
        }
    }

    /// Warns of an object that was never declared.
    pub(super) fn warn_unless_declared(
        &self,
        kind: Kind,
        object: &ObjectRef,
        span: Span,
        report: &mut Report,
    ) {
        if self.is_missing(kind, object, report) {
            let message = format!("there is no {} `{object}`", kind.name());
            report.warn(span, message, self.help(kind, object));
        }
    }

    /// Whether nobody declared an object. What could not be read may be it, and a namespace that
    /// cannot be is reported where it was written.
    fn is_missing(&self, kind: Kind, object: &ObjectRef, report: &Report) -> bool {
        !report.may_have_lost(kind)
            && is_namespace(&object.namespace)
            && !self.declared.contains_key(&(kind, object.clone()))
    }

    fn help(&self, kind: Kind, object: &ObjectRef) -> String {
        self.helped.set(self.helped.get().saturating_add(1));
        if self.helped.get() > HELPED_MAX {
            return format!(
                "see the first unknown names of this run for the {}s there are",
                kind.name()
            );
        }
        let mut known: Vec<&str> = self
            .declared
            .keys()
            .filter(|(k, other)| *k == kind && other.namespace == object.namespace)
            .map(|(_, other)| &*other.name)
            .collect();
        known.sort_unstable();
        let title = match &*object.namespace {
            "" => format!("there are {}s", kind.name()),
            namespace => format!("in `{namespace}` there are {}s", kind.name()),
        };
        suggest::help_for(&object.name, &title, known)
    }

    /// Warns of a backend that the Services of these documents do not have. Without any Service the
    /// sites have documents of their own, and nothing can be said.
    pub(super) fn check_backend(
        &self,
        object: &Spanned<ObjectRef>,
        port: &Spanned<u16>,
        report: &mut Report,
    ) {
        if self.services.is_empty() {
            return;
        }
        match self.services.get(&object.value) {
            None => {
                let kind = Kind::Gateway(ObjectKind::Service);
                self.warn_unless_declared(kind, &object.value, object.span, report);
            }
            Some(service) if service.ports.iter().all(|known| known.port != port.value) => {
                let message = format!("the Service `{}` has no port {}", object.value, port.value);
                report.warn(port.span, message, help_ports(service));
            }
            Some(_) => {}
        }
    }

    /// A Service by name.
    pub(super) fn service(&self, object: &ObjectRef) -> Option<&'a Service> {
        self.services.get(object).copied()
    }

    /// Where an object's name was written.
    pub(super) fn span_of(&self, kind: Kind, object: &ObjectRef) -> Option<Span> {
        self.declared.get(&(kind, object.clone())).map(|(span, _)| *span)
    }
}

/// A help that lists a Service's ports.
pub(super) fn help_ports(service: &Service) -> String {
    let port = |port: &ServicePort| match &port.name {
        Some(name) => format!("{} (`{name}`)", port.port),
        None => port.port.to_string(),
    };
    let listed: Vec<String> = service.ports.iter().map(port).collect();
    if listed.is_empty() {
        "it has none".into()
    } else {
        format!("its ports are {}", listed.join(", "))
    }
}
