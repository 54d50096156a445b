//! An explanation as people read it: the answer first, then why.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::observe::{Readiness, Verdict};
use model::policy::Fence;
use model::service::Rung;
use model::site::{SiteId, Tier};

use super::{CandidateShown, Explanation, FoundBy, LocaleShown, NameShown, OrderShown};
use crate::latency::Level;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sites = if self.sites.is_empty() { "nothing".to_owned() } else { self.sites.join(" ") };
        let reason = self.reason.as_str();
        writeln!(f, "{} -> {sites} ({reason})", self.service)?;
        let addresses = self.addresses.iter().flatten().map(ToString::to_string);
        let answers: Vec<String> =
            addresses.chain(self.names.iter().flatten().filter_map(name)).collect();
        if !answers.is_empty() {
            writeln!(f, "  answer  {}", answers.join(" "))?;
        }
        let failing = if self.failing { ", halved: a chosen site is failing" } else { "" };
        writeln!(f, "  scope   {}, ttl {} s{failing}", self.scope, self.ttl_s)?;
        writeln!(f, "  client  {}", client(self))?;
        writeln!(f, "  locale  {}", self.locale)?;
        for rule in &self.rules {
            let yields = rule.yields_to.as_ref().map(|other| format!(", yields to {other}"));
            let (level, yields) = (rule.level.as_str(), yields.unwrap_or_default());
            writeln!(f, "  rule    {} ({level}): {}{yields}", rule.origin, rule.effect)?;
        }
        if let Some(share) = &self.share {
            let weights = share.weights.iter().map(|(site, weight)| format!("{site}={weight}"));
            let weights: Vec<String> = weights.collect();
            if !weights.is_empty() {
                writeln!(f, "  share   block {} of {}", share.block, weights.join(" "))?;
            }
            if let Some((to, share_bp)) = &share.shift {
                let share_of = percent(*share_bp);
                writeln!(f, "  shift   {share_of} of blocks like {} to {to}", share.block)?;
            }
        }
        table(f, &self.candidates)
    }
}

fn name(name: &NameShown) -> Option<String> {
    match name {
        NameShown::Cname(name) => Some(format!("CNAME {name}")),
        NameShown::Alias(name) => Some(format!("ALIAS {name}")),
        NameShown::LeftOut(_) => None,
    }
}

fn client(explanation: &Explanation) -> String {
    let client = &explanation.client;
    let subnet = client.subnet.as_deref().unwrap_or_default();
    match client.found_by {
        FoundBy::ClientSubnet => format!("{subnet} (client subnet)"),
        FoundBy::MostOfClientSubnet => {
            format!("{subnet} (client subnet, shorter than what is known: as most of it)")
        }
        FoundBy::ResolverAddress => format!("{} (resolver)", client.ip),
        FoundBy::ResolverTable => format!("{} (resolver, placed by the operator)", client.ip),
        FoundBy::Place => {
            let class = client.class.map(|class| format!(", {}", class.as_str()));
            format!("{} (by its place{})", client.ip, class.unwrap_or_default())
        }
    }
}

impl fmt::Display for LocaleShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.subdivision.as_ref().or(self.country.as_ref());
        let asn = self.asn.map(|asn| format!("AS{asn}"));
        let point = self.point_cdeg.map(|(lat, lon)| format!("{} {}", Cdeg(lat), Cdeg(lon)));
        let area = self.area.as_ref().map(|area| format!("area {area}"));
        let known = [place.cloned(), self.city.clone(), self.isp.clone(), asn, area, point];
        let known: Vec<String> = known.into_iter().flatten().collect();
        if known.is_empty() { f.write_str("unknown") } else { f.write_str(&known.join(", ")) }
    }
}

/// Hundredths of a degree.
struct Cdeg(i16);

impl fmt::Display for Cdeg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", size / 100, size % 100)
    }
}

fn table(f: &mut fmt::Formatter<'_>, candidates: &[CandidateShown]) -> fmt::Result {
    let mut rows = vec![["", "leaf", "site", "tier", "gate", "state", "bill"].map(str::to_owned)];
    rows.extend(candidates.iter().map(row));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        writeln!(f, " {}", line.trim_end())?;
    }
    Ok(())
}

fn row(one: &CandidateShown) -> [String; 7] {
    let gate = match (one.bill, one.pin, one.gate) {
        (None, ..) => "-".to_owned(),
        (_, Some(place), _) => format!("pin {}", place + 1),
        (_, None, Some(step)) => format!("tier {}", step + 1),
        (_, None, None) => "over".to_owned(),
    };
    let gate = match one.rung {
        Some(rung) if rung > 0 && one.pin.is_none() => format!("rung {} {gate}", rung + 1),
        _ => gate,
    };
    let bill = one.bill.map(|bill| bill.to_string()).unwrap_or_default();
    let measured = one.measured.as_ref().map(|of| format!(" [{of}]")).unwrap_or_default();
    [
        if one.chosen { "*" } else { "" }.to_owned(),
        one.leaf_place.map_or_else(|| "-".to_owned(), |place| (place + 1).to_string()),
        one.site.clone(),
        tier(one.tier).to_owned(),
        gate,
        state(one),
        bill + &measured,
    ]
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Access => "access",
        Tier::Aggregation => "aggregation",
        Tier::Core => "core",
    }
}

fn state(one: &CandidateShown) -> String {
    let ready = match one.readiness {
        Readiness::Ready => "ready",
        Readiness::NotReady => "not ready",
        Readiness::NeverReported => "never reported",
    };
    let verdict = match one.verdict {
        Verdict::Unknown => "",
        Verdict::Up => ", up",
        Verdict::Failing => ", failing",
        Verdict::Down => ", down",
    };
    match one.order {
        OrderShown::Drained => "drained".to_owned(),
        OrderShown::Fenced => "fenced".to_owned(),
        OrderShown::Candidate => format!("{ready}{verdict}"),
    }
}

/// An address cut to a prefix length.
pub(super) fn prefix(ip: IpAddr, len: u8) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            format!("{}/{len}", Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            format!("{}/{len}", Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

/// Hundredths of a percent as percent.
pub(super) fn percent(share_bp: u16) -> String {
    match share_bp % 100 {
        0 => format!("{} %", share_bp / 100),
        rest => format!("{}.{rest:02} %", share_bp / 100),
    }
}

pub(super) fn measured(level: &Level, samples: u32) -> String {
    let level = match level {
        Level::World => "everyone".to_owned(),
        Level::Continent(continent) => continent.as_str().to_owned(),
        Level::Country(country) => country.to_string(),
        Level::IspCountry(isp, country) => format!("{isp} in {country}"),
        Level::IspSubdivision(isp, subdivision) => format!("{isp} in {subdivision}"),
        Level::AsnSubdivision(asn, subdivision) => format!("AS{asn} in {subdivision}"),
        Level::Prefix(prefix) => prefix.to_string(),
    };
    format!("{level}, {samples} samples")
}

pub(super) fn fence(fence: &Fence, name: impl Fn(SiteId) -> String) -> String {
    match fence {
        Fence::Match(rung) => fields(*rung),
        Fence::Sites(sites) => sites.iter().map(|&id| name(id)).collect::<Vec<_>>().join(" "),
    }
}

fn fields(rung: Rung) -> String {
    let Rung { country, subdivision, isp, continent } = rung;
    let all = [
        (continent, "continent"),
        (country, "country"),
        (subdivision, "subdivision"),
        (isp, "isp"),
    ];
    let words: Vec<&str> = all.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect();
    if words.is_empty() { "any".to_owned() } else { format!("same {}", words.join("+")) }
}
