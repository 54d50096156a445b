//! Rules that lead some clients elsewhere: their match, and fence, pin, weights or shift.

use std::collections::HashSet;
use std::sync::Arc;

use ipnet::IpNet;

use super::fields::{self, Fields, expected};
use super::locale;
use super::report::{Report, Span, Spanned};
use super::suggest;
use super::tree::{Node, Value};
use super::value;
use crate::policy::{Match, Window};
use crate::service::Rung;

/// Steering keeps clients apart down to these lengths and no finer: what resolvers send.
const V4_LEN_MAX: u8 = 24;
const V6_LEN_MAX: u8 = 56;
/// The highest weight: 16 bits leave room for sums over thousands of sites.
const WEIGHT_MAX: u64 = 65_535;
/// The most prefixes one rule may name.
const CIDRS_MAX: usize = 100_000;

/// A fence; its sites are still names.
#[derive(Debug)]
pub(super) enum FenceSpec {
    Match(Rung),
    Sites(Vec<Spanned<Arc<str>>>),
}

/// What a rule does; its sites are still names.
#[derive(Debug)]
pub(super) enum EffectSpec {
    Fence(FenceSpec),
    Pin(Vec<Spanned<Arc<str>>>),
    Weights(Vec<(Spanned<Arc<str>>, u32)>),
    Shift { to: Spanned<Arc<str>>, share_bp: u16 },
}

/// A rule of a `TrafficPolicy`.
#[derive(Debug)]
pub(super) struct RuleSpec {
    /// `None` after an error.
    pub(super) name: Option<Spanned<Arc<str>>>,
    pub(super) matches: Match,
    pub(super) effect: EffectSpec,
}

/// Reads one rule.
pub(super) fn read_rule(node: &Node<'_>, report: &mut Report) -> Option<RuleSpec> {
    let mut fields = Fields::open("a rule", node, report)?;
    let name = fields.required("name", report, fields::named);
    let matches = fields.optional("match", report, read_match).unwrap_or_default();
    let effects = fields.exactly_one(&["fence", "pin", "weights", "shift"], report);
    fields.finish(report);
    let mut effect = None;
    for (key, node) in effects {
        effect = read_effect(key, node, report);
    }
    Some(RuleSpec { name, matches, effect: effect? })
}

fn read_effect(key: &str, node: &Node<'_>, report: &mut Report) -> Option<EffectSpec> {
    match key {
        "fence" => read_fence(node, report).map(EffectSpec::Fence),
        "pin" => read_pin(node, report).map(EffectSpec::Pin),
        "weights" => read_weights(node, report).map(EffectSpec::Weights),
        _ => read_shift(node, report),
    }
}

/// `{match: [country]}` or `{sites: [a, b]}`.
pub(super) fn read_fence(node: &Node<'_>, report: &mut Report) -> Option<FenceSpec> {
    let mut fields = Fields::open("`fence`", node, report)?;
    let found = fields.exactly_one(&["match", "sites"], report);
    fields.finish(report);
    let mut fence = None;
    for (key, node) in found {
        fence = match key {
            "match" => read_fence_match(node, report).map(FenceSpec::Match),
            _ => some_site_names(node, report).map(FenceSpec::Sites),
        };
    }
    fence
}

fn read_fence_match(node: &Node<'_>, report: &mut Report) -> Option<Rung> {
    let words = fields::list(node, report, value::text)?;
    if words.is_empty() {
        let message = "a fence that matches nothing in particular lets all through";
        report.error(node.span, message, "write `match: [country]`, or remove the fence");
        return None;
    }
    rung_of(words.into_iter(), node.span, report)
}

fn read_pin(node: &Node<'_>, report: &mut Report) -> Option<Vec<Spanned<Arc<str>>>> {
    let mut fields = Fields::open("`pin`", node, report)?;
    let sites = fields.required("sites", report, some_site_names);
    fields.finish(report);
    sites
}

fn read_shift(node: &Node<'_>, report: &mut Report) -> Option<EffectSpec> {
    let mut fields = Fields::open("`shift`", node, report)?;
    let to = fields.required("to", report, fields::named);
    let share_bp = fields.required("percent", report, percent_bp);
    fields.finish(report);
    Some(EffectSpec::Shift { to: to?, share_bp: share_bp.unwrap_or_default() })
}

/// Percent with up to two decimals, as hundredths of a percent.
pub(super) fn percent_bp(node: &Node<'_>, report: &mut Report) -> Option<u16> {
    value::scaled(2, 0..=10_000)(node, report)
}

/// Weights by site name.
pub(super) fn read_weights(
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Vec<(Spanned<Arc<str>>, u32)>> {
    fields::map(node, report, |key, node, report| {
        let name = Spanned { value: Arc::from(key.value), span: key.span };
        Some((name, value::whole(0..=WEIGHT_MAX)(node, report).unwrap_or_default()))
    })
}

/// Names of sites; each once.
pub(super) fn site_names(node: &Node<'_>, report: &mut Report) -> Option<Vec<Spanned<Arc<str>>>> {
    let names = fields::list(node, report, fields::named)?;
    let mut seen = HashSet::with_capacity(names.len());
    for name in &names {
        if !seen.insert(&name.value) {
            report.error(
                name.span,
                format!("the site `{}` is given twice", name.value),
                "remove one of the two",
            );
        }
    }
    Some(names)
}

/// Names of sites, at least one.
pub(super) fn some_site_names(
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Vec<Spanned<Arc<str>>>> {
    if let Value::List(items) = &node.value
        && items.is_empty()
    {
        report.error(
            node.span,
            "this needs at least one site",
            "write the names of sites: `[..., ...]`",
        );
        return None;
    }
    site_names(node, report)
}

/// The fields in which site and client must agree.
pub(super) fn rung_of<'w>(
    words: impl Iterator<Item = &'w str>,
    span: Span,
    report: &mut Report,
) -> Option<Rung> {
    let mut rung = Rung { country: false, subdivision: false, isp: false, continent: false };
    let (mut any, mut count) = (false, 0);
    for word in words {
        count += 1;
        match word {
            "country" => rung.country = true,
            "subdivision" => rung.subdivision = true,
            "isp" => rung.isp = true,
            "continent" => rung.continent = true,
            "any" => any = true,
            _ => {
                let known = ["subdivision", "isp", "country", "continent", "any"];
                let help = suggest::help_for(word, "it is one of", known);
                report.error(span, format!("unknown value `{word}`"), help);
                return None;
            }
        }
    }
    if any && count > 1 {
        report.error(span, "`any` stands alone", "write `any`, or the other fields without it");
        return None;
    }
    Some(rung)
}

/// Reads a match; one that says nothing is everyone.
pub(super) fn read_match(node: &Node<'_>, report: &mut Report) -> Option<Match> {
    let mut fields = Fields::open("`match`", node, report)?;
    let mut matches = fields.optional("locale", report, read_locale_match).unwrap_or_default();
    matches.cidrs = fields.list("cidrs", report, read_cidr);
    matches.asns = fields.list("asns", report, locale::asn);
    matches.window = fields.optional("window", report, read_window);
    let span = fields.span();
    fields.finish(report);
    if matches.cidrs.len() > CIDRS_MAX {
        report.error(
            span,
            format!("a rule names at most {CIDRS_MAX} prefixes"),
            "split the rule in two that do the same",
        );
    }
    Some(matches)
}

fn read_locale_match(node: &Node<'_>, report: &mut Report) -> Option<Match> {
    let mut fields = Fields::open("`locale`", node, report)?;
    let matches = Match {
        continents: several(&mut fields, "continent", report, locale::continent),
        countries: several(&mut fields, "country", report, locale::country),
        subdivisions: several(&mut fields, "subdivision", report, locale::subdivision),
        isps: several(&mut fields, "isp", report, locale::isp),
        areas: several(&mut fields, "area", report, locale::area),
        ..Match::default()
    };
    fields.finish(report);
    Some(matches)
}

fn several<'n, T>(
    fields: &mut Fields<'n, '_>,
    key: &'static str,
    report: &mut Report,
    read: impl FnMut(&'n Node<'_>, &mut Report) -> Option<T>,
) -> Vec<T> {
    let found =
        fields.optional(key, report, |node, report| fields::one_or_more(node, report, read));
    found.unwrap_or_default()
}

fn read_cidr(node: &Node<'_>, report: &mut Report) -> Option<IpNet> {
    let prefix = value::cidr(node, report)?;
    warn_of_folding(prefix, node.span, report);
    Some(prefix)
}

/// Warns of a prefix that is finer than what steering keeps apart.
pub(super) fn warn_of_folding(prefix: IpNet, span: Span, report: &mut Report) {
    if let Some(coarse) = coarsened(prefix) {
        let message = format!("`{prefix}` is finer than steering keeps clients apart");
        let help = format!("the majority of `{coarse}` decides for all of it");
        report.warn(span, message, help);
    }
}

/// The prefix cut to what steering can keep apart, if it is finer.
fn coarsened(prefix: IpNet) -> Option<IpNet> {
    let len_max = match prefix {
        IpNet::V4(_) => V4_LEN_MAX,
        IpNet::V6(_) => V6_LEN_MAX,
    };
    if prefix.prefix_len() <= len_max {
        return None;
    }
    IpNet::new(prefix.addr(), len_max).ok().map(|coarse| coarse.trunc())
}

const DAYS: &[(&str, u8)] = &[
    ("mon", 1 << 0),
    ("tue", 1 << 1),
    ("wed", 1 << 2),
    ("thu", 1 << 3),
    ("fri", 1 << 4),
    ("sat", 1 << 5),
    ("sun", 1 << 6),
];
const DAY_MIN: u16 = 1440;

fn read_window(node: &Node<'_>, report: &mut Report) -> Option<Window> {
    let mut fields = Fields::open("`window`", node, report)?;
    let days = fields.optional("days", report, |node, report| {
        fields::list(node, report, |node, report| value::choice(DAYS)(node, report))
    });
    let from = fields.required("from", report, value::minute_of_day);
    let to = fields.required("to", report, value::minute_of_day);
    fields.finish(report);
    let (start_min, to_min) = (from?, to?);
    let days = days.map_or(0x7f, |days| days.into_iter().fold(0, |all, day| all | day));
    if start_min == DAY_MIN || start_min == to_min || days == 0 {
        let help = "write a later `to`; a whole day is from `\"00:00\"` to `\"24:00\"`";
        report.error(node.span, "this window never opens", help);
        return None;
    }
    let length_min =
        if to_min > start_min { to_min - start_min } else { DAY_MIN - start_min + to_min };
    Some(Window { days, start_min, length_min })
}

/// Reports a value that is not a list of rules.
pub(super) fn read_rules(node: &Node<'_>, report: &mut Report) -> Option<Vec<RuleSpec>> {
    if !matches!(node.value, Value::List(_)) {
        expected(node, "a list of rules", "write `- name: ...` for each rule", report);
        return None;
    }
    fields::list(node, report, read_rule)
}
