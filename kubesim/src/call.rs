//! A request as read: what it is about and what it carries.

use bytes::Bytes;
use serde_json::Value;

use crate::refusal::Refusal;

/// One request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    /// The first word of the user agent names the manager of plain writes.
    pub(crate) agent: String,
    pub(crate) body: Bytes,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Call {
    /// A query parameter, or nothing.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.iter().find(|(of, _)| of == name).map_or("", |(_, value)| value)
    }

    /// Reads `a=1&b=2`.
    pub(crate) fn parse_query(text: &str) -> Vec<(String, String)> {
        let pair = |part: &str| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        };
        text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
    }

    /// The body as JSON; YAML is taken too, as apply patches are sent.
    pub(crate) fn document(&self) -> Result<Value, Refusal> {
        if let Ok(value) = serde_json::from_slice(&self.body) {
            return Ok(value);
        }
        let text = std::str::from_utf8(&self.body).unwrap_or_default();
        let read: Option<Value> = serde_saphyr::from_str(text).ok();
        read.filter(Value::is_object)
            .ok_or_else(|| Refusal::bad_request("the object provided is unrecognized"))
    }

    /// Who writes, when it is not an apply.
    pub(crate) fn manager(&self) -> &str {
        match self.parameter("fieldManager") {
            "" => self
                .agent
                .split(['/', ' '])
                .next()
                .filter(|name| !name.is_empty())
                .unwrap_or("unknown"),
            named => named,
        }
    }

    /// Whether a table for people is wanted before anything else.
    pub(crate) fn wants_table(&self) -> bool {
        self.accept.split(',').next().is_some_and(|first| first.contains("as=Table"))
    }

    /// Whether metadata alone was asked for.
    pub(crate) fn wants_metadata(&self) -> bool {
        self.accept.contains("as=PartialObjectMetadata")
    }
}

impl Target {
    /// Reads `/api/v1/...` and `/apis/GROUP/VERSION/...`.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty()).map(decode);
        let group = match parts.next()?.as_str() {
            "api" => String::new(),
            "apis" => parts.next()?,
            _ => return None,
        };
        let version = parts.next()?;
        let rest: Vec<String> = parts.collect();
        let part = |at: usize| rest.get(at).cloned();
        let is_namespaced = rest.first().is_some_and(|first| first == "namespaces")
            && rest.len() > 2
            && !matches!(rest[2].as_str(), "status" | "finalize");
        let (namespace, at) = if is_namespaced { (part(1), 2) } else { (None, 0) };
        let target = Self {
            group,
            version,
            plural: part(at)?,
            namespace,
            name: part(at + 1),
            subresource: part(at + 2),
        };
        (rest.len() <= at + 3).then_some(target)
    }
}

fn decode(text: &str) -> String {
    let (mut octets, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped =
            hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| first == b'%');
        octets.push(escaped.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&octets).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Call, Target};

    #[test]
    fn paths_name_what_they_do_on_a_real_server() {
        for (path, read) in [
            ("/api/v1/services", Some(("", "v1", "services", None, None, None))),
            ("/api/v1/namespaces", Some(("", "v1", "namespaces", None, None, None))),
            ("/api/v1/namespaces/a", Some(("", "v1", "namespaces", None, Some("a"), None))),
            (
                "/api/v1/namespaces/a/status",
                Some(("", "v1", "namespaces", None, Some("a"), Some("status"))),
            ),
            (
                "/api/v1/namespaces/a/services/b",
                Some(("", "v1", "services", Some("a"), Some("b"), None)),
            ),
            (
                "/apis/g.io/v1/namespaces/a/routes/b/status",
                Some(("g.io", "v1", "routes", Some("a"), Some("b"), Some("status"))),
            ),
            ("/apis/g.io/v1/classes/c", Some(("g.io", "v1", "classes", None, Some("c"), None))),
            ("/apis/g.io/v1/namespaces/a/routes/b/status/more", None),
            ("/healthz", None),
            ("/api/v1", None),
        ] {
            let found = Target::parse(path);
            let found = found.as_ref().map(|one| {
                let rest =
                    (one.namespace.as_deref(), one.name.as_deref(), one.subresource.as_deref());
                (
                    one.group.as_str(),
                    one.version.as_str(),
                    one.plural.as_str(),
                    rest.0,
                    rest.1,
                    rest.2,
                )
            });
            assert_eq!(found, read, "{path}");
        }
    }

    #[test]
    fn query_parameters_are_decoded() {
        let query = Call::parse_query("a=b%3Dc%2Cd+e&watch&f=%zz");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query, [pair("a", "b=c,d e"), pair("watch", ""), pair("f", "%zz")]);
    }
}
