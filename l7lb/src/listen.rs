//! The open sockets of a gateway, which follow the documents while it runs.
//!
//! After each reload the sockets are compared with the view's places: new ones are bound, gone ones
//! stop accepting at once and drain, those that stay are not touched, also when something else is
//! spoken there from now on. A socket that cannot be bound is tried again until it can or is no
//! longer wanted; meanwhile its place says why. Invariant: the operator's own sockets are bound
//! before the first connection, or the gateway does not start.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::accept::{self, Door, Entrance};
use crate::datagram;
use crate::drain::Drain;
use crate::flow;
use crate::inherited::Inherited;
use crate::socket::{Place, PlaceState, Wire};
use crate::view::GatewayView;

/// Connections the kernel completes for us while we are busy.
const BACKLOG: i32 = 4096;
/// Between two tries to open what could not be opened. An address may come with a delay, and a
/// socket that was closed just now is gone in a moment.
const RETRY: Duration = Duration::from_millis(250);
/// Sockets of Gateways' own; beyond, documents are mistaken or hostile.
const SOCKETS_MAX: usize = 1024;

/// How long a socket's connections may stay after documents have closed it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// Idle ones.
    pub(crate) grace: Duration,
    /// All of them.
    pub(crate) deadline: Duration,
}

/// The sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    door: Arc<Door>,
    runtime: Handle,
    patience: Patience,
    open: Mutex<Open>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Open {
    /// The operator's, `--http` and `--https`.
    shared: Vec<Spoken>,
    own: BTreeMap<Spot, Own>,
    /// What was open before us.
    inherited: Inherited,
    /// Closed by documents, their connections not all gone.
    leaving: Vec<Arc<Drain>>,
    /// Whether the gateway as a whole drains: nothing is opened any more.
    over: bool,
}

/// What the kernel tells sockets apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) address: SocketAddr,
    pub(crate) carrier: Carrier,
}

/// The transport of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Carrier {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A socket that documents ask for.
#[derive(Debug)]
struct Own {
    place: Place,
    /// Or why it could not be opened.
    state: Result<Spoken, Arc<str>>,
}

/// One open socket.
#[derive(Debug)]
struct Spoken {
    address: SocketAddr,
    entrance: Arc<Entrance>,
    drain: Arc<Drain>,
    /// Until it drains: the kernel closes a socket with its last holder.
    socket: Option<Held>,
}

/// A socket that its loop reads.
#[derive(Debug)]
enum Held {
    Tcp(Arc<TcpListener>),
    Udp(Arc<UdpSocket>),
}

impl Held {
    fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(listener) => listener.as_fd().try_clone_to_owned(),
            Self::Udp(socket) => socket.as_fd().try_clone_to_owned(),
        }
    }
}

impl Sockets {
    /// None yet; to be called on the runtime that will serve.
    pub(crate) fn new(door: Arc<Door>, patience: Patience, inherited: Inherited) -> Self {
        let open = Mutex::new(Open { inherited, ..Open::default() });
        let changed = watch::Sender::new(());
        Self { door, runtime: Handle::current(), patience, open, changed }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // What a panic left behind is a list of sockets like any other.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes connections on the operator's sockets.
    pub(crate) fn share(&self, place: Place, listeners: Vec<TcpListener>) {
        let spoken = listeners.into_iter().filter_map(|listener| self.accept(place, listener).ok());
        self.lock().shared.extend(spoken);
    }

    /// Opens and closes sockets until they are those of the view.
    pub(crate) fn follow(&self, view: &GatewayView) {
        let mut wanted = BTreeMap::new();
        for &place in view.places.keys() {
            if let Place::Own(address, wire) = place {
                let carrier = if wire == Wire::Udp { Carrier::Udp } else { Carrier::Tcp };
                wanted.entry(Spot { address, carrier }).or_insert(place);
            }
        }
        let _runtime = self.runtime.enter();
        let mut open = self.lock();
        if open.over {
            return;
        }
        let stays = |spot: &Spot| wanted.contains_key(spot);
        let gone: Vec<Spot> = open.own.keys().filter(|spot| !stays(spot)).copied().collect();
        for spot in gone {
            if let Some(Own { state: Ok(spoken), .. }) = open.own.remove(&spot) {
                tracing::info!(address = %spoken.address, "no document listens here any longer");
                self.leave(&mut open, spoken);
            }
        }
        for (spot, place) in wanted {
            if let Some(Own { place: before, state: Ok(spoken) }) = open.own.get_mut(&spot) {
                *before = place;
                spoken.entrance.place.store(Arc::new(place));
            } else if open.own.len() < SOCKETS_MAX || open.own.contains_key(&spot) {
                self.try_open(&mut open, spot, place);
            } else {
                tracing::warn!(address = %spot.address, "too many sockets; not opened");
            }
        }
        // What the first documents have not asked for is closed.
        open.inherited = Inherited::default();
    }

    fn try_open(&self, open: &mut Open, spot: Spot, place: Place) {
        let opened = match spot.carrier {
            Carrier::Tcp => bind(spot.address, &mut open.inherited)
                .and_then(|listener| self.accept(place, listener)),
            Carrier::Udp => bind_datagrams(spot, &mut open.inherited)
                .and_then(|socket| self.receive(place, socket)),
        };
        let state = opened.map_err(|error| Arc::<str>::from(error.to_string()));
        let before = open.own.get(&spot).and_then(|own| own.state.as_ref().err());
        match &state {
            Ok(spoken) => tracing::info!(address = %spoken.address, "listening"),
            Err(error) if before != Some(error) => {
                tracing::warn!(address = %spot.address, %error, "cannot listen; trying again");
            }
            Err(_) => {}
        }
        let is_news = before != state.as_ref().err();
        open.own.insert(spot, Own { place, state });
        if is_news {
            self.changed.send_replace(());
        }
    }

    /// Told whenever a socket that documents ask for was opened, or could not be for another reason
    /// than before.
    pub(crate) fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Tries what failed again, for as long as the gateway lives.
    pub(crate) async fn retry(self: Arc<Self>) {
        loop {
            sleep(RETRY).await;
            let failed = self.lock().own.values().any(|own| own.state.is_err());
            if failed {
                let view = self.door.shared.view.load_full();
                self.follow(&view);
            }
        }
    }

    fn accept(&self, place: Place, listener: TcpListener) -> io::Result<Spoken> {
        let (address, listener) = (listener.local_addr()?, Arc::new(listener));
        let (entrance, drain) = self.entrance(place);
        self.runtime.spawn(accept::run(Arc::clone(&listener), Arc::clone(&entrance)));
        Ok(Spoken { address, entrance, drain, socket: Some(Held::Tcp(listener)) })
    }

    fn receive(&self, place: Place, socket: UdpSocket) -> io::Result<Spoken> {
        let (address, socket) = (socket.local_addr()?, Arc::new(socket));
        let (entrance, drain) = self.entrance(place);
        self.runtime.spawn(flow::run(Arc::clone(&socket), Arc::clone(&entrance)));
        Ok(Spoken { address, entrance, drain, socket: Some(Held::Udp(socket)) })
    }

    fn entrance(&self, place: Place) -> (Arc<Entrance>, Arc<Drain>) {
        let drain = Arc::new(Drain::new());
        let entrance = Arc::new(Entrance {
            door: Arc::clone(&self.door),
            place: ArcSwap::from_pointee(place),
            drain: drain.seen(),
        });
        (entrance, drain)
    }

    fn leave(&self, open: &mut Open, spoken: Spoken) {
        let Spoken { drain, socket, .. } = spoken;
        drop(socket);
        open.leaving.retain(|drain| Arc::strong_count(drain) > 1);
        open.leaving.push(Arc::clone(&drain));
        let Patience { grace, deadline } = self.patience;
        drain.begin();
        self.runtime.spawn(async move { drain.run(grace, deadline).await });
    }

    /// All open sockets once more, for the process that comes after this one.
    pub(crate) fn duplicates(&self) -> io::Result<Vec<OwnedFd>> {
        let open = self.lock();
        let own = open.own.values().filter_map(|own| own.state.as_ref().ok());
        let held = open.shared.iter().chain(own).filter_map(|spoken| spoken.socket.as_ref());
        held.map(Held::duplicate).collect()
    }

    /// Takes sockets as from a process before.
    #[cfg(test)]
    pub(crate) fn inherit(&self, inherited: Inherited) {
        self.lock().inherited = inherited;
    }

    /// How the places of Gateways' own are doing.
    pub(crate) fn states(&self) -> BTreeMap<Place, PlaceState> {
        let open = self.lock();
        let states = open.own.values().map(|Own { place, state }| match state {
            Ok(spoken) => (*place, PlaceState::Open(spoken.address)),
            Err(error) => (*place, PlaceState::Failed(Arc::clone(error))),
        });
        states.collect()
    }

    /// Takes one step of the drain on every socket, those that documents closed among them.
    pub(crate) fn drain(&self, step: impl Fn(&Drain)) {
        let mut open = self.lock();
        let Open { shared, own, leaving, over, .. } = &mut *open;
        *over = true;
        let own = own.values_mut().filter_map(|own| own.state.as_mut().ok());
        for spoken in shared.iter_mut().chain(own) {
            spoken.socket = None;
            step(&spoken.drain);
        }
        leaving.iter().for_each(|drain| step(drain));
    }
}

/// Takes a listening socket over or binds it. IPv6 sockets do not take IPv4, so that both can be
/// bound side by side.
pub(crate) fn bind(address: SocketAddr, inherited: &mut Inherited) -> io::Result<TcpListener> {
    if let Some(fd) = inherited.take(Spot { address, carrier: Carrier::Tcp }) {
        return TcpListener::from_std(fd.into());
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn bind_datagrams(spot: Spot, inherited: &mut Inherited) -> io::Result<UdpSocket> {
    match inherited.take(spot) {
        Some(fd) => UdpSocket::from_std(fd.into()),
        None => datagram::bind(spot.address),
    }
}
