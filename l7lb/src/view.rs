//! Everything a request needs to know, immutable, behind one pointer.
//!
//! A view is compiled from the site's documents off the hot path and swapped whole; a request loads
//! it once. Endpoints with their counters are taken over from the view before by address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::gateway::{GatewayObjects, ProxyProtocol};
use model::name::ObjectRef;
use model::service::BackendRef;

use crate::attach::{self, Ground, Scene};
use crate::balance;
use crate::breaker::Millis;
use crate::cluster::Clusters;
use crate::endpoint::Endpoint;
use crate::kept::Kept;
use crate::meter::RouteMeters;
use crate::origin_tls::OriginTls;
use crate::plan;
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
    /// Backends, in the order the routes number them.
    pub(crate) clusters: Vec<Cluster>,
    /// How many of them are Services' ports; the others are the same, spoken to otherwise.
    pub(crate) ports: usize,
    /// Certificates.
    pub(crate) keys: Keys,
    /// Where to listen, and what is done there.
    pub(crate) places: BTreeMap<Place, Plan>,
    /// Addresses that Gateways have.
    pub(crate) assigned: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// What is said of the documents.
    pub(crate) statuses: Statuses,
    /// What could not be used.
    pub(crate) warnings: Vec<Warning>,
    /// What routes are counted by.
    pub(crate) meters: RouteMeters,
    /// All endpoints by address.
    pub(crate) endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
    /// What outlives it.
    pub(crate) kept: Arc<Kept>,
}

impl GatewayView {
    /// Compiles documents; what cannot be used is left out and said in the warnings.
    pub(crate) fn compile(objects: &GatewayObjects, before: &Self) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut endpoints = HashMap::new();
        let mut clusters = Clusters::compile(objects, &before.kept, &mut |address| {
            let kept = || before.endpoints.get(&address).map(Arc::clone);
            let made = || kept().unwrap_or_else(|| Arc::new(Endpoint::new(address)));
            Arc::clone(endpoints.entry(address).or_insert_with(made))
        });
        let ports = clusters.len();
        let ground = Arc::clone(&before.ground);
        let scene = Scene::new(objects, &ground);
        let mut keyring = Keyring::new(&before.keys);
        let mut attachment = attach::attach(&scene, &mut keyring, &before.assigned);
        let kept = Arc::clone(&before.kept);
        let source = build::Source { scene: &scene, attachment: &attachment, kept: &kept };
        let routes = build::build(&source, &mut clusters, &mut warnings);
        let places = plan::places(&source, (&clusters, &routes), &mut keyring, &mut warnings);
        let told = std::mem::take(&mut attachment.statuses).into_iter().map(Arc::new);
        let statuses = Statuses::sharing(told.collect(), &before.statuses);
        let assigned = std::mem::take(&mut attachment.assigned);
        warnings.append(&mut attachment.warnings);
        warnings.extend(statuses.iter().flat_map(|one| one.warnings()));
        drop(attachment);
        let view = Self {
            routes,
            clusters: clusters.into_list(),
            ports,
            keys: keyring.finish(),
            places,
            assigned,
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
