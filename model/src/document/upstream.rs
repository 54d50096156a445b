//! Kubernetes' and Gateway API's own kinds, projected to what the gateway uses.
//!
//! Documents copied from their manuals load unchanged: fields of the upstream schema that are not
//! used are listed by name and taken, with a warning where leaving them out changes behaviour; a
//! name that the schema does not have is an error.

pub(super) mod endpoint_slice;
mod filter;
pub(super) mod gateway;
pub(super) mod http_route;
pub(super) mod ingress;
mod path;
pub(super) mod secret;
pub(super) mod service;

use std::sync::Arc;

use super::fields::{self, Fields};
use super::head::namespace_name;
use super::report::{Report, Spanned};
use super::tree::Node;
use crate::name::ObjectRef;

/// A reference of Gateway API: `group`, `kind`, `namespace`, `name`.
struct TargetRef {
    group: Option<Spanned<Arc<str>>>,
    kind: Option<Spanned<Arc<str>>>,
    object: ObjectRef,
}

impl TargetRef {
    /// Takes the four fields out of a mapping that may have others.
    fn read(fields: &mut Fields<'_, '_>, namespace: &str, report: &mut Report) -> Option<Self> {
        let group = fields.optional("group", report, fields::named);
        let kind = fields.optional("kind", report, fields::named);
        let name = fields.required("name", report, fields::named);
        let own = fields.optional("namespace", report, namespace_name);
        Some(Self { group, kind, object: ObjectRef::new(own.unwrap_or(namespace), &name?.value) })
    }

    /// Whether it names an object of this kind, which is the default when it says nothing.
    fn is(&self, group: &str, kind: &str) -> bool {
        let given =
            |field: &Option<Spanned<Arc<str>>>| field.as_ref().map(|f| Arc::clone(&f.value));
        given(&self.group).is_none_or(|given| &*given == group)
            && given(&self.kind).is_none_or(|given| &*given == kind)
    }
}

/// Opens `spec`, which every upstream kind but slices and Secrets has.
fn open_spec<'n, 't>(
    what: &'static str,
    document: &mut Fields<'n, 't>,
    report: &mut Report,
) -> Option<Fields<'n, 't>> {
    let node: &'n Node<'t> = document.required("spec", report, |node, _| Some(node))?;
    Fields::open(what, node, report)
}
