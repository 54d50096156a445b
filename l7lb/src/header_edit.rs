//! Header changes of a rule, parsed once when the table is built.

use std::fmt;

use http::{HeaderName, HeaderValue};
use model::gateway::HeaderEdit;
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// Headers that frame messages or name the connection: no filter may touch them.
const KEPT: [&str; 7] =
    ["connection", "content-length", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];

/// A compiled header modifier; applied set, add, remove.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Edits {
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

/// Names alone: a value may be a secret.
impl fmt::Display for Edits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.set.iter().map(|(name, _)| format!("set {name}"));
        let add = self.add.iter().map(|(name, _)| format!("add {name}"));
        let remove = self.remove.iter().map(|name| format!("remove {name}"));
        f.write_str(&set.chain(add).chain(remove).collect::<Vec<_>>().join(", "))
    }
}

impl Edits {
    /// Compiles a document's changes; what cannot be a header, or must not be changed, is named in
    /// `refused` and left out.
    pub(crate) fn compile(edit: &HeaderEdit, refused: &mut Vec<String>) -> Self {
        let mut name = |text: &str| {
            let name = HeaderName::from_bytes(text.as_bytes()).ok();
            let name = name.filter(|name| !KEPT.contains(&name.as_str()));
            if name.is_none() {
                refused.push(text.to_owned());
            }
            name
        };
        let mut pairs = |list: &[(std::sync::Arc<str>, std::sync::Arc<str>)]| {
            let pair = |(key, value): &(std::sync::Arc<str>, std::sync::Arc<str>)| {
                Some((name(key)?, HeaderValue::from_str(value).ok()?))
            };
            list.iter().filter_map(pair).collect()
        };
        let (set, add) = (pairs(&edit.set), pairs(&edit.add));
        let remove = edit.remove.iter().filter_map(|text| name(text)).collect();
        Self { set, add, remove }
    }

    /// Changes a request.
    pub(crate) fn apply_to_request(&self, request: &mut RequestHeader) -> Result<()> {
        for (name, value) in &self.set {
            request.insert_header(name.clone(), value.clone())?;
        }
        for (name, value) in &self.add {
            request.append_header(name.clone(), value.clone())?;
        }
        for name in &self.remove {
            request.remove_header(name);
        }
        Ok(())
    }

    /// Changes a response.
    pub(crate) fn apply_to_response(&self, response: &mut ResponseHeader) -> Result<()> {
        for (name, value) in &self.set {
            response.insert_header(name.clone(), value.clone())?;
        }
        for (name, value) in &self.add {
            response.append_header(name.clone(), value.clone())?;
        }
        for name in &self.remove {
            response.remove_header(name);
        }
        Ok(())
    }
}
