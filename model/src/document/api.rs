//! One object as an API server gives it, read by the readers that files have.
//!
//! The server holds the schema, so fields nobody here knows are taken. What cannot be used is
//! refused with the path of the value; the caller sets such an object aside and says so in its status.
//! No message shows a value of a Secret.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value as Json;

use super::fields::Fields;
use super::head::{self, Head};
use super::object::Kind;
use super::report::{Report, Span};
use super::tree::{Entry, Node, Scalar, Value};
use super::{DEPTH_MAX, Severity, redact, upstream};
use crate::gateway::{GatewayObject, ObjectKind};
use crate::name::ObjectRef;

/// The most faults that are told of one object.
const FAULTS_MAX: usize = 16;

/// An object that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadObject {
    /// The object.
    pub object: GatewayObject,
    /// What in it is taken but has no effect, each with its path.
    pub warnings: Vec<String>,
}

/// Why an object is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its kind, when it is one that is read.
    pub kind: Option<ObjectKind>,
    /// Its name, as far as it has one.
    pub object: ObjectRef,
    /// `metadata.generation`, 0 when absent.
    pub generation: i64,
    /// What is wrong, each with its path. Never empty.
    pub faults: Vec<String>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.faults.join("; "))
    }
}

impl std::error::Error for Refused {}

/// Reads one object of a kind that gateways use. Its origin is `kind namespace/name`.
///
/// # Errors
/// Everything that is wrong with it, when it cannot be used.
pub fn gateway_object(json: &Json) -> Result<ReadObject, Box<Refused>> {
    let text = |key: &str| json.get(key).and_then(Json::as_str).unwrap_or_default();
    let meta = |key: &str| json.get("metadata").and_then(|meta| meta.get(key));
    let name = |key: &str| meta(key).and_then(Json::as_str).unwrap_or_default();
    let kind = ObjectKind::recognize(text("apiVersion"), text("kind"));
    let refuse = |faults| {
        let object = ObjectRef::new(name("namespace"), name("name"));
        let generation = meta("generation").and_then(Json::as_i64).unwrap_or(0);
        Box::new(Refused { kind, object, generation, faults })
    };
    let Some(kind) = kind else {
        let (version, kind) = (text("apiVersion"), text("kind"));
        return Err(refuse(vec![format!("`{kind}` of `{version}` is not read")]));
    };
    let mut tree = Tree { next: 0 };
    let Some(node) = tree.node(json, 0) else {
        return Err(refuse(vec![format!("this is nested deeper than {DEPTH_MAX} levels")]));
    };
    let mut report = Report::lenient();
    let object = read(kind, &node, &mut report);
    let failed = report.has_errors();
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    for (severity, span, message, help) in report.into_findings() {
        let list = if severity == Severity::Error { &mut faults } else { &mut warnings };
        if list.len() < FAULTS_MAX {
            let path = path_of(json, span.line);
            let found = format!("`{path}`: {message} ({help})");
            list.push(if kind == ObjectKind::Secret { redact::message(&found) } else { found });
        }
    }
    match object {
        Some(object) if !failed => Ok(ReadObject { object, warnings }),
        _ => {
            if faults.is_empty() {
                faults = warnings;
            }
            if faults.is_empty() {
                faults.push("nothing in it can be used".into());
            }
            Err(refuse(faults))
        }
    }
}

fn read(kind: ObjectKind, node: &Node<'_>, report: &mut Report) -> Option<GatewayObject> {
    let mut fields = Fields::open("an object", node, report)?;
    let head = head::read(Kind::Gateway(kind), &mut fields, "", report);
    let origin = format!("{} {}", kind.name(), head.object).into();
    let head = Head { origin, ..head };
    upstream::read(kind, &head, &mut fields, report)
}

/// Makes trees of JSON. The line of a node's span is its number in document order, from 1.
struct Tree {
    next: u32,
}

impl Tree {
    fn node<'t>(&mut self, json: &'t Json, depth: usize) -> Option<Node<'t>> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.next = self.next.saturating_add(1);
        let span = Span { file: 0, line: self.next, column: 1 };
        let plain = |text| Value::Scalar(Scalar { text, plain: true });
        let value = match json {
            Json::Null => plain(Cow::Borrowed("null")),
            Json::Bool(true) => plain(Cow::Borrowed("true")),
            Json::Bool(false) => plain(Cow::Borrowed("false")),
            Json::Number(number) => plain(Cow::Owned(number.to_string())),
            Json::String(text) => Value::Scalar(Scalar { text: Cow::Borrowed(text), plain: false }),
            Json::Array(items) => {
                let items = items.iter().map(|item| self.node(item, depth + 1));
                Value::List(items.collect::<Option<_>>()?)
            }
            Json::Object(entries) => {
                let mut read = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    let value = self.node(value, depth + 1)?;
                    let (key, key_span) = (Cow::Borrowed(key.as_str()), value.span);
                    read.push(Entry { key, key_span, value });
                }
                Value::Map(read)
            }
        };
        Some(Node { span, value })
    }
}

/// The path of the node of a number, counted as [`Tree`] does.
fn path_of(json: &Json, number: u32) -> String {
    fn walk(json: &Json, number: u32, next: &mut u32, path: &mut String) -> bool {
        *next = next.saturating_add(1);
        if *next == number {
            return true;
        }
        let before = path.len();
        match json {
            Json::Array(items) => items.iter().enumerate().any(|(at, item)| {
                path.truncate(before);
                path.push_str(&format!("[{at}]"));
                walk(item, number, next, path)
            }),
            Json::Object(entries) => entries.iter().any(|(key, value)| {
                path.truncate(before);
                if before > 0 {
                    path.push('.');
                }
                path.push_str(key);
                walk(value, number, next, path)
            }),
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        }
    }
    let mut path = String::new();
    walk(json, number, &mut 0, &mut path);
    if path.is_empty() { "object".into() } else { path }
}

#[cfg(test)]
mod tests;
