//! TLS by its hello: terminated, passed on, refused; client certificates; tickets.

use std::collections::HashMap;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore, ServerConfig};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::socket::{TlsAction, TlsPlan};
use crate::termination::{ClientTrust, Termination, Unverified};

/// An authority and what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer }
    }

    fn sign(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn certified(&self, name: &str) -> Arc<CertifiedKey> {
        let (certificate, key) = self.sign(name);
        let signer = ring::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate], signer))
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// A client that trusts this authority.
    fn client(
        &self,
        identity: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    ) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots());
        Arc::new(match identity {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        })
    }

    fn terminate(&self, listener: &str, clients: Option<ClientTrust>) -> Arc<Termination> {
        let certificates = vec![self.certified("b.example"), self.certified("a.example")];
        Arc::new(Termination::new(listener.into(), certificates, clients))
    }
}

async fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    timeout(PATIENCE, TlsConnector::from(Arc::clone(config)).connect(name, socket)).await.unwrap()
}

/// Reads so many octets, or what ended the connection.
async fn read(stream: &mut TlsStream<TcpStream>, count: usize) -> io::Result<String> {
    let mut octets = vec![0; count];
    timeout(PATIENCE, stream.read_exact(&mut octets)).await.unwrap()?;
    Ok(String::from_utf8(octets).unwrap())
}

fn exact<const N: usize>(actions: [(&str, TlsAction); N]) -> Plan {
    let exact = actions.map(|(name, action)| (Box::from(name), action));
    Plan::Tls(TlsPlan { exact: HashMap::from(exact), ..TlsPlan::default() })
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

/// A backend that speaks TLS itself.
async fn tls_backend(authority: &Authority, name: &'static str) -> SocketAddr {
    let (certificate, key) = authority.sign(name);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(socket).await?;
                stream.write_all(name.as_bytes()).await?;
                stream.shutdown().await
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_passed_on_terminated_or_refused() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let passed = tls_backend(&theirs, "p.example").await;
    let plain = backend("plain").await;
    let world = World::start(&[&[passed], &[plain]]);
    let terminated = TlsAction::Stream(ours.terminate("l", None), to(&[(1, 1)]));
    let address = world.serve_one(
        Wire::Tls,
        exact([
            ("p.example", TlsAction::Passthrough(to(&[(0, 1)]))),
            ("a.example", terminated),
            ("n.example", TlsAction::Passthrough(None)),
        ]),
    );
    // The backend's own certificate is seen: nothing in between touched the handshake.
    let mut stream = connect(address, "p.example", &theirs.client(None)).await.unwrap();
    let mut said = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, "p.example");
    stream.shutdown().await.unwrap();
    let mut stream = connect(address, "a.example", &ours.client(None)).await.unwrap();
    assert_eq!(read(&mut stream, 5).await.unwrap(), "plain");
    stream.write_all(b"echo").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(read(&mut stream, 7).await.unwrap(), "echobye");
    let refused = connect(address, "x.example", &ours.client(None)).await.unwrap_err();
    assert_eq!(alert(&refused), Some(AlertDescription::UnrecognisedName));
    assert!(connect(address, "n.example", &ours.client(None)).await.is_err());
    let lines = world.lines(3).await;
    let mut seen: Vec<_> = lines
        .iter()
        .map(|line| format!("{} {} {}", line["scheme"], line["host"], line["reason"]))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            r#""tls" "a.example" "forwarded""#,
            r#""tls-passthrough" "n.example" "no-route""#,
            r#""tls-passthrough" "p.example" "forwarded""#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hello_in_pieces_is_a_hello() {
    let authority = Authority::new();
    let passed = tls_backend(&authority, "p.example").await;
    let world = World::start(&[&[passed]]);
    let address =
        world.serve_one(Wire::Tls, exact([("p.example", TlsAction::Passthrough(to(&[(0, 1)])))]));
    let name = ServerName::try_from("p.example").unwrap();
    let mut client = rustls::ClientConnection::new(authority.client(None), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    // One octet a packet at first, and records of 100 octets.
    let records: Vec<u8> = hello[5..]
        .chunks(100)
        .flat_map(|piece| [&[22, 3, 1, 0, u8::try_from(piece.len()).unwrap()], piece].concat())
        .collect();
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for octet in &records[..20] {
        socket.write_all(&[*octet]).await.unwrap();
    }
    socket.write_all(&records[20..]).await.unwrap();
    let mut answer = [0; 1];
    timeout(PATIENCE, socket.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, [22], "the backend answers with its own handshake");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_that_names_the_host_is_served() {
    let authority = Authority::new();
    let plain = backend("plain").await;
    let world = World::start(&[&[plain]]);
    let action = TlsAction::Stream(authority.terminate("l", None), to(&[(0, 1)]));
    let plan = TlsPlan { any: Some(action), ..TlsPlan::default() };
    let address = world.serve_one(Wire::Tls, Plan::Tls(plan));
    // Verified by the client, so the right one of the two was served.
    for name in ["a.example", "b.example"] {
        assert!(connect(address, name, &authority.client(None)).await.is_ok(), "{name}");
    }
    assert!(connect(address, "c.example", &authority.client(None)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_must_show_who_they_are_where_it_is_asked() {
    let (ours, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let plain = backend("plain").await;
    let world = World::start(&[&[plain]]);
    let trust = |otherwise| Some(ClientTrust { roots: clients.roots(), otherwise });
    let action =
        |listener, clients| TlsAction::Stream(ours.terminate(listener, clients), to(&[(0, 1)]));
    let address = world.serve_one(
        Wire::Tls,
        exact([
            ("a.example", action("strict", trust(Unverified::Refuse))),
            ("b.example", action("lenient", trust(Unverified::Admit))),
        ]),
    );
    let nobody = ours.client(None);
    let known = ours.client(Some(clients.sign("client")));
    let stranger = ours.client(Some(strangers.sign("client")));
    for (name, config, admitted) in [
        ("a.example", &known, true),
        ("a.example", &nobody, false),
        ("a.example", &stranger, false),
        ("b.example", &known, true),
        ("b.example", &nobody, true),
        ("b.example", &stranger, true),
    ] {
        // In TLS 1.3 the client learns of the refusal with its first read.
        let said = match connect(address, name, config).await {
            Ok(mut stream) => read(&mut stream, 5).await,
            Err(error) => Err(error),
        };
        assert_eq!(said.is_ok(), admitted, "{name}: {said:?}");
    }
}

/// The kind of a second handshake, at another gateway.
async fn second_handshake(
    (authority, config): (&Authority, &Arc<ClientConfig>),
    (before, after): (&str, &str),
    secrets: [Option<&str>; 2],
) -> HandshakeKind {
    let plain = backend("plain").await;
    let mut kind = None;
    for (listener, secret) in [before, after].into_iter().zip(secrets) {
        let secrets = secret.map(|text| TicketSecrets::parse(text).unwrap());
        let world = World::start_with(&[&[plain]], Limits::default(), secrets);
        let action = TlsAction::Stream(authority.terminate(listener, None), to(&[(0, 1)]));
        let address = world.serve_one(Wire::Tls, exact([("a.example", action)]));
        let mut stream = connect(address, "a.example", config).await.unwrap();
        // Tickets come behind the handshake.
        assert_eq!(read(&mut stream, 5).await.unwrap(), "plain");
        kind = stream.get_ref().1.handshake_kind();
        assert_eq!(world.gateway.shutdown(Duration::from_millis(1)).await, 1);
    }
    kind.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_resumed_across_a_restart_where_the_secret_is_shared() {
    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const TWO: &str = "fedcba9876543210fedcba9876543210";
    let authority = Authority::new();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let client = || {
            let provider = Arc::new(ring::default_provider());
            let builder = ClientConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap();
            Arc::new(builder.with_root_certificates(authority.roots()).with_no_client_auth())
        };
        for (listeners, secrets, kind) in [
            (("l", "l"), [Some(ONE), Some(ONE)], HandshakeKind::Resumed),
            (("l", "l"), [Some(ONE), Some(TWO)], HandshakeKind::Full),
            (("l", "l"), [None, None], HandshakeKind::Full),
            // A ticket is worth nothing at a listener that may ask for more.
            (("l", "m"), [Some(ONE), Some(ONE)], HandshakeKind::Full),
        ] {
            let seen = second_handshake((&authority, &client()), listeners, secrets).await;
            assert_eq!(seen, kind, "{version:?} {listeners:?}");
        }
    }
}

/// HTTP at a place of its own, as at the operator's sockets.
#[tokio::test(flavor = "multi_thread")]
async fn http_is_served_at_a_place_of_its_own() {
    let authority = Authority::new();
    let world = World::start(&[]);
    let action = TlsAction::Http(authority.terminate("l", None), crate::socket::TableId(1));
    let address = world.serve_one(Wire::Tls, exact([("a.example", action)]));
    let mut stream = connect(address, "a.example", &authority.client(None)).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await.unwrap();
    assert_eq!(read(&mut stream, 12).await.unwrap(), "HTTP/1.1 404");
}
