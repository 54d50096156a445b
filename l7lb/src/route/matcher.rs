//! Regular expressions and exact values of matches, compiled once.

use std::sync::Arc;

use model::gateway::ValueMatch;
use regex::{Regex, RegexBuilder};

/// The largest compiled expression, in octets: an honest one takes some kilobytes, and Unicode
/// classes in repetitions some hundred.
const COMPILED_OCTETS_MAX: usize = 1 << 20;

/// Compiles an expression that has to match the whole of a value.
///
/// # Errors
/// When it is none, or too large once compiled.
pub(crate) fn compile(text: &str) -> Result<Regex, regex::Error> {
    let whole = format!("^(?:{text})$");
    RegexBuilder::new(&whole).size_limit(COMPILED_OCTETS_MAX).build()
}

/// What a header or parameter must be.
#[derive(Debug, Clone)]
pub(super) enum Wanted {
    Exact(Arc<str>),
    Regex(Regex),
}

impl Wanted {
    /// `None` for an expression that is none; the document's status says so.
    pub(super) fn new(value: &ValueMatch) -> Option<Self> {
        Some(match value {
            ValueMatch::Exact(text) => Self::Exact(Arc::clone(text)),
            ValueMatch::Regex(text) => Self::Regex(compile(text).ok()?),
        })
    }

    /// Whether a header's value is it.
    pub(super) fn is_met(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Regex(regex) => std::str::from_utf8(value).is_ok_and(|text| regex.is_match(text)),
        }
    }
}
