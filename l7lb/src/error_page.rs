//! Pages in place of errors: the gateway's own, and where the rule says so, the backends'.

use bytes::Bytes;
use http::HeaderValue;
use model::gateway::settings::ErrorPage;

/// A page for some statuses.
#[derive(Debug, PartialEq)]
pub(crate) struct Page {
    statuses: Vec<(u16, u16)>,
    backends_too: bool,
    /// `content-type`.
    pub(crate) content_type: HeaderValue,
    /// The body.
    pub(crate) body: Bytes,
}

/// Whose error a page is to stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The gateway's.
    Own,
    /// A backend's.
    Backend,
}

impl Page {
    /// Compiles a page; `None` when its content type cannot be a header.
    pub(crate) fn compile(page: &ErrorPage) -> Option<Self> {
        let ErrorPage { statuses, backends_too, content_type, body } = page;
        Some(Self {
            statuses: statuses.clone(),
            backends_too: *backends_too,
            content_type: HeaderValue::from_str(content_type).ok()?,
            body: Bytes::copy_from_slice(body.as_bytes()),
        })
    }

    /// The first page for an error.
    pub(crate) fn find(pages: &[Self], status: u16, whose: Whose) -> Option<&Self> {
        pages.iter().find(|page| {
            (whose == Whose::Own || page.backends_too)
                && page.statuses.iter().any(|&(first, last)| (first..=last).contains(&status))
        })
    }
}

#[cfg(test)]
mod tests;
