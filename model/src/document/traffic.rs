//! `TrafficPolicy`: rules for services, inherited as in GEP-713.

use std::sync::Arc;

use super::fields::{self, Fields};
use super::object::NEARSIDE;
use super::report::{Report, Spanned};
use super::rule::{self, RuleSpec};
use super::tree::Node;
use super::value;

/// The most rules one policy may have.
const RULES_MAX: usize = 1000;

/// A `TrafficPolicy` document's `spec`.
#[derive(Debug)]
pub(super) struct TrafficSpec {
    pub(super) targets: Vec<TargetSpec>,
    pub(super) rules: Vec<RuleSpec>,
    pub(super) defaults: Vec<RuleSpec>,
    pub(super) overrides: Vec<RuleSpec>,
}

/// What a policy is about.
#[derive(Debug)]
pub(super) struct TargetSpec {
    pub(super) kind: TargetKind,
    pub(super) name: Spanned<Arc<str>>,
}

/// The kinds a policy may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetKind {
    Zone,
    GlobalService,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<TrafficSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the TrafficPolicy", node, report)?;
    let targets = fields.required("targetRefs", report, |node, report| {
        let targets = fields::list(node, report, read_target)?;
        if let super::tree::Value::List(items) = &node.value
            && items.is_empty()
        {
            report.error(
                node.span,
                "the policy has no target",
                "write `targetRefs: [{kind: GlobalService, name: ...}]`",
            );
        }
        Some(targets)
    });
    let rules = fields.optional("rules", report, rule::read_rules);
    let defaults = fields.optional("defaults", report, read_nested);
    let overrides = fields.optional("overrides", report, read_nested);
    let span = fields.span();
    fields.finish(report);
    let all = [&rules, &defaults, &overrides];
    if all.iter().all(|part| part.is_none()) {
        let help = "add `rules`, `defaults: {rules: [...]}` or `overrides: {rules: [...]}`";
        report.error(span, "the policy has no rule", help);
    }
    let mut named: Vec<&Spanned<Arc<str>>> = Vec::new();
    for name in all.into_iter().flatten().flatten().filter_map(|rule| rule.name.as_ref()) {
        if named.iter().any(|earlier| earlier.value == name.value) {
            let message = format!("the rule `{}` is given twice", name.value);
            report.error(name.span, message, "give each rule of a policy a name of its own");
        }
        named.push(name);
        if named.len() > RULES_MAX {
            let message = format!("a policy has at most {RULES_MAX} rules");
            report.error(name.span, message, "put further rules into a second policy");
            break;
        }
    }
    Some(TrafficSpec {
        targets: targets.unwrap_or_default(),
        rules: rules.unwrap_or_default(),
        defaults: defaults.unwrap_or_default(),
        overrides: overrides.unwrap_or_default(),
    })
}

fn read_nested(node: &Node<'_>, report: &mut Report) -> Option<Vec<RuleSpec>> {
    let mut fields = Fields::open("this block", node, report)?;
    let rules = fields.required("rules", report, rule::read_rules);
    fields.finish(report);
    rules
}

fn read_target(node: &Node<'_>, report: &mut Report) -> Option<TargetSpec> {
    const KINDS: &[(&str, TargetKind)] =
        &[("Zone", TargetKind::Zone), ("GlobalService", TargetKind::GlobalService)];
    let mut fields = Fields::open("a target", node, report)?;
    let group = fields.optional("group", report, fields::named);
    let kind = fields.required("kind", report, value::choice(KINDS));
    let name = fields.required("name", report, fields::named);
    fields.finish(report);
    let own_group = NEARSIDE.split('/').next().unwrap_or(NEARSIDE);
    if let Some(group) = group
        && &*group.value != own_group
    {
        let message = format!("unknown group `{}`", group.value);
        report.error(group.span, message, format!("write `{own_group}`"));
    }
    Some(TargetSpec { kind: kind?, name: name? })
}
