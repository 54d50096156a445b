//! Which namespaces objects may attach from: `from`, with a label selector.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::fields::{self, Fields};
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{LabelExpression, LabelOperator, LabelSelector, NamespaceFilter};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    All,
    Same,
    Selector,
    None,
}

const FROM: &[(&str, From)] =
    &[("All", From::All), ("Same", From::Same), ("Selector", From::Selector), ("None", From::None)];

const OPERATORS: &[(&str, LabelOperator)] = &[
    ("In", LabelOperator::In),
    ("NotIn", LabelOperator::NotIn),
    ("Exists", LabelOperator::Exists),
    ("DoesNotExist", LabelOperator::DoesNotExist),
];

/// Reads `namespaces`; `None` when it does not say.
pub(super) fn read_namespaces(node: &Node<'_>, report: &mut Report) -> Option<NamespaceFilter> {
    let mut fields = Fields::open("`namespaces`", node, report)?;
    let from = fields.optional("from", report, value::choice(FROM));
    let selector = fields.optional("selector", report, read);
    fields.finish(report);
    Some(match from? {
        From::All => NamespaceFilter::All,
        From::Same => NamespaceFilter::Same,
        From::None => NamespaceFilter::None,
        From::Selector => match selector {
            Some(selector) => NamespaceFilter::Selector(selector),
            // Upstream: without a selector nothing is selected.
            None => NamespaceFilter::None,
        },
    })
}

fn read(node: &Node<'_>, report: &mut Report) -> Option<LabelSelector> {
    let mut fields = Fields::open("`selector`", node, report)?;
    let labels = fields.optional("matchLabels", report, |node, report| {
        fields::map(node, report, |key, node, report| {
            Some((Arc::from(key.value), value::shared(node, report)?))
        })
    });
    let expressions = fields.list("matchExpressions", report, read_expression);
    fields.finish(report);
    let labels: BTreeMap<_, _> = labels.unwrap_or_default().into_iter().collect();
    Some(LabelSelector { labels, expressions })
}

fn read_expression(node: &Node<'_>, report: &mut Report) -> Option<LabelExpression> {
    let mut fields = Fields::open("an expression", node, report)?;
    let key = fields.required("key", report, value::filled);
    let operator = fields.required("operator", report, value::choice(OPERATORS));
    let values = fields.list("values", report, value::shared);
    fields.finish(report);
    Some(LabelExpression { key: key?, operator: operator?, values })
}
