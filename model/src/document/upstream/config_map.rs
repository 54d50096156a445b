//! `v1` ConfigMap: authorities and key sets are kept in them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::base64;
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::ConfigMap;

/// Reads the document. Binary data that is no text cannot be anything that is looked for here.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<ConfigMap> {
    document.ignore(&["immutable"]);
    let plain = document.optional("data", report, |node, report| {
        fields::map(node, report, |key, node, report| {
            Some((Arc::from(key.value), value::shared(node, report)?))
        })
    });
    let binary = document.optional("binaryData", report, |node, report| {
        fields::map(node, report, |key, node, report| read_binary(key.value, node, report))
    });
    let mut data: BTreeMap<Arc<str>, Arc<str>> = binary.unwrap_or_default().into_iter().collect();
    data.extend(plain.unwrap_or_default());
    Some(ConfigMap { meta: head.meta(), data })
}

fn read_binary(key: &str, node: &Node<'_>, report: &mut Report) -> Option<(Arc<str>, Arc<str>)> {
    let text = value::text(node, report)?;
    let Some(octets) = base64::decode(text) else {
        let help = "encode it, or write it as text under `data`";
        report.error(node.span, format!("`{key}` is not Base64"), help);
        return None;
    };
    Some((key.into(), String::from_utf8(octets).ok()?.into()))
}
