//! `GuardPolicy`: limits on what a change may destroy at once.

use std::sync::Arc;

use super::fields::{self, Fields};
use super::report::{Report, Spanned};
use super::rule;
use super::tree::Node;
use super::value;

/// The window when no document gives one: as long as a bad roll-out usually takes to be noticed.
pub(super) const WINDOW_DEFAULT_S: u32 = 300;
/// A day: longer windows would outlive what an operator remembers of a change.
const WINDOW_MAX_S: u64 = 86_400;

/// A `GuardPolicy` document's `spec`.
#[derive(Debug)]
pub(super) struct GuardSpec {
    pub(super) protected: Vec<Spanned<Arc<str>>>,
    pub(super) removals_max: Option<u32>,
    pub(super) window_s: u32,
    pub(super) withdrawn_percent_max: Option<u8>,
    pub(super) undrainable: Vec<Spanned<Arc<str>>>,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<GuardSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the GuardPolicy", node, report)?;
    let protected = fields.list("protected", report, fields::named);
    let removals = fields.optional("removals", report, read_removals);
    let percent = fields.optional("withdrawnPercentMax", report, value::whole(0..=100));
    let undrainable = fields.optional("undrainable", report, rule::site_names);
    fields.finish(report);
    let (removals_max, window_s) = removals.unwrap_or((None, WINDOW_DEFAULT_S));
    Some(GuardSpec {
        protected,
        removals_max,
        window_s,
        withdrawn_percent_max: percent,
        undrainable: undrainable.unwrap_or_default(),
    })
}

fn read_removals(node: &Node<'_>, report: &mut Report) -> Option<(Option<u32>, u32)> {
    let mut fields = Fields::open("`removals`", node, report)?;
    let max = fields.required("max", report, value::whole(0..=u64::from(u32::MAX)));
    let window_s = fields.optional("windowSeconds", report, value::whole(1..=WINDOW_MAX_S));
    fields.finish(report);
    Some((Some(max?), window_s.unwrap_or(WINDOW_DEFAULT_S)))
}
