//! Datagrams to a backend and back: UDPRoute.
//!
//! A flow is what one client sends to one of our addresses; it keeps its endpoint while the endpoint
//! is known and the flow is not silent for too long. Each flow has a connected socket of its own
//! towards its endpoint, so that answers find their way back and an endpoint that refuses
//! is noticed. The table is bounded: a flow beyond it is not begun, because forgetting another one
//! would let a sender of forged addresses cut real clients off. What a socket cannot take
//! at once is lost, as datagrams may be.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::time::sleep;

use crate::accept::Entrance;
use crate::breaker::Millis;
use crate::clock;
use crate::datagram::{DATAGRAM_OCTETS_MAX, Datagrams, Path};
use crate::endpoint::{Lease, Outcome};
use crate::random;
use crate::relay::Moved;
use crate::socket::{Plan, StreamPlan};
use crate::stream::{self, Entry, Over, Reason};
use crate::view::GatewayView;

/// The pause after receiving failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The flows of one socket.
#[derive(Debug)]
struct Flows {
    socket: Datagrams,
    entrance: Arc<Entrance>,
    table: Mutex<HashMap<Path, Arc<Flow>>>,
}

/// One flow.
#[derive(Debug)]
struct Flow {
    origin: UdpSocket,
    lease: Lease,
    last: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

/// Passes datagrams on until the socket drains; flows end with its grace.
pub(crate) async fn run(socket: Arc<UdpSocket>, entrance: Arc<Entrance>) {
    let mut draining = entrance.drain.begun.clone();
    let socket = match Datagrams::new(socket) {
        Ok(socket) => socket,
        Err(error) => {
            tracing::error!(%error, "cannot receive datagrams");
            return;
        }
    };
    let flows = Arc::new(Flows { socket, entrance, table: Mutex::default() });
    let mut space = vec![0; DATAGRAM_OCTETS_MAX];
    loop {
        let received = tokio::select! {
            biased;
            _ = draining.wait_for(|draining| *draining) => return,
            received = flows.socket.receive(&mut space) => received,
        };
        match received {
            Ok((count, path)) => flows.pass(&space[..count], path),
            // A client's port that is closed is told to us here; it is no reason to wait.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => {
                tracing::debug!(%error, "receiving failed");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Flows {
    fn table(&self) -> MutexGuard<'_, HashMap<Path, Arc<Flow>>> {
        // What a panic left behind is a table like any other.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Millis {
        self.entrance.door.shared.clock.now()
    }

    /// Sends a client's datagram to its flow's endpoint.
    fn pass(self: &Arc<Self>, octets: &[u8], path: Path) {
        let view = self.entrance.door.shared.view.load();
        let known = |flow: &Arc<Flow>| view.endpoints.contains_key(&flow.lease.endpoint().address);
        let kept = self.table().get(&path).cloned();
        if let Some(flow) = kept.filter(known)
            && self.send(&flow, octets).is_ok()
        {
            return;
        }
        // A new flow, or one whose endpoint is gone or refuses.
        if let Some(flow) = self.begin(path, &view) {
            let _ = self.send(&flow, octets);
        }
    }

    fn send(&self, flow: &Flow, octets: &[u8]) -> io::Result<()> {
        flow.last.store(self.now(), Ordering::Relaxed);
        // The kernel is asked itself: the runtime knows of a new socket only after its next look.
        match SockRef::from(&flow.origin).send(octets) {
            Ok(count) => {
                flow.up.fetch_add(count as u64, Ordering::Relaxed);
                Ok(())
            }
            // Lost, which is nobody's fault.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => {
                self.observe(flow, Outcome::Failed);
                Err(error)
            }
        }
    }

    fn observe(&self, flow: &Flow, outcome: Outcome) {
        let ledger = &self.entrance.door.shared.ledger;
        ledger.observe(flow.lease.endpoint(), outcome, self.now());
    }

    fn begin(self: &Arc<Self>, path: Path, view: &GatewayView) -> Option<Arc<Flow>> {
        let door = &self.entrance.door;
        let ledger = Arc::clone(&door.shared.ledger);
        let plan = match view.places.get(&**self.entrance.place.load()) {
            Some(Plan::Stream(plan)) => plan.as_deref(),
            _ => None,
        };
        let mut entry = Entry {
            begun: clock::instant(),
            over: Over::Udp,
            client: path.client,
            host: None,
            route: plan.map(|plan| Arc::clone(&plan.id)),
            endpoint: None,
            moved: Moved::default(),
            retries: 0,
            reason: Reason::Cut,
            ledger,
        };
        let mut table = self.table();
        if table.len() >= door.flows_max && !table.contains_key(&path) {
            entry.reason = Reason::TooMany;
            return None;
        }
        let flow = match self.connect(plan, view) {
            Ok(flow) => Arc::new(flow),
            Err(reason) => {
                entry.reason = reason;
                return None;
            }
        };
        entry.endpoint = Some(flow.lease.endpoint().address);
        table.insert(path, Arc::clone(&flow));
        drop(table);
        tokio::spawn(Arc::clone(self).answer(path, Arc::clone(&flow), entry));
        Some(flow)
    }

    fn connect(&self, plan: Option<&StreamPlan>, view: &GatewayView) -> Result<Flow, Reason> {
        let cluster = stream::cluster(plan, view)?;
        let now = self.now();
        let picked = cluster.pick(&[], now, random::bits());
        let lease = picked.ok_or(Reason::NoEndpoints)?.lease();
        let origin = connected(lease.endpoint().address).map_err(|_| Reason::ConnectFailed)?;
        let (up, down) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Flow { origin, lease, last: AtomicU64::new(now), up, down })
    }

    /// Passes the endpoint's datagrams back until the flow is silent.
    async fn answer(self: Arc<Self>, path: Path, flow: Arc<Flow>, mut entry: Entry) {
        let idle = self.entrance.door.flow_idle;
        let mut cut = self.entrance.drain.idle_cut.clone();
        entry.reason = loop {
            let silent = self.now().saturating_sub(flow.last.load(Ordering::Relaxed));
            let left = idle.saturating_sub(Duration::from_millis(silent));
            if left.is_zero() {
                break Reason::Forwarded;
            }
            tokio::select! {
                ready = flow.origin.readable() => {
                    if ready.and_then(|()| self.pass_back(path, &flow)).is_err() {
                        self.observe(&flow, Outcome::Failed);
                        break Reason::OriginBroke;
                    }
                }
                () = sleep(left) => {}
                _ = cut.wait_for(|cut| *cut) => break Reason::Cut,
            }
        };
        let mut table = self.table();
        if table.get(&path).is_some_and(|kept| Arc::ptr_eq(kept, &flow)) {
            table.remove(&path);
        }
        drop(table);
        let (up, down) = (&flow.up, &flow.down);
        entry.moved = Moved { up: up.load(Ordering::Relaxed), down: down.load(Ordering::Relaxed) };
    }

    /// All that is here. The space is on the stack: a silent flow holds none.
    fn pass_back(&self, path: Path, flow: &Flow) -> io::Result<()> {
        let mut space = [0; DATAGRAM_OCTETS_MAX];
        loop {
            let count = match flow.origin.try_recv(&mut space) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            let now = self.now();
            let asked = flow.last.swap(now, Ordering::Relaxed);
            if flow.down.fetch_add(count as u64, Ordering::Relaxed) == 0 {
                let took_us = now.saturating_sub(asked).saturating_mul(1_000);
                let took_us = u32::try_from(took_us).unwrap_or(u32::MAX);
                self.observe(flow, Outcome::Answered(took_us));
            }
            // Lost when the kernel takes no more.
            let _ = self.socket.answer(&space[..count], path);
        }
    }
}

/// A socket of its own towards an endpoint.
fn connected(endpoint: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match endpoint {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    socket.connect(endpoint)?;
    UdpSocket::from_std(socket)
}
