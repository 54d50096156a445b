//! Sockets, streams, TLS and datagrams with real clients; the places are made by hand here.

mod flows;
mod places;
mod streams;
mod terminations;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use model::gateway::{Endpoint, EndpointSlice, GatewayObjects, Meta, Service, ServicePort};
use model::name::{ObjectRef, SiteName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::*;
use crate::access_log::AccessLog;
use crate::rule::{Share, Target};
use crate::socket::{Plan, StreamPlan, Wire};

/// Nothing in these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway whose Services are numbered in order.
struct World {
    gateway: Gateway,
    objects: GatewayObjects,
    log: Log,
}

/// An access log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl World {
    /// A gateway with no socket and one Service for each list of endpoints.
    fn start(services: &[&[SocketAddr]]) -> Self {
        Self::start_with(services, Limits::default(), None)
    }

    fn start_with(
        services: &[&[SocketAddr]],
        limits: Limits,
        ticket_secrets: Option<TicketSecrets>,
    ) -> Self {
        let mut objects = GatewayObjects::default();
        for (at, endpoints) in services.iter().enumerate() {
            add_service(&mut objects, &format!("s{at}"), endpoints);
        }
        let log = Log::default();
        let config = Config {
            limits,
            ticket_secrets,
            access_log: AccessLog::To(Box::new(log.clone())),
            health_interval_ms: 3_600_000,
            ..Config::new(SiteName::new("test").unwrap())
        };
        let gateway = Gateway::start(config, &objects).unwrap();
        Self { gateway, objects, log }
    }

    /// Serves these places and no others.
    fn serve(&self, places: impl IntoIterator<Item = (Place, Plan)>) {
        let (mut view, _) = GatewayView::compile(&self.objects, &self.gateway.view.load());
        view.places = Arc::new(places.into_iter().collect());
        let view = Arc::new(view);
        self.gateway.view.store(Arc::clone(&view));
        self.gateway.sockets.follow(&view);
    }

    /// Serves one place and says where.
    fn serve_one(&self, wire: Wire, plan: Plan) -> SocketAddr {
        let place = Place::Own("127.0.0.1:0".parse().unwrap(), wire);
        self.serve([(place, plan)]);
        self.address(place)
    }

    fn address(&self, place: Place) -> SocketAddr {
        match self.gateway.places().get(&place) {
            Some(PlaceState::Open(address)) => *address,
            state => panic!("{place:?} is {state:?}"),
        }
    }

    /// Waits for so many lines of the log.
    async fn lines(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..2_000 {
            let text = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
            let lines: Vec<_> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("fewer than {count} lines");
    }
}

fn add_service(objects: &mut GatewayObjects, name: &str, endpoints: &[SocketAddr]) {
    let meta = |name: &str| Meta { object: ObjectRef::new("default", name), ..Meta::default() };
    objects.services.insert(Service {
        meta: meta(name),
        ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
        ..Service::default()
    });
    for (at, address) in endpoints.iter().enumerate() {
        objects.endpoint_slices.insert(EndpointSlice {
            meta: meta(&format!("{name}-{at}")),
            service: ObjectRef::new("default", name),
            ports: vec![(None, address.port())],
            endpoints: vec![Endpoint {
                addresses: vec![address.ip()],
                ready: true,
                serving: true,
                terminating: false,
                zone: None,
                node: None,
                for_zones: Vec::new(),
                for_nodes: Vec::new(),
            }],
        });
    }
}

/// A plan for octets to Services by weight.
fn to(shares: &[(u32, u32)]) -> Option<Arc<StreamPlan>> {
    let share = |&(index, weight): &(u32, u32)| Share { target: Target::Cluster(index), weight };
    let shares = shares.iter().map(share).collect();
    Some(Arc::new(StreamPlan { id: "TCPRoute/default/test#0".into(), shares }))
}

/// A backend that says its name, echoes, and says `bye` after the client's end.
async fn backend(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                socket.write_all(name.as_bytes()).await?;
                let (mut read, mut write) = socket.split();
                tokio::io::copy(&mut read, &mut write).await?;
                write.write_all(b"bye").await
            });
        }
    });
    address
}

/// An address that refuses.
async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

/// Says something, ends, and returns everything that comes back.
async fn talk(address: SocketAddr, words: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(words).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap().ok();
    String::from_utf8(answer).unwrap()
}

/// The next octets.
async fn hear(socket: &mut TcpStream, count: usize) -> String {
    let mut octets = vec![0; count];
    timeout(PATIENCE, socket.read_exact(&mut octets)).await.unwrap().unwrap();
    String::from_utf8(octets).unwrap()
}

/// Whether the other side closes now.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut octet = [0];
    matches!(timeout(PATIENCE, socket.read(&mut octet)).await.unwrap(), Ok(0) | Err(_))
}
