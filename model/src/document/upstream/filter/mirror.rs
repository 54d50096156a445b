//! `requestMirror`: copies of requests to another backend.

use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::upstream::backend;
use crate::document::value;
use crate::gateway::Mirror;

/// Reads the mapping.
pub(super) fn read(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Mirror> {
    let mut fields = Fields::open("`requestMirror`", node, report)?;
    let backend = fields
        .required("backendRef", report, |node, report| backend::read_one(namespace, node, report));
    let percent = fields.optional("percent", report, value::whole(0..=100));
    let fraction = fields.optional("fraction", report, read_fraction);
    fields.finish(report);
    let (numerator, denominator) = match (percent, fraction) {
        (Some(_), Some(_)) => {
            let help = "remove one of the two";
            report.error(node.span, "`percent` and `fraction` cannot both be given", help);
            return None;
        }
        (Some(percent), None) => (percent, 100),
        (None, Some(fraction)) => fraction,
        (None, None) => (1, 1),
    };
    Some(Mirror { backend: backend?, numerator, denominator })
}

/// `numerator` of `denominator` (100 by default).
fn read_fraction(node: &Node<'_>, report: &mut Report) -> Option<(u32, u32)> {
    let whole = |least| value::whole(least..=u64::from(i32::MAX.unsigned_abs()));
    let mut fields = Fields::open("`fraction`", node, report)?;
    let numerator: Option<u32> = fields.required("numerator", report, whole(0));
    let denominator = fields.optional("denominator", report, whole(1)).unwrap_or(100);
    fields.finish(report);
    let numerator = numerator?;
    if numerator > denominator {
        let help = "write at most as many as `denominator`";
        report.error(node.span, "`numerator` is larger than `denominator`", help);
        return None;
    }
    Some((numerator, denominator))
}
