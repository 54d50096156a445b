//! Everything a request needs to know, immutable, behind one pointer.
//!
//! A view is compiled from the site's documents off the hot path and swapped whole; a request loads
//! it once. Endpoints with their counters are taken over from the view before by address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::{GatewayObjects, ProxyProtocol, Transport};
use model::service::BackendRef;

use crate::attach::{self, Attached, Ground, Scene};
use crate::balance;
use crate::breaker::Millis;
use crate::cluster::Clusters;
use crate::endpoint::Endpoint;
use crate::kept::Kept;
use crate::meter::RouteMeters;
use crate::origin_tls::OriginTls;
use crate::plan;
use crate::route::build::AllBuilt;
use crate::route::{Found, RequestParts, RouteTable, build};
use crate::rule::Target;
use crate::socket::{Place, Plan, TableId, TlsAction, Wire};
use crate::status::Statuses;
use crate::tls::{Keyring, Keys};

/// Something in the documents that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// `file:line`.
    pub origin: Arc<str>,
    /// What, and what happens instead.
    pub text: String,
}

/// What an origin is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge (`appProtocol: kubernetes.io/h2c`).
    H2c,
}

/// Whether TLS lies below.
#[derive(Debug, Clone)]
pub(crate) enum OriginSecurity {
    /// It does not.
    Plain,
    /// By a BackendTLSPolicy or an annotation.
    Tls(Arc<OriginTls>),
    /// A policy asks for it and cannot be followed: requests fail, and nothing goes out in the clear.
    Broken,
}

/// A Service's port with its endpoints.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    /// Which.
    pub(crate) backend: BackendRef,
    /// What its endpoints are reached over.
    pub(crate) transport: Transport,
    /// How it is spoken to.
    pub(crate) protocol: OriginProtocol,
    /// Whether TLS lies below.
    pub(crate) security: OriginSecurity,
    /// Endpoints that the documents call ready (or, when none is, serving while terminating).
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// The first so many endpoints are near; the others serve when none of those can.
    pub(crate) near: usize,
    /// Whether its endpoints are told of the client, and how.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    /// Endpoints that the documents know.
    pub(crate) total: u32,
    /// The number of the cluster that this is the same as, but spoken to otherwise.
    pub(crate) made_of: Option<u32>,
}

impl Cluster {
    /// Chooses an endpoint as [`balance::pick`] does, among the near ones while a healthy one of
    /// them is left.
    pub(crate) fn pick(
        &self,
        tried: &[SocketAddr],
        now: Millis,
        random: u64,
    ) -> Option<&Arc<Endpoint>> {
        let all = || balance::pick(&self.endpoints, tried, now, random);
        let near = self.endpoints.get(..self.near).filter(|near| near.len() < self.endpoints.len());
        let near = near.and_then(|near| balance::pick(near, tried, now, random));
        near.filter(|one| one.is_healthy(now) && !tried.contains(&one.address)).or_else(all)
    }
}

/// The view.
#[derive(Debug, Default)]
pub(crate) struct GatewayView {
    /// What there is to listen on.
    pub(crate) ground: Arc<Ground>,
    /// Routes.
    pub(crate) routes: RouteTable,
    /// Backends, by the numbers that routes know.
    pub(crate) clusters: Clusters,
    /// Certificates.
    pub(crate) keys: Arc<Keys>,
    /// Where to listen, and what is done there.
    pub(crate) places: Arc<BTreeMap<Place, Plan>>,
    /// What was left out while these were planned.
    pub(crate) left_out: Arc<[Warning]>,
    /// What the documents came to, for the next view.
    pub(crate) attached: Attached,
    pub(crate) built: AllBuilt,
    /// What is said of the documents.
    pub(crate) statuses: Statuses,
    /// What could not be used.
    pub(crate) warnings: Vec<Warning>,
    /// What routes are counted by.
    pub(crate) meters: RouteMeters,
    /// All endpoints by address.
    pub(crate) endpoints: Arc<HashMap<SocketAddr, Arc<Endpoint>>>,
    /// What outlives it.
    pub(crate) kept: Arc<Kept>,
}

impl GatewayView {
    /// Compiles documents; what cannot be used is left out and said in the warnings. Whatever is made
    /// of the same objects as before is taken from there: a change costs what it changes.
    pub(crate) fn compile(objects: &GatewayObjects, before: &Self) -> (Self, Vec<Warning>) {
        let past = &before.attached.objects;
        let mut made: HashMap<SocketAddr, Arc<Endpoint>> = HashMap::new();
        let mut endpoint = |address| {
            let kept = before.endpoints.get(&address).map(Arc::clone);
            let new = || {
                Arc::clone(made.entry(address).or_insert_with(|| Arc::new(Endpoint::new(address))))
            };
            kept.unwrap_or_else(new)
        };
        let mut clusters = before.clusters.follow((objects, past), &before.kept, &mut endpoint);
        let endpoints = if clusters.is_same(&before.clusters) {
            Arc::clone(&before.endpoints)
        } else {
            Arc::new(endpoints(&clusters))
        };
        let ground = Arc::clone(&before.ground);
        let scene = Scene::new(objects, &ground);
        let mut keyring = Keyring::new(&before.keys);
        let mut attachment = attach::attach(&scene, &mut keyring, &before.attached);
        let kept = Arc::clone(&before.kept);
        let source = build::Source { scene: &scene, attachment: &attachment, kept: &kept };
        let earlier = build::Before {
            attached: &before.attached,
            table: &before.routes,
            built: &before.built,
        };
        let (routes, built) = build::build(&source, &earlier, &mut clusters);
        let (places, left_out, keys) = if plan::stays(&source, &before.attached) {
            (&before.places, &before.left_out, &before.keys)
        } else {
            let (places, left_out) = plan::places(&source, (&clusters, &routes), &mut keyring);
            (&Arc::new(places), &left_out.into(), &Arc::new(keyring.finish()))
        };
        let (places, left_out, keys) = (Arc::clone(places), Arc::clone(left_out), Arc::clone(keys));
        let told = std::mem::take(&mut attachment.statuses);
        let statuses = Statuses::sharing(told, &before.statuses);
        let attached = attachment.keep(objects);
        let warnings: Vec<Warning> =
            built.notes().chain(&*left_out).chain(attached.warnings()).cloned().collect();
        let view = Self {
            routes,
            clusters,
            keys,
            places,
            left_out,
            attached,
            built,
            statuses,
            warnings: warnings.clone(),
            meters: RouteMeters::default(),
            endpoints,
            kept,
            ground,
        };
        (view, warnings)
    }

    /// Endpoints that a UDPRoute sends datagrams to.
    pub(crate) fn datagram_endpoints(&self) -> HashSet<SocketAddr> {
        let udp = self.places.iter().filter_map(|(place, plan)| match (place, plan) {
            (Place::Own(_, Wire::Udp), Plan::Stream(Some(plan))) => Some(plan),
            _ => None,
        });
        let targets = udp.flat_map(|plan| &plan.shares).filter_map(|share| match share.target {
            Target::Cluster(index) => self.clusters.get(index as usize),
            Target::Broken | Target::Absent => None,
        });
        targets.flat_map(|cluster| &cluster.endpoints).map(|endpoint| endpoint.address).collect()
    }

    /// Whether a request for `host` must not be answered on a TLS connection that was opened at a
    /// place for `server_name`: the name belongs to another listener, or has another certificate, and
    /// its rules about who may connect could differ (Gateway API, RFC 9110 section 15.5.20).
    pub(crate) fn is_misdirected(&self, place: Place, server_name: &str, host: &str) -> bool {
        let Some(Plan::Tls(plan)) = self.places.get(&place) else { return false };
        let termination = |name| match plan.find(Some(name)) {
            Some(TlsAction::Http(termination, _)) => Some(Arc::as_ptr(termination)),
            _ => None,
        };
        termination(server_name) != termination(host)
    }
}

/// The endpoints of all clusters.
fn endpoints(clusters: &Clusters) -> HashMap<SocketAddr, Arc<Endpoint>> {
    let all = clusters.iter().flat_map(|cluster| &cluster.endpoints);
    all.map(|endpoint| (endpoint.address, Arc::clone(endpoint))).collect()
}

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Met {
    /// A rule.
    Rule(Found),
    /// The connection was opened for another name; the rule, if any, is not for it.
    Misdirected(Option<Found>),
    /// No rule.
    Nothing,
}

impl GatewayView {
    /// The rule that a request meets on a connection accepted at a place and opened for a name.
    pub(crate) fn meet(
        &self,
        place: Place,
        server_name: Option<&str>,
        request: &RequestParts<'_>,
    ) -> Met {
        let table = self.table(place, server_name);
        let found = table.and_then(|table| self.routes.find(table, request));
        let other = server_name.filter(|name| *name != request.host);
        // A host of no listener has no route: it is unknown rather than misdirected.
        if other.is_some_and(|name| self.is_misdirected(place, name, request.host))
            && (found.is_some() || self.has_listener(place, request.host))
        {
            return Met::Misdirected(found);
        }
        found.map_or(Met::Nothing, Met::Rule)
    }

    /// The routes of a connection, by where it was accepted and the name it was opened for. It keeps
    /// them when the certificate it came by is gone.
    pub(crate) fn table(&self, place: Place, server_name: Option<&str>) -> Option<TableId> {
        match self.places.get(&place)? {
            Plan::Http(table) => Some(*table),
            Plan::Tls(plan) => match plan.find(server_name) {
                Some(TlsAction::Http(_, table)) => Some(*table),
                _ => self.routes.table(place),
            },
            Plan::Stream(_) => None,
        }
    }

    /// Whether any listener of a TLS place is for a host.
    pub(crate) fn has_listener(&self, place: Place, host: &str) -> bool {
        matches!(self.places.get(&place), Some(Plan::Tls(plan)) if plan.find(Some(host)).is_some())
    }
}

#[cfg(test)]
mod tests;
