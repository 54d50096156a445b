//! `cname` and `alias`: a name that DNS answers with in place of a site's addresses.

use super::fields::{self, Fields};
use super::report::{Report, Spanned};
use super::tree::Node;
use super::value;
use crate::name::DnsName;
use crate::site::Alias;

/// Takes the two fields of a Site; at most one may be given.
pub(super) fn take(fields: &mut Fields<'_, '_>, report: &mut Report) -> Option<Spanned<Alias>> {
    let cname = fields.take("cname");
    let alias = fields.take("alias");
    if let (Some(_), Some(alias)) = (cname, alias) {
        fields::report_together("cname", ("alias", alias.key_span), report);
    }
    let cname = cname.and_then(|entry| read_as(Alias::Cname, &entry.value, report));
    let alias = alias.and_then(|entry| read_as(Alias::Resolved, &entry.value, report));
    cname.or(alias)
}

/// `{cname: NAME}` or `{alias: NAME}`.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Option<Spanned<Alias>> {
    let mut fields = Fields::open("a target", node, report)?;
    let found = fields.exactly_one(&["cname", "alias"], report);
    fields.finish(report);
    let mut alias = None;
    for (key, node) in found {
        let kind = if key == "cname" { Alias::Cname } else { Alias::Resolved };
        alias = read_as(kind, node, report);
    }
    alias
}

fn read_as(
    kind: fn(DnsName) -> Alias,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Spanned<Alias>> {
    let name = value::dns_name(node, report)?;
    if name.is_wildcard() {
        let message = format!("`{name}` is a pattern, not a name");
        report.error(node.span, message, "write the name that has the addresses");
        return None;
    }
    Some(Spanned { value: kind(name), span: node.span })
}
