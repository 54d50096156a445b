//! The server over TLS, with the authority that the kubeconfig names.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use discovery::{Access, Completeness, Config, Discovery, Patience};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::world::{Watched, World, service, services};

/// Terminates TLS in front of a server; gives where, and its certificate in PEM.
async fn front(server: SocketAddr) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("made");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("usable");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut client), Ok(mut server)) =
                    (acceptor.accept(socket).await, TcpStream::connect(server).await)
                else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (address, made.cert.pem())
}

async fn watch(directory: &Path, server: SocketAddr, authority: &str) -> Watched {
    std::fs::write(directory.join("ca.pem"), authority).expect("written");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \
         \"https://{server}\", certificate-authority: ca.pem}}\ncontexts:\n- name: c\n  context: {{cluster: c, \
         user: u}}\nusers:\n- name: u\n  user: {{token: secret}}\n"
    );
    let kubeconfig = directory.join("secure");
    std::fs::write(&kubeconfig, text).expect("written");
    let config = Config {
        access: Access::Kubeconfig(kubeconfig),
        directory: None,
        name: "test".to_owned(),
        patience: Patience::default(),
    };
    Watched(Discovery::start(config).await.expect("it starts"))
}

#[tokio::test]
async fn a_server_is_watched_over_tls() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let (address, authority) = front(world.sim.address()).await;
    let watched = watch(world.directory.path(), address, &authority).await;
    assert_eq!(services(&watched.until_complete().await), [("web".to_owned(), 80)]);
    world.put(&service("web", 81));
    watched.until_services(&[("web", 81)]).await;
}

#[tokio::test]
async fn a_server_that_another_authority_vouches_for_is_not_asked() {
    let world = World::start().await;
    let (address, _) = front(world.sim.address()).await;
    let (_, other) = front(world.sim.address()).await;
    let watched = watch(world.directory.path(), address, &other).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(watched.0.pictures().borrow().complete, Completeness::Partial);
    assert!(world.sim.requests().is_empty(), "{:?}", world.sim.requests());
}
