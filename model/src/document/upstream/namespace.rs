//! `v1` Namespace: its labels, by which listeners choose whose routes they take.

use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::gateway::Namespace;

/// Reads the document; there is nothing in it that could be wrong.
pub(super) fn read(head: &Head, document: &mut Fields<'_, '_>, _: &mut Report) -> Namespace {
    document.ignore(&["spec"]);
    let mut labels = head.labels.clone();
    // An API server sets this label itself, and selectors count on it.
    let name = || head.object.name.clone();
    labels.entry("kubernetes.io/metadata.name".into()).or_insert_with(name);
    Namespace { meta: head.meta(), labels }
}
