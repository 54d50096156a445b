//! `errorPages`: pages in place of errors.

use std::sync::Arc;

use crate::document::fields::{self, Fields};
use crate::document::report::Report;
use crate::document::tree::{Node, Value};
use crate::document::upstream::{check_count, filter};
use crate::document::value;
use crate::gateway::settings::ErrorPage;

/// The most pages, and statuses of each.
const PAGES_MAX: usize = 32;
const STATUSES_MAX: usize = 32;
/// The longest page; it is kept in memory once.
const BODY_OCTETS_MAX: usize = 64 << 10;

/// Reads the list.
pub(super) fn read_all(node: &Node<'_>, report: &mut Report) -> Option<Vec<ErrorPage>> {
    let pages = fields::list(node, report, read)?;
    check_count(pages.len(), PAGES_MAX, "pages", node, report);
    Some(pages)
}

fn read(node: &Node<'_>, report: &mut Report) -> Option<ErrorPage> {
    let mut fields = Fields::open("a page", node, report)?;
    let statuses = fields.required("statuses", report, |node, report| {
        let all = fields::one_or_more(node, report, read_statuses)?;
        check_count(all.len(), STATUSES_MAX, "statuses", node, report);
        Some(all)
    });
    let backends_too = fields.optional("backendsToo", report, value::boolean);
    let content_type = fields.optional("contentType", report, filter::header_value);
    let body: Option<Arc<str>> = fields.required("body", report, value::shared);
    fields.finish(report);
    let body = body?;
    if body.len() > BODY_OCTETS_MAX {
        let message = format!("a page has at most {BODY_OCTETS_MAX} octets");
        report.error(node.span, message, "keep the page small: nothing else works at this moment");
        return None;
    }
    Some(ErrorPage {
        statuses: statuses?,
        backends_too: backends_too.unwrap_or(false),
        content_type: content_type.unwrap_or_else(|| "text/html; charset=utf-8".into()),
        body,
    })
}

/// One status, or a range such as `500-599`.
fn read_statuses(node: &Node<'_>, report: &mut Report) -> Option<(u16, u16)> {
    let found = match &node.value {
        Value::Scalar(scalar) => &*scalar.text,
        Value::List(_) | Value::Map(_) => "",
    };
    let (low, high) = found.split_once('-').unwrap_or((found, found));
    let range = low.trim().parse().ok().zip(high.trim().parse().ok());
    let fits = range.filter(|(low, high)| low <= high && *low >= 400 && *high <= 599);
    if fits.is_none() {
        let message = format!("expected statuses of errors, found {}", node.describe());
        report.error(node.span, message, "write `404`, or `500-599` for a range");
    }
    fits
}
