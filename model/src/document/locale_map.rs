//! `LocaleMap`: the operator's own places of clients, resolvers and cells.

use std::sync::Arc;

use ipnet::IpNet;

use super::fields::{self, Fields};
use super::locale;
use super::report::{Report, Spanned};
use super::rule::warn_of_folding;
use super::tree::{Node, Value};
use super::value;
use crate::geo::Locale;

/// A `LocaleMap` document's `spec`.
#[derive(Debug)]
pub(super) struct LocaleMapSpec {
    pub(super) clients: Vec<(Spanned<IpNet>, Locale)>,
    pub(super) resolvers: Vec<(Spanned<IpNet>, Locale)>,
    pub(super) cells: Vec<(Spanned<Arc<str>>, Locale)>,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<LocaleMapSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the LocaleMap", node, report)?;
    let clients = fields.list("clients", report, read_prefixes);
    let resolvers = fields.list("resolvers", report, read_prefixes);
    let cells =
        fields.list("cells", report, |node, report| read_item("ids", node, report, fields::named));
    fields.finish(report);
    let clients: Vec<_> = clients.into_iter().flatten().collect();
    for (prefix, _) in &clients {
        warn_of_folding(prefix.value, prefix.span, report);
    }
    Some(LocaleMapSpec {
        clients,
        resolvers: resolvers.into_iter().flatten().collect(),
        cells: cells.into_iter().flatten().collect(),
    })
}

fn read_prefixes(node: &Node<'_>, report: &mut Report) -> Option<Vec<(Spanned<IpNet>, Locale)>> {
    read_item("cidrs", node, report, |node, report| {
        Some(Spanned { value: value::cidr(node, report)?, span: node.span })
    })
}

/// `{<key>: [...], locale: {...}}` as one pair for each of the keys.
fn read_item<T>(
    key: &'static str,
    node: &Node<'_>,
    report: &mut Report,
    read: impl FnMut(&Node<'_>, &mut Report) -> Option<T>,
) -> Option<Vec<(T, Locale)>> {
    let mut fields = Fields::open("an item", node, report)?;
    let mut given = true;
    let keys = fields.required(key, report, |node, report| {
        given = !matches!(&node.value, Value::List(items) if items.is_empty());
        fields::list(node, report, read)
    });
    let locale = fields.required("locale", report, locale::locale);
    fields.finish(report);
    // Keys given twice are found without their locale too.
    let (keys, locale) = (keys?, locale.unwrap_or_default());
    if !given {
        report.error(
            node.span,
            format!("`{key}` names nothing"),
            format!("add something to `{key}`, or remove the item"),
        );
    }
    Some(keys.into_iter().map(|key| (key, locale.clone())).collect())
}
