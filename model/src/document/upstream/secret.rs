//! `v1` Secret of type `kubernetes.io/tls`: certificate chain and key.
//!
//! No message of this file shows a value, and the report hides the lines of documents with Secrets.

use crate::document::base64;
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::{Entry, Node, Value};
use crate::document::value;
use crate::gateway::Secret;

const TLS_TYPE: &str = "kubernetes.io/tls";
/// The largest value of a Secret (Kubernetes' limit of 1 MiB for the whole object).
const VALUE_OCTETS_MAX: usize = 1 << 20;

/// Reads the document; `None` also for Secrets of other types, with a warning.
pub(in crate::document) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Secret> {
    document.ignore(&["immutable"]);
    let data = document.take("data").map(|entry| &entry.value);
    let string_data = document.take("stringData").map(|entry| &entry.value);
    let kind = document.optional("type", report, value::shared);
    if kind.as_deref() != Some(TLS_TYPE) {
        let help = format!("only Secrets of type `{TLS_TYPE}` are read");
        report.warn(head.span, "this Secret is ignored", help);
        return None;
    }
    let mut find = |key: &str| {
        let plain = string_data.and_then(|node| entry(node, key));
        match (plain, data.and_then(|node| entry(node, key))) {
            (Some(entry), _) => read_plain(entry, report),
            (None, Some(entry)) => read_encoded(entry, report),
            (None, None) => {
                report.error(
                    head.span,
                    format!("the Secret has no `{key}`"),
                    format!("add `{key}` under `stringData` as PEM, or under `data` in Base64"),
                );
                None
            }
        }
    };
    let (certificate_pem, key_pem) = (find("tls.crt"), find("tls.key"));
    for node in [data, string_data].into_iter().flatten() {
        if !matches!(node.value, Value::Map(_)) {
            report.error(
                node.span,
                "expected a mapping of names to values",
                "write `tls.crt: ...` and `tls.key: ...` below it",
            );
        }
    }
    Some(Secret::tls(head.meta(), &certificate_pem?, &key_pem?))
}

fn entry<'n, 't>(node: &'n Node<'t>, key: &str) -> Option<&'n Entry<'t>> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|entry| entry.key == key),
        Value::List(_) | Value::Scalar(_) => None,
    }
}

fn read_encoded(entry: &Entry<'_>, report: &mut Report) -> Option<Vec<u8>> {
    let octets = match &entry.value.value {
        Value::Scalar(scalar) => base64::decode(&scalar.text),
        Value::List(_) | Value::Map(_) => None,
    };
    let Some(octets) = octets else {
        let help = "write PEM text under `stringData` instead";
        report.error(entry.key_span, format!("`{}` is not Base64", entry.key), help);
        return None;
    };
    check_pem(entry, octets, report)
}

fn read_plain(entry: &Entry<'_>, report: &mut Report) -> Option<Vec<u8>> {
    match &entry.value.value {
        Value::Scalar(scalar) => check_pem(entry, scalar.text.as_bytes().to_vec(), report),
        Value::List(_) | Value::Map(_) => {
            report.error(
                entry.key_span,
                format!("`{}` is not text", entry.key),
                "write the PEM text as a block: `|` after the colon, the text indented below",
            );
            None
        }
    }
}

/// Whether it is PEM at all; what is in it is for whoever serves with it.
fn check_pem(entry: &Entry<'_>, octets: Vec<u8>, report: &mut Report) -> Option<Vec<u8>> {
    const MARK: &[u8] = b"-----BEGIN ";
    if octets.len() > VALUE_OCTETS_MAX {
        let message = format!("`{}` is larger than {VALUE_OCTETS_MAX} octets", entry.key);
        report.error(
            entry.key_span,
            message,
            "a chain and its key take a few kilobytes: leave out what does not belong",
        );
        return None;
    }
    if !octets.windows(MARK.len()).any(|window| window == MARK) {
        report.error(
            entry.key_span,
            format!("`{}` is not PEM", entry.key),
            "PEM begins with `-----BEGIN`: give the file as your authority made it",
        );
        return None;
    }
    Some(octets)
}
