//! Listeners of our Gateways and of the ListenerSets they admit: what each supports, whether it can be
//! used, and who goes first where two are the same.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::gateway::{
    GATEWAY_GROUP, Gateway, Listener, ListenerProtocol, ListenerSet, NamespaceFilter, ObjectKind,
    Reference, TlsMode,
};
use model::name::ObjectRef;
use rustls::sign::CertifiedKey;

use super::address::{self, Addressing};
use super::class::{self, Classes};
use super::{Scene, authority, kind_of};
use crate::socket::{Place, Wire};
use crate::termination::ClientTrust;
use crate::tls::Keyring;

/// A reason, and a message for people.
pub(crate) type Fault = (&'static str, String);

/// One listener of a Gateway or a ListenerSet.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    /// Index of the Gateway, and its name.
    pub(crate) gateway: usize,
    pub(crate) owner: &'a ObjectRef,
    /// Index of the ListenerSet it comes from.
    pub(crate) set: Option<usize>,
    /// `gateway/namespace/name/listener` or `listenerset/...`.
    pub(crate) id: Arc<str>,
    /// The namespace of whoever declared it.
    pub(crate) namespace: &'a str,
    pub(crate) listener: &'a Listener,
    /// Where it listens, when it can.
    pub(crate) places: Vec<Place>,
    /// Kinds of routes that may attach.
    pub(crate) kinds: Vec<ObjectKind>,
    pub(crate) accepted: Option<Fault>,
    pub(crate) refs: Option<Fault>,
    /// `HostnameConflict` or `ProtocolConflict`.
    pub(crate) conflict: Option<&'static str>,
    /// Whether TLS is terminated here and no certificate can be.
    pub(crate) lacks_certificate: bool,
    pub(crate) certificates: Vec<Arc<CertifiedKey>>,
    pub(crate) clients: Option<ClientTrust>,
    /// Routes attached.
    pub(crate) attached: u32,
}

impl Entry<'_> {
    /// Whether routes can attach.
    pub(crate) fn is_accepted(&self) -> bool {
        self.accepted.is_none() && self.conflict.is_none()
    }

    /// Whether it is served.
    pub(crate) fn is_programmed(&self) -> bool {
        self.is_accepted() && !self.lacks_certificate && !self.places.is_empty()
    }

    /// Whether TLS ends here.
    pub(crate) fn terminates(&self) -> bool {
        match self.listener.protocol {
            ListenerProtocol::Https => true,
            ListenerProtocol::Tls => mode(self.listener) == TlsMode::Terminate,
            _ => false,
        }
    }
}

/// One Gateway of ours.
#[derive(Debug)]
pub(crate) struct GatewayState<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) refused: Option<Fault>,
    pub(crate) missing: Option<Fault>,
    /// About `tls.backend.clientCertificateRef`.
    pub(crate) client: Option<Fault>,
}

/// One ListenerSet of a Gateway of ours.
#[derive(Debug)]
pub(crate) struct SetState<'a> {
    pub(crate) set: &'a ListenerSet,
    pub(crate) refused: Option<Fault>,
    /// Whether its parent may have it; then its listeners have entries.
    pub(crate) gateway: usize,
}

pub(super) struct Gateways<'a> {
    pub(super) states: Vec<GatewayState<'a>>,
    pub(super) sets: Vec<SetState<'a>>,
    pub(super) entries: Vec<Entry<'a>>,
}

/// Every listener of our Gateways.
pub(super) fn gateways<'a>(
    scene: &Scene<'a>,
    classes: &Classes<'_>,
    keyring: &mut Keyring<'_>,
    before: &BTreeMap<ObjectRef, Vec<IpAddr>>,
) -> Gateways<'a> {
    let all = scene.objects.gateways.iter().map(|gateway| &**gateway);
    let ours: Vec<&Gateway> = all.filter(|gateway| classes.is_ours(&gateway.class)).collect();
    let given = address::assign(scene.ground, &ours, before);
    let mut states = Vec::with_capacity(ours.len());
    for (gateway, given) in ours.into_iter().zip(given) {
        let parameters = gateway.parameters.as_ref();
        let missing = parameters.filter(|found| !class::has_parameters(scene.objects, found));
        let invalid = missing.map(|found| {
            ("InvalidParameters", format!("there is no {} `{}`", found.kind, found.object))
        });
        states.push(GatewayState {
            gateway,
            addresses: given.addresses,
            refused: invalid.or(given.refused),
            missing: given.missing,
            client: client_fault(scene, gateway, keyring),
        });
    }
    let mut sets = sets(scene, &states);
    let mut run = Run { scene, keyring, entries: Vec::new(), taken: HashMap::new() };
    for (at, state) in states.iter().enumerate() {
        run.listeners(state, at, None, &state.gateway.listeners);
        for (set_at, set) in sets.iter().enumerate() {
            if set.gateway == at && set.refused.is_none() {
                run.listeners(state, at, Some((set_at, set.set)), &set.set.listeners);
            }
        }
    }
    let entries = run.entries;
    for (at, set) in sets.iter_mut().enumerate() {
        let mut own = entries.iter().filter(|entry| entry.set == Some(at));
        if set.refused.is_none() && !own.any(Entry::is_programmed) {
            let message = "none of its listeners can be used".to_owned();
            set.refused = Some(("ListenersNotValid", message));
        }
    }
    Gateways { states, sets, entries }
}

/// The ListenerSets of our Gateways, the older first.
fn sets<'a>(scene: &Scene<'a>, states: &[GatewayState<'_>]) -> Vec<SetState<'a>> {
    let mut found = Vec::new();
    for set in &scene.objects.listener_sets {
        let parent = &set.parent;
        let mut all = states.iter().enumerate();
        let gateway = all.find(|(_, state)| state.gateway.meta.object == parent.object);
        let Some((at, state)) = gateway.filter(|_| parent.is(GATEWAY_GROUP, "Gateway")) else {
            continue;
        };
        let namespaces = state.gateway.allowed_listeners.as_ref();
        let own = &*state.gateway.meta.object.namespace;
        let allowed =
            namespaces.is_some_and(|filter| admits(scene, filter, own, &set.meta.object.namespace));
        let refused = if !allowed {
            Some(("NotAllowed", "the Gateway does not allow ListenerSets from here".to_owned()))
        } else if state.refused.is_some() {
            Some(("ParentNotAccepted", "the Gateway is not accepted".to_owned()))
        } else {
            None
        };
        found.push(SetState { set, refused, gateway: at });
    }
    found.sort_by_key(|one| (one.set.meta.created_s, one.set.meta.object.clone()));
    found
}

/// Whether objects of a namespace may attach to what is declared in `own`.
pub(super) fn admits(
    scene: &Scene<'_>,
    filter: &NamespaceFilter,
    own: &str,
    namespace: &str,
) -> bool {
    match filter {
        NamespaceFilter::All => true,
        NamespaceFilter::Same => own == namespace,
        NamespaceFilter::None => false,
        NamespaceFilter::Selector(selector) => {
            let found = scene.objects.namespaces.get(&ObjectRef::new("", namespace));
            match found {
                Some(found) => selector.matches(&found.labels),
                // Without an object a namespace still has the label that every one has.
                None => selector.matches(&BTreeMap::from([(
                    "kubernetes.io/metadata.name".into(),
                    namespace.into(),
                )])),
            }
        }
    }
}

/// What is wrong with the certificate that a Gateway shows its backends.
fn client_fault(scene: &Scene<'_>, gateway: &Gateway, keyring: &mut Keyring<'_>) -> Option<Fault> {
    let reference = gateway.client_certificate.as_ref()?;
    let own = &*gateway.meta.object.namespace;
    let (_, fault) = certificate(scene, ("Gateway", own), reference, keyring);
    Some(match fault? {
        ("RefNotPermitted", message) => ("RefNotPermitted", message),
        (_, message) => ("InvalidClientCertificateRef", message),
    })
}

/// The certificate that a reference names, and what is wrong with it. An edit that makes a Secret
/// unusable leaves the certificate before it in place.
fn certificate(
    scene: &Scene<'_>,
    (kind, namespace): (&str, &str),
    reference: &Reference,
    keyring: &mut Keyring<'_>,
) -> (Option<Arc<CertifiedKey>>, Option<Fault>) {
    let object = &reference.object;
    if !reference.is("", "Secret") {
        let message = format!("a certificate is in a Secret, not in a `{}`", kind_of(reference));
        return (None, Some(("InvalidCertificateRef", message)));
    }
    let from = (GATEWAY_GROUP, kind, namespace);
    if &*object.namespace != namespace && !scene.grants.permit(from, ("", "Secret", object)) {
        let message = format!("no ReferenceGrant permits the Secret `{object}`");
        return (None, Some(("RefNotPermitted", message)));
    }
    let Some(secret) = scene.objects.secrets.get(object) else {
        let message = format!("there is no Secret `{object}`");
        return (None, Some(("InvalidCertificateRef", message)));
    };
    let (key, fault) = keyring.load(secret);
    (key, fault.map(|why| ("InvalidCertificateRef", why)))
}

fn mode(listener: &Listener) -> TlsMode {
    listener.tls.as_ref().map_or(TlsMode::Terminate, |tls| tls.mode)
}

/// What the kernel or the first octets tell apart on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Class {
    Http,
    Tls,
    Tcp,
    Udp,
}

fn class_of(protocol: &ListenerProtocol) -> Option<Class> {
    match protocol {
        ListenerProtocol::Http => Some(Class::Http),
        ListenerProtocol::Https | ListenerProtocol::Tls => Some(Class::Tls),
        ListenerProtocol::Tcp => Some(Class::Tcp),
        ListenerProtocol::Udp => Some(Class::Udp),
        ListenerProtocol::Other(_) => None,
    }
}

struct Run<'r, 'k, 'a> {
    scene: &'r Scene<'a>,
    keyring: &'r mut Keyring<'k>,
    entries: Vec<Entry<'a>>,
    /// Sockets of octets and datagrams, by the Gateway that has them.
    taken: HashMap<SocketAddr, (usize, Class)>,
}

impl<'a> Run<'_, '_, 'a> {
    fn listeners(
        &mut self,
        state: &GatewayState<'a>,
        gateway: usize,
        set: Option<(usize, &'a ListenerSet)>,
        listeners: &'a [Listener],
    ) {
        let owner = set.map_or(&state.gateway.meta, |(_, set)| &set.meta);
        let kind = set.map_or("gateway", |_| "listenerset");
        for listener in listeners {
            let id = format!("{kind}/{}/{}", owner.object, listener.name);
            let mut entry = Entry {
                gateway,
                owner: gateway_name(state),
                set: set.map(|(at, _)| at),
                id: id.into(),
                namespace: state_namespace(state, set),
                listener,
                places: Vec::new(),
                kinds: Vec::new(),
                accepted: None,
                refs: None,
                conflict: self.conflict(gateway, listener),
                lacks_certificate: false,
                certificates: Vec::new(),
                clients: None,
                attached: 0,
            };
            Self::kinds(&mut entry);
            self.certificates(&mut entry);
            self.clients(&mut entry, state);
            if entry.is_accepted() && state.refused.is_none() {
                self.places(&mut entry, state);
            }
            self.entries.push(entry);
        }
    }

    /// Whether a listener before this one stands in its way.
    fn conflict(&self, gateway: usize, listener: &Listener) -> Option<&'static str> {
        let class = class_of(&listener.protocol)?;
        let earlier = self.entries.iter().filter(|entry| {
            entry.gateway == gateway && entry.is_accepted() && entry.listener.port == listener.port
        });
        for entry in earlier {
            let Some(other) = class_of(&entry.listener.protocol) else { continue };
            if (other == Class::Udp) != (class == Class::Udp) {
                continue;
            }
            if other != class {
                return Some("ProtocolConflict");
            }
            if entry.listener.hostname == listener.hostname {
                return Some("HostnameConflict");
            }
        }
        None
    }

    fn kinds(entry: &mut Entry<'a>) {
        let listener = entry.listener;
        let supported: &[ObjectKind] = match &listener.protocol {
            ListenerProtocol::Http | ListenerProtocol::Https => {
                &[ObjectKind::HttpRoute, ObjectKind::GrpcRoute]
            }
            ListenerProtocol::Tls => &[ObjectKind::TlsRoute],
            ListenerProtocol::Tcp => &[ObjectKind::TcpRoute],
            ListenerProtocol::Udp => &[ObjectKind::UdpRoute],
            ListenerProtocol::Other(name) => {
                let message = format!("the protocol `{name}` is not supported");
                entry.accepted = Some(("UnsupportedProtocol", message));
                &[]
            }
        };
        if listener.kinds.is_empty() {
            entry.kinds = supported.to_vec();
            return;
        }
        for (group, kind) in &listener.kinds {
            let found =
                supported.iter().find(|one| one.group() == &**group && one.name() == &**kind);
            match found {
                Some(found) if !entry.kinds.contains(found) => entry.kinds.push(*found),
                Some(_) => {}
                None => {
                    let message = format!("routes of kind `{kind}` do not attach to it");
                    entry.refs.get_or_insert(("InvalidRouteKinds", message));
                }
            }
        }
    }

    fn certificates(&mut self, entry: &mut Entry<'a>) {
        if !entry.terminates() {
            return;
        }
        let references = entry.listener.tls.iter().flat_map(|tls| &tls.certificates);
        let owner = if entry.set.is_some() { "ListenerSet" } else { "Gateway" };
        for reference in references {
            let from = (owner, entry.namespace);
            let (key, fault) = certificate(self.scene, from, reference, self.keyring);
            entry.certificates.extend(key);
            if let Some(fault) = fault {
                entry.refs.get_or_insert(fault);
            }
        }
        entry.lacks_certificate = entry.certificates.is_empty();
        if entry.lacks_certificate && entry.refs.is_none() {
            let message = "TLS cannot be terminated without a certificate".to_owned();
            entry.refs = Some(("InvalidCertificateRef", message));
        }
    }

    fn clients(&self, entry: &mut Entry<'a>, state: &GatewayState<'a>) {
        if entry.listener.protocol != ListenerProtocol::Https {
            return;
        }
        let gateway = state.gateway;
        let mut by_port = gateway.client_validation_by_port.iter();
        let own = by_port.find(|(port, _)| *port == entry.listener.port);
        let validation = match own {
            Some((_, validation)) => validation.as_ref(),
            None => gateway.client_validation.as_ref(),
        };
        let Some(validation) = validation else { return };
        let (trust, fault) = authority::trust(self.scene, gateway, validation);
        if let Some(fault) = fault {
            entry.refs.get_or_insert(fault);
        }
        if trust.is_none() {
            let message = "no authority for clients' certificates can be used".to_owned();
            entry.accepted.get_or_insert(("NoValidCACertificate", message));
        }
        entry.clients = trust;
    }

    /// Where it listens.
    fn places(&mut self, entry: &mut Entry<'a>, state: &GatewayState<'a>) {
        let ground = self.scene.ground;
        let Some(class) = class_of(&entry.listener.protocol) else { return };
        let port = entry.listener.port;
        if ground.addressing == Addressing::Shared {
            let is_https = entry.listener.protocol == ListenerProtocol::Https;
            let on_https = || ground.https.iter().any(|socket| socket.port() == port);
            match class {
                Class::Http => return entry.places.push(Place::SharedHttp),
                Class::Tls if is_https || on_https() => {
                    return entry.places.push(Place::SharedHttps);
                }
                _ => {}
            }
        }
        let wire = match class {
            Class::Http => Wire::Http,
            Class::Tls => Wire::Tls,
            Class::Tcp => Wire::Tcp,
            Class::Udp => Wire::Udp,
        };
        for ip in &state.addresses {
            let address = SocketAddr::new(*ip, port);
            let holder = *self.taken.entry(address).or_insert((entry.gateway, class));
            let others = (holder.1 == Class::Udp) != (class == Class::Udp);
            if holder.0 != entry.gateway && !others {
                let message = format!("another Gateway listens on `{address}`");
                entry.accepted = Some(("PortUnavailable", message));
                entry.places.clear();
                return;
            }
            entry.places.push(Place::Own(address, wire));
        }
    }
}

fn gateway_name<'a>(state: &GatewayState<'a>) -> &'a ObjectRef {
    let gateway: &'a Gateway = state.gateway;
    &gateway.meta.object
}

fn state_namespace<'a>(state: &GatewayState<'a>, set: Option<(usize, &'a ListenerSet)>) -> &'a str {
    let gateway: &'a Gateway = state.gateway;
    match set {
        Some((_, set)) => &set.meta.object.namespace,
        None => &gateway.meta.object.namespace,
    }
}
