//! What an explanation holds, for machines; `show` prints it.

use std::net::IpAddr;

use model::observe::{Readiness, Verdict};
use model::policy::RuleLevel;
use model::service::Class;
use model::site::Tier;
use serde::{Deserialize, Serialize};

use crate::bill::Bill;
use crate::decide::Reason;

/// A decision with its reasons, for people (`Display`) and machines (JSON).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The service, as `namespace/name`.
    pub service: String,
    /// Who asked.
    pub client: ClientShown,
    /// Where that is.
    pub locale: LocaleShown,
    /// Rules that matched, highest precedence first, and what they do or would do to this client.
    pub rules: Vec<RuleShown>,
    /// Every site of the pool: candidates best first, then those that orders took away.
    pub candidates: Vec<CandidateShown>,
    /// The compiled leaf's sites in order.
    pub leaf: Vec<String>,
    /// How clients of this leaf are shared out, if they are.
    pub share: Option<ShareShown>,
    /// The chosen sites, as in the wire answer.
    pub sites: Vec<String>,
    /// The addresses that the answers hold of the chosen sites, parallel to `sites`: IPv4 first.
    pub addresses: Vec<Vec<IpAddr>>,
    /// The names that are answered in place of addresses, parallel to `sites`.
    pub names: Vec<Option<NameShown>>,
    /// The scope, as `prefix/len`.
    pub scope: String,
    /// Which step settled it.
    pub reason: Reason,
    /// Whether a chosen site is failing its probes.
    pub failing: bool,
    /// The time to live of the answer.
    pub ttl_s: u32,
}

/// A name that stands for a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum NameShown {
    /// The answer is a CNAME to it.
    Cname(String),
    /// The answer is what it resolves to.
    Alias(String),
    /// It is left out: the first site decides whether there are addresses or a CNAME.
    LeftOut(String),
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientShown {
    /// The subnet's address or the resolver's.
    pub ip: IpAddr,
    /// The client subnet, when one was sent.
    pub subnet: Option<String>,
    /// How the client was located.
    pub found_by: FoundBy,
    /// The class that the client asked for instead of the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
}

/// How a client was located.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundBy {
    /// By the client subnet.
    ClientSubnet,
    /// By most of the client subnet: it is shorter than what is known.
    MostOfClientSubnet,
    /// By the resolver's own address.
    ResolverAddress,
    /// By the operator's table of resolvers.
    ResolverTable,
    /// By its place, which the caller told.
    Place,
}

/// A locale for people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocaleShown {
    /// An address the locale is of: the client's, or another of its block when that was folded.
    pub of: Option<IpAddr>,
    /// ISO 3166-1.
    pub country: Option<String>,
    /// ISO 3166-2.
    pub subdivision: Option<String>,
    /// The city's name.
    pub city: Option<String>,
    /// Latitude and longitude in hundredths of a degree.
    pub point_cdeg: Option<(i16, i16)>,
    /// The origin AS.
    pub asn: Option<u32>,
    /// The carrier.
    pub isp: Option<String>,
    /// The operator's area.
    pub area: Option<String>,
}

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleShown {
    /// `policy-namespace/policy-name/rule-name`.
    pub origin: String,
    /// By which way it reaches the service.
    pub level: RuleLevel,
    /// What it does.
    pub effect: String,
    /// The rule of the same effect that goes first; `None`: this one does.
    pub yields_to: Option<String>,
}

/// A site of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CandidateShown {
    /// The site.
    pub site: String,
    /// Its tier.
    pub tier: Tier,
    /// What the orders say.
    pub order: OrderShown,
    /// Whether it has what the service needs.
    pub readiness: Readiness,
    /// The worse of the site's and the service's verdict.
    pub verdict: Verdict,
    /// Its place among the pinned, from 0.
    pub pin: Option<u16>,
    /// The rung of the `prefer` ladder it is on, from 0; the ladder's length means none.
    pub rung: Option<u16>,
    /// The step of the tier order that lets it in, from 0; `None`: over every budget.
    pub gate: Option<u16>,
    /// Its bill, for candidates.
    pub bill: Option<Bill>,
    /// The bill's sum.
    pub total_us: Option<u32>,
    /// What the measured term is about, and from how many samples.
    pub measured: Option<String>,
    /// Its place in the leaf, from 0.
    pub leaf_place: Option<u8>,
    /// Whether it is in the answer.
    pub chosen: bool,
}

/// What orders say of a site for this client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderShown {
    /// It may be answered.
    Candidate,
    /// Drained by its document or an operator.
    Drained,
    /// Outside a fence.
    Fenced,
}

/// How a leaf's clients are shared out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShareShown {
    /// The block of clients that goes to one site as a whole.
    pub block: String,
    /// The sharing sites and their weights.
    pub weights: Vec<(String, u32)>,
    /// The site that a shift sends clients to, and its share in 1/10,000.
    pub shift: Option<(String, u16)>,
}
