//! `GlobalService`: hostnames under steering and how their clients are led.

use std::sync::Arc;

use super::alias;
use super::fields::{self, Fields, expected};
use super::head::namespace_name;
use super::probe::{self, ProbeDefaults};
use super::report::{Report, Span, Spanned};
use super::rule::{self, FenceSpec};
use super::site::TIERS;
use super::tree::{Node, Value};
use super::value;
use crate::name::DnsName;
use crate::policy::Match;
use crate::record::RecordType;
use crate::service::{
    Answers, Class, PER_SITE_DEFAULT, PER_SITE_MAX, Probe, Rung, Sticky, TierStep,
};
use crate::site::{Alias, Tier};

/// The most hostnames of one service.
const HOSTNAMES_MAX: usize = 1000;
/// The most tiers: there are three kinds.
const TIERS_MAX: usize = 3;
/// The most rungs of a ladder; four fields give sixteen distinct ones.
const RUNGS_MAX: usize = 16;
/// A minute: no round trip takes longer, and it keeps sums of terms far from `u32::MAX`.
const BILL_MS_MAX: i64 = 60_000;

/// A `GlobalService` document's `spec`; sites are still names.
#[derive(Debug)]
pub(super) struct ServiceSpec {
    pub(super) hostnames: Vec<Spanned<DnsName>>,
    pub(super) tiers: Vec<TierStep>,
    pub(super) protected: bool,
    pub(super) sites: SelectorSpec,
    pub(super) backends: Vec<BackendSpec>,
    pub(super) fence: Option<FenceSpec>,
    pub(super) steering: SteeringSpec,
    pub(super) answers: Answers,
    pub(super) health: Option<Probe>,
    pub(super) panic_below_percent: u8,
    pub(super) fallback: FallbackSpec,
    pub(super) records: Vec<RecordSpec>,
    pub(super) canary: Option<CanarySpec>,
    pub(super) targets: Vec<TargetSpec>,
    pub(super) whole: Span,
}

/// Which sites; everything given must hold.
#[derive(Debug, Default)]
pub(super) struct SelectorSpec {
    pub(super) names: Option<Vec<Spanned<Arc<str>>>>,
    pub(super) match_labels: Vec<(Arc<str>, Arc<str>)>,
    pub(super) tiers: Option<Vec<Tier>>,
}

/// A backend as named.
#[derive(Debug)]
pub(super) struct BackendSpec {
    pub(super) name: Spanned<Arc<str>>,
    pub(super) namespace: Option<Arc<str>>,
    pub(super) port: Spanned<u16>,
}

/// `steering`.
#[derive(Debug)]
pub(super) struct SteeringSpec {
    pub(super) prefer: Vec<Rung>,
    pub(super) spread_within_us: u32,
    pub(super) sticky: Sticky,
    pub(super) weights: Vec<(Spanned<Arc<str>>, u32)>,
    pub(super) carrier_penalty_us: u32,
    pub(super) border_penalty_us: u32,
}

impl Default for SteeringSpec {
    fn default() -> Self {
        Self {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: Vec::new(),
            // The design's penalties until someone has measured others.
            carrier_penalty_us: 20_000,
            border_penalty_us: 10_000,
        }
    }
}

/// `fallback`.
#[derive(Debug, Default)]
pub(super) enum FallbackSpec {
    #[default]
    All,
    None,
    Sites(Vec<Spanned<Arc<str>>>),
}

/// One item of `records`; its rdata is encoded when the hostnames' zone is known.
#[derive(Debug)]
pub(super) struct RecordSpec {
    pub(super) record_type: Spanned<RecordType>,
    pub(super) ttl_s: Option<u32>,
    pub(super) data: Vec<Spanned<String>>,
}

/// `canary`: a share of the clients goes to a site first.
#[derive(Debug)]
pub(super) struct CanarySpec {
    pub(super) site: Spanned<Arc<str>>,
    pub(super) share_bp: u16,
    pub(super) matches: Match,
}

/// One of `targets`: a site and the name that is answered in its place.
#[derive(Debug)]
pub(super) struct TargetSpec {
    pub(super) site: Spanned<Arc<str>>,
    pub(super) alias: Alias,
}

/// Reads the document.
pub(super) fn read(document: &mut Fields<'_, '_>, report: &mut Report) -> Option<ServiceSpec> {
    let node = document.required("spec", report, |node, _| Some(node))?;
    let mut fields = Fields::open("`spec` of the GlobalService", node, report)?;
    let hostnames = fields.required("hostnames", report, read_hostnames);
    let tiers = read_tiers(&mut fields, report);
    let protected = fields.optional("protected", report, value::boolean).unwrap_or(false);
    let sites = fields.optional("sites", report, read_selector).unwrap_or_default();
    let mut backends = Vec::new();
    backends.extend(fields.optional("backend", report, read_backend));
    backends.extend(fields.list("requires", report, read_backend));
    let fence = fields.optional("fence", report, rule::read_fence);
    let steering = fields.optional("steering", report, read_steering).unwrap_or_default();
    let answers = fields.optional("answers", report, read_answers).unwrap_or(ANSWERS_DEFAULT);
    let health = fields.optional("health", report, read_health);
    let fallback = fields.optional("fallback", report, read_fallback).unwrap_or_default();
    let records = fields.list("records", report, read_record);
    let canary = fields.optional("canary", report, read_canary);
    let targets = fields.optional("targets", report, read_targets).unwrap_or_default();
    fields.finish(report);
    let (health, panic_below_percent) =
        health.map_or((None, 0), |(probe, percent)| (probe, percent));
    Some(ServiceSpec {
        // What is missing after an error is reported; the rest is still checked against others.
        hostnames: hostnames.unwrap_or_default(),
        tiers: tiers.unwrap_or_default(),
        protected,
        sites,
        backends,
        fence,
        steering,
        answers,
        health,
        panic_below_percent,
        fallback,
        records,
        canary,
        targets,
        whole: node.span,
    })
}

fn read_hostnames(node: &Node<'_>, report: &mut Report) -> Option<Vec<Spanned<DnsName>>> {
    let names = fields::list(node, report, |node, report| {
        let name = value::host_pattern(node, report)?;
        let text = match &name {
            crate::gateway::HostPattern::Exact(name) => name.to_string(),
            crate::gateway::HostPattern::Suffix(suffix) => format!("*.{suffix}"),
        };
        let bad = |error| {
            let message = format!("`{text}` is not a hostname: {error}");
            report.error(node.span, message, value::HELP_DOMAIN_NAME);
        };
        let value = DnsName::parse(&text).map_err(bad).ok()?;
        Some(Spanned { value, span: node.span })
    })?;
    let given = match &node.value {
        Value::List(items) => items.len(),
        Value::Map(_) | Value::Scalar(_) => 0,
    };
    if !(1..=HOSTNAMES_MAX).contains(&given) {
        let message = format!("a service has from 1 to {HOSTNAMES_MAX} hostnames, not {given}");
        report.error(node.span, message, "write `hostnames: [www.edge.example]`");
        return None;
    }
    Some(names)
}

fn read_tiers(fields: &mut Fields<'_, '_>, report: &mut Report) -> Option<Vec<TierStep>> {
    const CLASSES: &[(&str, Class)] = &Class::ALL;
    let class = fields.take("class");
    let tiers = fields.take("tiers");
    match (class, tiers) {
        (None, None) => Some(Class::Interactive.tiers()),
        (Some(class), None) => value::choice(CLASSES)(&class.value, report).map(Class::tiers),
        (None, Some(tiers)) => read_steps(&tiers.value, report),
        (Some(class), Some(tiers)) => {
            fields::report_together("class", ("tiers", tiers.key_span), report);
            value::choice(CLASSES)(&class.value, report);
            read_steps(&tiers.value, report)
        }
    }
}

fn read_steps(node: &Node<'_>, report: &mut Report) -> Option<Vec<TierStep>> {
    let steps = fields::list(node, report, |node, report| {
        let mut fields = Fields::open("a tier", node, report)?;
        let tier = fields.required("tier", report, value::choice(TIERS));
        let budget_us = fields.optional("budgetMs", report, milliseconds);
        fields.finish(report);
        Some(Spanned { value: TierStep { tier: tier?, budget_us }, span: node.span })
    })?;
    if !(1..=TIERS_MAX).contains(&steps.len()) {
        report.error(
            node.span,
            format!("`tiers` has from 1 to {TIERS_MAX} steps"),
            "write `tiers: [{tier: access}, {tier: core}]`, or give a `class` instead",
        );
        return None;
    }
    for (at, step) in steps.iter().enumerate() {
        if steps[..at].iter().any(|earlier| earlier.value.tier == step.value.tier) {
            report.error(step.span, "this tier is given twice", "remove one of the two steps");
        }
    }
    Some(steps.into_iter().map(|step| step.value).collect())
}

/// Milliseconds with up to three decimals, as microseconds.
fn milliseconds(node: &Node<'_>, report: &mut Report) -> Option<u32> {
    value::scaled(3, 0..=BILL_MS_MAX * 1000)(node, report)
}

fn read_selector(node: &Node<'_>, report: &mut Report) -> Option<SelectorSpec> {
    let mut fields = Fields::open("`sites`", node, report)?;
    let names = fields.optional("names", report, rule::site_names);
    let match_labels = fields.optional("matchLabels", report, |node, report| {
        fields::map(node, report, |key, node, report| {
            Some((Arc::from(key.value), value::shared(node, report)?))
        })
    });
    let tiers = fields.optional("tiers", report, |node, report| {
        fields::list(node, report, |node, report| value::choice(TIERS)(node, report))
    });
    fields.finish(report);
    Some(SelectorSpec { names, match_labels: match_labels.unwrap_or_default(), tiers })
}

fn read_backend(node: &Node<'_>, report: &mut Report) -> Option<BackendSpec> {
    let mut fields = Fields::open("a backend", node, report)?;
    let name = fields.required("name", report, fields::named);
    let port = fields.required("port", report, fields::spanned(value::port));
    let namespace = fields
        .optional("namespace", report, |node, report| namespace_name(node, report).map(Arc::from));
    fields.finish(report);
    Some(BackendSpec { name: name?, namespace, port: port? })
}

fn read_steering(node: &Node<'_>, report: &mut Report) -> Option<SteeringSpec> {
    let defaults = SteeringSpec::default();
    let mut fields = Fields::open("`steering`", node, report)?;
    let prefer = fields.optional("prefer", report, read_ladder);
    let spread = fields.optional("spreadWithinMs", report, milliseconds);
    let sticky = fields.optional("sticky", report, |node, report| {
        let mut fields = Fields::open("`sticky`", node, report)?;
        let v4 = fields.optional("v4", report, value::whole(8..=24));
        let v6 = fields.optional("v6", report, value::whole(16..=56));
        fields.finish(report);
        Some(Sticky { v4_len: v4.unwrap_or(24), v6_len: v6.unwrap_or(56) })
    });
    let weights = fields.optional("weights", report, rule::read_weights);
    let carrier = fields.optional("carrierPenaltyMs", report, milliseconds);
    let border = fields.optional("borderPenaltyMs", report, milliseconds);
    fields.finish(report);
    Some(SteeringSpec {
        prefer: prefer.unwrap_or(defaults.prefer),
        spread_within_us: spread.unwrap_or(defaults.spread_within_us),
        sticky: sticky.unwrap_or(defaults.sticky),
        weights: weights.unwrap_or(defaults.weights),
        carrier_penalty_us: carrier.unwrap_or(defaults.carrier_penalty_us),
        border_penalty_us: border.unwrap_or(defaults.border_penalty_us),
    })
}

fn read_ladder(node: &Node<'_>, report: &mut Report) -> Option<Vec<Rung>> {
    let rungs = fields::list(node, report, |node, report| {
        let text = value::text(node, report)?;
        let fields = text.split('+').map(str::trim);
        let value = rule::rung_of(fields, node.span, report)?;
        Some(Spanned { value, span: node.span })
    })?;
    if rungs.len() > RUNGS_MAX {
        report.error(
            node.span,
            format!("a ladder has at most {RUNGS_MAX} rungs"),
            "remove the last rungs: four fields give sixteen distinct ones",
        );
        return None;
    }
    let any = Rung { country: false, subdivision: false, isp: false, continent: false };
    for (at, rung) in rungs.iter().enumerate() {
        let before = &rungs[..at];
        if before.iter().any(|earlier| earlier.value == rung.value || earlier.value == any) {
            let message = "no client reaches this rung: one before it takes them all";
            report.error(rung.span, message, "remove this rung, or move it before that one");
        }
    }
    Some(rungs.into_iter().map(|rung| rung.value).collect())
}

const ANSWERS_DEFAULT: Answers =
    Answers { sites_max: 1, per_site_max: PER_SITE_DEFAULT, ttl_s: 30, ttl_min_s: 5 };
/// A day: longer than that nobody is steered.
const TTL_MAX_S: u64 = 86_400;

fn read_answers(node: &Node<'_>, report: &mut Report) -> Option<Answers> {
    let mut fields = Fields::open("`answers`", node, report)?;
    let sites_max = fields.optional("max", report, value::whole(1..=4));
    let per_site = value::whole(1..=u64::from(PER_SITE_MAX));
    let per_site_max = fields.optional("perSite", report, per_site);
    let ttl = fields.take("ttl").map(|entry| value::whole(0..=TTL_MAX_S)(&entry.value, report));
    let ttl_s = ttl.flatten().unwrap_or(ANSWERS_DEFAULT.ttl_s);
    let ttl_min = fields.optional("ttlMin", report, fields::spanned(value::whole(0..=TTL_MAX_S)));
    // The floor is not judged by a TTL that could not be read.
    if let Some(Spanned { value, span }) = ttl_min
        && ttl != Some(None)
        && value > ttl_s
    {
        let message = format!("`ttlMin` is above the TTL of {ttl_s} seconds");
        report.error(span, message, format!("write a number from 0 to {ttl_s}, or raise `ttl`"));
    }
    let ttl_min_s = ttl_min.map(|floor| floor.value);
    fields.finish(report);
    Some(Answers {
        sites_max: sites_max.unwrap_or(ANSWERS_DEFAULT.sites_max),
        per_site_max: per_site_max.unwrap_or(ANSWERS_DEFAULT.per_site_max),
        ttl_s,
        ttl_min_s: ttl_min_s.unwrap_or_else(|| ANSWERS_DEFAULT.ttl_min_s.min(ttl_s)),
    })
}

fn read_health(node: &Node<'_>, report: &mut Report) -> Option<(Option<Probe>, u8)> {
    let mut fields = Fields::open("`health`", node, report)?;
    let percent = fields.optional("panicBelowPercent", report, value::whole(0..=100));
    let probe = probe::read_probe(&mut fields, ProbeDefaults::default(), report);
    fields.finish(report);
    Some((probe, percent.unwrap_or(0)))
}

fn read_fallback(node: &Node<'_>, report: &mut Report) -> Option<FallbackSpec> {
    match &node.value {
        Value::Scalar(scalar) if scalar.text == "all" => Some(FallbackSpec::All),
        Value::Scalar(scalar) if scalar.text == "none" => Some(FallbackSpec::None),
        Value::Map(_) => {
            let mut fields = Fields::open("`fallback`", node, report)?;
            let sites = fields.required("sites", report, rule::some_site_names);
            fields.finish(report);
            sites.map(FallbackSpec::Sites)
        }
        Value::Scalar(_) | Value::List(_) => {
            let help = "write `fallback: all`, `fallback: none` or `fallback: {sites: [...]}`";
            expected(node, "`all`, `none` or `{sites: [...]}`", help, report);
            None
        }
    }
}

/// What cannot stand at a hostname that has steered addresses.
const NOT_BESIDE_ADDRESSES: [RecordType; 8] = [
    RecordType::A,
    RecordType::ALIAS,
    RecordType::AAAA,
    RecordType::CNAME,
    RecordType::DNAME,
    RecordType::DS,
    RecordType::NS,
    RecordType::SOA,
];

fn read_record(node: &Node<'_>, report: &mut Report) -> Option<RecordSpec> {
    let mut fields = Fields::open("a record", node, report)?;
    let record_type = fields.required("type", report, fields::spanned(super::zone::read_type));
    let ttl_s = fields.optional("ttl", report, value::whole(0..=TTL_MAX_S));
    let data = fields.required("data", report, super::zone::read_data);
    fields.finish(report);
    let record_type = record_type?;
    if NOT_BESIDE_ADDRESSES.contains(&record_type.value) {
        let message = format!("a service cannot have {} records of its own", record_type.value);
        let help = "its addresses are those of the sites; put other names into the Zone";
        report.error(record_type.span, message, help);
        return None;
    }
    Some(RecordSpec { record_type, ttl_s, data: data? })
}

/// Sites by name, each with the name that is answered in its place.
fn read_targets(node: &Node<'_>, report: &mut Report) -> Option<Vec<TargetSpec>> {
    fields::map(node, report, |key, node, report| {
        let site = Spanned { value: Arc::from(key.value), span: key.span };
        Some(TargetSpec { site, alias: alias::read(node, report)?.value })
    })
}

fn read_canary(node: &Node<'_>, report: &mut Report) -> Option<CanarySpec> {
    let mut fields = Fields::open("`canary`", node, report)?;
    let site = fields.required("site", report, fields::named);
    let share_bp = fields.required("percent", report, rule::percent_bp);
    let matches = fields.optional("match", report, rule::read_match).unwrap_or_default();
    fields.finish(report);
    Some(CanarySpec { site: site?, share_bp: share_bp.unwrap_or_default(), matches })
}
