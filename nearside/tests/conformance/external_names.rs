//! Services of `type: ExternalName`, at the binary, with a resolver of ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use super::echo;
use super::guides::FileGateway;

/// A resolver that knows IPv4 addresses of a few names, and fails with all others.
#[derive(Debug, Clone, Default)]
struct Resolver(Arc<Mutex<BTreeMap<String, Ipv4Addr>>>);

impl Resolver {
    fn start(&self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let at = socket.local_addr().expect("an address");
        let this = self.clone();
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&this.answer(&buffer[..length]), from);
            }
        });
        at
    }

    fn set(&self, name: &str, address: [u8; 4]) {
        self.0.lock().expect("not poisoned").insert(name.to_owned(), address.into());
    }

    /// The question and perhaps one record with a TTL of a second (RFC 1035, section 4.1).
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let mut labels: Vec<String> = Vec::new();
        let mut at = 12;
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
            at = end;
        }
        let question = &query[12..at + 5];
        let is_v4 = query[at + 1..at + 3] == [0, 1];
        let known = self.0.lock().expect("not poisoned").get(&labels.join(".")).copied();
        let code = if known.is_some() { 0 } else { 2 };
        let known = known.filter(|_| is_v4);
        let mut answer = query[..2].to_vec();
        answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(known.is_some()), 0, 0, 0, 0]);
        answer.extend(question);
        if let Some(address) = known {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4]);
            answer.extend(address.octets());
        }
        answer
    }
}

/// Two hosts, each at a Service of `type: ExternalName`.
fn documents(port: u16) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let mut text = String::from(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: example, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}\nspec: {controller: nearside.dev/ingress-controller}\n",
    );
    for name in ["partner", "stranger"] {
        write!(
            text,
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: ExternalName, externalName: {name}.invalid, ports: [{{port: {port}}}]}}\n---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}}}\nspec: {{rules: [{{host: {name}.test, http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: {name}, port: {{number: {port}}}}}}}}}]}}}}]}}\n",
        )
        .expect("a text");
    }
    std::fs::write(directory.path().join("all.yaml"), text).expect("written");
    directory
}

#[test]
fn external_names_are_served_where_it_is_asked_for() {
    let port = echo::start("partner");
    let resolver = Resolver::default();
    resolver.set("stranger.invalid", [127, 0, 0, 1]);
    let at = resolver.start().to_string();

    let without = FileGateway::on(documents(port), &[]);
    let with = FileGateway::on(
        documents(port),
        &[
            "--external-names",
            "--external-name-resolver",
            &at,
            "--external-name-permit",
            "127.0.0.1/32",
        ],
    );
    let near =
        FileGateway::on(documents(port), &["--external-names", "--external-name-resolver", &at]);
    with.answers(&[("partner.test/", "503"), ("stranger.test/", "200 partner")]);
    without.answers(&[("partner.test/", "503"), ("stranger.test/", "503")]);

    // A name that gets an address is served without a reload.
    resolver.set("partner.invalid", [127, 0, 0, 1]);
    // Metadata services stay out, whatever else is permitted.
    resolver.set("stranger.invalid", [169, 254, 169, 254]);
    with.answers(&[("partner.test/", "200 partner"), ("stranger.test/", "503")]);
    near.answers(&[("partner.test/", "503"), ("stranger.test/", "503")]);
}
