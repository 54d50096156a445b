//! What the controller tells people and the command line: one JSON object, read back by the same
//! types. It is built on request and decides nothing.

use std::net::IpAddr;

use model::observe::{LoadReport, Readiness, Verdict};
use model::service::ServiceId;
use model::site::SiteId;
use model::{ObjectRef, SiteName};
use serde::{Deserialize, Serialize};
use steering::Health;

use crate::plan::{Change, Wait};
use crate::publication::Have;
use crate::verdict::MissCause;

/// The whole status.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// This build.
    pub version: String,
    /// Milliseconds since the controller started.
    pub uptime_ms: u64,
    /// What is published.
    pub published: Have,
    /// What this process's own data planes serve.
    pub served: Have,
    /// By name.
    pub sites: Vec<SiteStatus>,
    /// By namespace and name.
    pub services: Vec<ServiceStatus>,
    /// The last changes, newest first.
    pub changes: Vec<Told>,
    /// What is held back now, and why.
    pub waits: Vec<Wait>,
    /// The last document set that was refused, when nothing was accepted since.
    pub refused: Option<RefusedStatus>,
    /// Probing.
    pub probe_targets: usize,
    /// The latency map.
    pub latency: LatencyStatus,
}

/// One site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SiteStatus {
    /// Its name.
    pub name: SiteName,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// The verdict on the site as a whole, as published.
    pub verdict: Verdict,
    /// Its own probe, if it is probed as a whole.
    pub probe: Option<ProbeStatus>,
    /// Who drained it, if it is.
    pub drain: Option<DrainStatus>,
    /// Its last report.
    pub report: Option<ReportStatus>,
}

/// A probe's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeStatus {
    /// Its verdict before brakes.
    pub verdict: Verdict,
    /// How long it has held.
    pub for_ms: u64,
    /// Why the last miss missed.
    pub cause: Option<MissCause>,
    /// How much longer a return is held back.
    pub held_for_ms: Option<u64>,
}

/// A drain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrainStatus {
    /// The site's document says so.
    pub document: bool,
    /// Who ordered it in the overlay.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// When, in Unix milliseconds.
    pub at_unix_ms: Option<u64>,
}

/// A site's last report.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReportStatus {
    /// Its age.
    pub age_ms: u64,
    /// Work done.
    pub load: LoadReport,
    /// Requests per second between the last two.
    pub rate_rps: Option<u32>,
    /// Backends and their ready endpoints.
    pub backends: Vec<BackendStatus>,
}

/// A backend at a site.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendStatus {
    /// `namespace/name:port`.
    pub backend: String,
    /// Ready endpoints.
    pub ready: u32,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Which.
    pub service: ObjectRef,
    /// Its hostnames.
    pub hostnames: Vec<String>,
    /// Candidate sites.
    pub pool: usize,
    /// Of them, in service.
    pub usable: usize,
    /// The others, and why.
    pub out: Vec<OutStatus>,
}

/// A site that takes no clients of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutStatus {
    /// Which.
    pub site: SiteName,
    /// `drained`, `down`, `not ready` or `never reported`.
    pub why: String,
}

/// A change with its time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// When, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// For people.
    pub text: String,
    /// For machines.
    pub change: Change,
}

/// A refusal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedStatus {
    /// When, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// Why.
    pub refusals: Vec<String>,
}

/// The latency map in numbers, as last fitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatencyStatus {
    /// Prefix and site pairs with samples.
    pub cells: usize,
    /// Of them, in the fit.
    pub used: usize,
    /// Left out: faster than light in fibre, so the sample or the locale is wrong.
    pub impossible: usize,
    /// Left out: the client's or the site's place is not known.
    pub placeless: usize,
    /// Residuals in the published map.
    pub residuals: usize,
}

/// The first thing that takes a site out of a service.
pub(crate) fn out(health: &Health, service: ServiceId, site: SiteId) -> Option<&'static str> {
    if health.is_drained(site) {
        return Some("drained");
    }
    match health.readiness(service, site) {
        Readiness::NeverReported => return Some("never reported"),
        Readiness::NotReady => return Some("not ready"),
        Readiness::Ready => {}
    }
    (health.verdict(service, site) == Verdict::Down).then_some("down")
}
