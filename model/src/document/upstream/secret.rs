//! `v1` Secret of any type: what is in it is for whoever uses it.
//!
//! No message of this file shows a value, and the report hides the lines of documents with Secrets.
//! A TLS Secret of a file must have both of its parts in PEM; one of an API server is taken as it is,
//! and the listeners that name it say what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::document::base64;
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::{Entry, Node, Value};
use crate::document::value;
use crate::gateway::Secret;

/// The largest value of a Secret (Kubernetes' limit of 1 MiB for the whole object).
const VALUE_OCTETS_MAX: usize = 1 << 20;
/// The type of Secrets that do not say (Kubernetes' default).
const OPAQUE: &str = "Opaque";

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Secret> {
    document.ignore(&["immutable"]);
    let encoded = document.take("data").map(|entry| &entry.value);
    let plain = document.take("stringData").map(|entry| &entry.value);
    let kind = document.optional("type", report, value::shared);
    let kind = kind.unwrap_or_else(|| OPAQUE.into());
    let mut data = BTreeMap::new();
    let mut failed = BTreeSet::new();
    for (node, read) in [(plain, read_plain as Reader), (encoded, read_encoded)] {
        for entry in node.map_or(&[][..], |node| entries(node, report)) {
            // `stringData` comes first here and wins, as in Kubernetes.
            if data.contains_key(&*entry.key) {
                continue;
            }
            match read(entry, report) {
                Some(octets) => {
                    data.insert(Arc::from(&*entry.key), Arc::from(octets));
                }
                None => {
                    failed.insert(&*entry.key);
                }
            }
        }
    }
    if &*kind == Secret::TLS && !report.is_lenient() {
        for key in ["tls.crt", "tls.key"] {
            if !data.contains_key(key) && !failed.contains(key) {
                report.error(
                    head.span,
                    format!("the Secret has no `{key}`"),
                    format!("add `{key}` under `stringData` as PEM, or under `data` in Base64"),
                );
            }
        }
        for node in [plain, encoded].into_iter().flatten() {
            for entry in entries(node, report) {
                let is_pair = matches!(&*entry.key, "tls.crt" | "tls.key");
                if let Some(octets) = data.get(&*entry.key).filter(|_| is_pair) {
                    check_pem(entry, octets, report);
                }
            }
        }
    }
    Some(Secret { meta: head.meta(), kind, data })
}

type Reader = fn(&Entry<'_>, &mut Report) -> Option<Vec<u8>>;

fn entries<'n, 't>(node: &'n Node<'t>, report: &mut Report) -> &'n [Entry<'t>] {
    match &node.value {
        Value::Map(entries) => entries,
        Value::List(_) | Value::Scalar(_) => {
            report.error(
                node.span,
                "expected a mapping of names to values",
                "write `tls.crt: ...` and `tls.key: ...` below it",
            );
            &[]
        }
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
    check_size(entry, octets, report)
}

fn read_plain(entry: &Entry<'_>, report: &mut Report) -> Option<Vec<u8>> {
    match &entry.value.value {
        Value::Scalar(scalar) => check_size(entry, scalar.text.as_bytes().to_vec(), report),
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

fn check_size(entry: &Entry<'_>, octets: Vec<u8>, report: &mut Report) -> Option<Vec<u8>> {
    if octets.len() > VALUE_OCTETS_MAX {
        let message = format!("`{}` is larger than {VALUE_OCTETS_MAX} octets", entry.key);
        report.error(
            entry.key_span,
            message,
            "a chain and its key take a few kilobytes: leave out what does not belong",
        );
        return None;
    }
    Some(octets)
}

/// Whether it is PEM at all; what is in it is for whoever serves with it.
fn check_pem(entry: &Entry<'_>, octets: &[u8], report: &mut Report) {
    const MARK: &[u8] = b"-----BEGIN ";
    if !octets.windows(MARK.len()).any(|window| window == MARK) {
        report.error(
            entry.key_span,
            format!("`{}` is not PEM", entry.key),
            "PEM begins with `-----BEGIN`: give the file as your authority made it",
        );
    }
}
