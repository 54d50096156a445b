//! A test's own corner of the world: namespaces, Gateways, Services and their origins.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::client::{self, Reply};
use super::echo;
use super::object::{objects, path_of};
use super::world::{World, eventually};

/// The ports of HTTP and HTTPS listeners: nobody must be root.
pub(crate) const HTTP: u16 = 8080;
pub(crate) const HTTPS: u16 = 8443;
/// An answer counts when it came so often in a row, as upstream asks it.
const IN_A_ROW: u32 = 3;

/// The namespaces `INFRA`, `APP` and `WEB` of one test, whose real names carry the test's.
pub(crate) struct Stage {
    pub(crate) world: Arc<World>,
    name: String,
}

impl Stage {
    /// A stage with Gateways and Services:
    /// Gateways `same`, `all` and `backends` in `INFRA`, which differ in whose routes they take,
    /// and backends `infra-v1` to `infra-v3` in `INFRA`, `app-v1` and `app-v2` in `APP`, `web` in `WEB`.
    pub(crate) fn new(name: &str) -> Self {
        let stage = Self { world: World::shared(), name: name.to_owned() };
        stage.apply(
            r#"
kind: Namespace
name: INFRA
labels: {part: infra, kubernetes.io/metadata.name: INFRA}
---
kind: Namespace
name: APP
labels: {part: backend, kubernetes.io/metadata.name: APP}
---
kind: Namespace
name: WEB
labels: {part: backend, kubernetes.io/metadata.name: WEB}
---
kind: Gateway
name: same
in: INFRA
spec: {listeners: [{name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: Same}}}]}
---
kind: Gateway
name: all
in: INFRA
spec: {listeners: [{name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
---
kind: Gateway
name: backends
in: INFRA
spec: {listeners: [{name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, selector: {matchLabels: {part: backend}}}}}]}
"#,
        );
        for (name, namespace) in [
            ("infra-v1", "INFRA"),
            ("infra-v2", "INFRA"),
            ("infra-v3", "INFRA"),
            ("app-v1", "APP"),
            ("app-v2", "APP"),
            ("web", "WEB"),
        ] {
            stage.backend(name, namespace, ("TCP", echo::start(name)));
        }
        stage
    }

    /// A Service whose one endpoint is a port of 127.0.0.1, of a protocol.
    pub(crate) fn backend(&self, name: &str, namespace: &str, (protocol, port): (&str, u16)) {
        self.apply(&format!(
            "
kind: Service
name: {name}
in: {namespace}
spec: {{ports: [{{name: first, protocol: {protocol}, port: 8080, targetPort: 3000}}]}}
---
kind: EndpointSlice
name: {name}-1
in: {namespace}
labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports: [{{name: first, protocol: {protocol}, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        ));
    }

    /// A Service of `INFRA` whose one port says what is spoken there (`appProtocol`).
    pub(crate) fn speaking(&self, name: &str, protocol: &str, port: u16) {
        self.apply(&format!(
            "
kind: Service
name: {name}
in: INFRA
spec: {{ports: [{{name: first, protocol: TCP, appProtocol: {protocol}, port: 8080, targetPort: 3000}}]}}
---
kind: EndpointSlice
name: {name}-1
in: INFRA
labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
ports: [{{name: first, appProtocol: {protocol}, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"
        ));
    }

    /// The real name of what a text names.
    pub(crate) fn real(&self, text: &str) -> String {
        let mut text = text.replace("POOL", &self.world.pool);
        for part in ["INFRA", "APP", "WEB"] {
            text = text.replace(part, &format!("{}-{}", self.name, part.to_lowercase()));
        }
        text
    }

    /// Creates or replaces objects.
    pub(crate) fn apply(&self, yaml: &str) {
        for object in objects(&self.real(yaml)) {
            let stored = self.world.sim.put(&object);
            assert!(stored.is_ok(), "{stored:?}: {object}");
        }
    }

    /// Creates or replaces a Secret with a certificate, or a ConfigMap: texts that are to stay as they
    /// are, because what looks like a name in them is none.
    pub(crate) fn hold(&self, kind: &str, (name, namespace): (&str, &str), texts: &Value) {
        let metadata = json!({"name": name, "namespace": self.real(namespace)});
        let mut object = json!({"apiVersion": "v1", "kind": kind, "metadata": metadata});
        if kind == "Secret" {
            object["type"] = "kubernetes.io/tls".into();
            object["stringData"] = texts.clone();
        } else {
            object["data"] = texts.clone();
        }
        let stored = self.world.sim.put(&object);
        assert!(stored.is_ok(), "{stored:?}: {object}");
    }

    /// Deletes an object.
    pub(crate) fn delete(&self, kind: &str, namespace: &str, name: &str) {
        let path = self.real(&path_of(kind, namespace, name));
        assert_eq!(self.world.sim.call("DELETE", &path, &Value::Null).0, 200, "{path}");
    }

    /// An object as the server has it.
    pub(crate) fn object(&self, kind: &str, namespace: &str, name: &str) -> Value {
        let path = self.real(&path_of(kind, namespace, name));
        let (code, object) = self.world.sim.call("GET", &path, &Value::Null);
        assert_eq!(code, 200, "{path}");
        object
    }

    /// Where a Gateway of `INFRA` can be reached, as soon as its status says so.
    pub(crate) fn address(&self, gateway: &str, port: u16) -> SocketAddr {
        eventually(gateway, || {
            let found = self.object("Gateway", "INFRA", gateway);
            let address = &found["status"]["addresses"][0];
            let value = address["value"].as_str().filter(|_| address["type"] == "IPAddress");
            let value = value.ok_or_else(|| format!("no address in {}", found["status"]))?;
            Ok(SocketAddr::new(value.parse().expect("an address"), port))
        })
    }

    /// Waits until a Gateway answers like this, three times in a row: rows of a request
    /// (`[METHOD] host[/path] [name:value]...`) and an answer (`200 backend`, `302 location`, `404`).
    pub(crate) fn answers(&self, gateway: &str, rows: &[(&str, &str)]) {
        let to = self.address(gateway, HTTP);
        for (request, answer) in rows {
            Self::until(to, request, |reply| {
                let brief = reply.brief();
                if brief == *answer { Ok(()) } else { Err(brief) }
            });
        }
    }

    /// Waits until the answer to a request is right three times in a row; the last of them.
    pub(crate) fn until(
        to: SocketAddr,
        request: &str,
        check: impl Fn(&Reply) -> Result<(), String>,
    ) -> Reply {
        until_consistent(request, || client::ask(to, request), check)
    }

    /// Waits until the parents of a route's status are these, in this order: the name of the parent
    /// (`same`, or `APP/name` outside `INFRA`), then conditions as `Accepted=True/Accepted`.
    pub(crate) fn parents(&self, kind: &str, route: &str, parents: &[&str]) {
        let (namespace, name) = route.split_once('/').unwrap_or(("INFRA", route));
        eventually(route, || {
            let found = self.object(kind, namespace, name);
            let generation = found["metadata"]["generation"].clone();
            let actual = list(&found["status"]["parents"]);
            let rows: Vec<Row> = actual
                .iter()
                .map(|parent| {
                    let reference = &parent["parentRef"];
                    let home = reference["namespace"].as_str().unwrap_or_default();
                    let name = reference["name"].as_str().unwrap_or_default();
                    let place = self.real("INFRA");
                    let name = if [place.as_str(), ""].contains(&home) {
                        name.to_owned()
                    } else {
                        format!("{home}/{name}")
                    };
                    let ours = parent["controllerName"] == model::gateway::GATEWAY_CONTROLLER;
                    Row::new(if ours { name } else { "not ours".to_owned() }, parent, &generation)
                })
                .collect();
            compare(&rows, &self.rows(parents))
        });
    }

    /// Waits until the listeners of a Gateway's or ListenerSet's status are these, in this order: the
    /// name, then `attached=N`, `kinds=A+B` and conditions.
    pub(crate) fn listeners(&self, kind: &str, name: &str, listeners: &[&str]) {
        eventually(name, || {
            let found = self.object(kind, "INFRA", name);
            let generation = found["metadata"]["generation"].clone();
            let actual = list(&found["status"]["listeners"]);
            let rows: Vec<Row> = actual
                .iter()
                .map(|listener| {
                    let name = listener["name"].as_str().unwrap_or_default().to_owned();
                    let mut row = Row::new(name, listener, &generation);
                    let kinds = list(&listener["supportedKinds"]);
                    let mut kinds: Vec<&str> =
                        kinds.iter().filter_map(|kind| kind["kind"].as_str()).collect();
                    kinds.sort_unstable();
                    row.facts.insert("kinds".to_owned(), kinds.join("+"));
                    row.facts.insert("attached".to_owned(), listener["attachedRoutes"].to_string());
                    row
                })
                .collect();
            compare(&rows, &self.rows(listeners))
        });
    }

    /// Waits until an object's own conditions hold these.
    pub(crate) fn conditions(&self, kind: &str, name: &str, conditions: &str) {
        let (namespace, object) = name.split_once('/').unwrap_or(("INFRA", name));
        eventually(name, || {
            let found = self.object(kind, namespace, object);
            let generation = found["metadata"]["generation"].clone();
            let row = Row::new(object.to_owned(), &found["status"], &generation);
            compare(&[row], &self.rows(&[&format!("{object} {conditions}")]))
        });
    }

    fn rows(&self, texts: &[&str]) -> Vec<Row> {
        texts.iter().map(|text| Row::parse(&self.real(text))).collect()
    }
}

/// Repeats a question until its answer is right three times in a row; the last answer.
pub(crate) fn until_consistent(
    what: &str,
    ask: impl Fn() -> Result<Reply, String>,
    check: impl Fn(&Reply) -> Result<(), String>,
) -> Reply {
    let mut right = 0;
    eventually(what, || {
        loop {
            let reply = ask();
            let checked = reply.as_ref().map_err(Clone::clone).and_then(&check);
            right = if checked.is_ok() { right + 1 } else { 0 };
            checked?;
            if right == IN_A_ROW {
                return reply;
            }
        }
    })
}

/// A part of a status: whose it is, and its conditions and other facts.
#[derive(Debug)]
struct Row {
    name: String,
    facts: BTreeMap<String, String>,
}

impl Row {
    fn new(name: String, part: &Value, generation: &Value) -> Self {
        let conditions = list(&part["conditions"]);
        let facts = conditions.iter().map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default();
            let stale =
                if condition["observedGeneration"] == *generation { "" } else { " (stale)" };
            (text("type").to_owned(), format!("{}/{}{stale}", text("status"), text("reason")))
        });
        Self { name, facts: facts.collect() }
    }

    fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let name = words.next().unwrap_or_default().to_owned();
        let facts = words.filter_map(|word| word.split_once('='));
        let facts = facts.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { name, facts: facts.collect() }
    }
}

/// Whether the rows are those expected; facts that nobody asks for may be anything, a condition
/// without a reason may have any.
fn compare(actual: &[Row], expected: &[Row]) -> Result<(), String> {
    let same = |actual: &Row, expected: &Row| {
        let fits = |(name, value): (&String, &String)| {
            let found = actual.facts.get(name).map_or("", String::as_str);
            let any = matches!(value.as_str(), "True" | "False" | "Unknown");
            if any {
                found.split('/').next() == Some(value) && !found.ends_with("(stale)")
            } else {
                found == value
            }
        };
        actual.name == expected.name && expected.facts.iter().all(fits)
    };
    let equal = actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(actual, expected)| same(actual, expected));
    if equal { Ok(()) } else { Err(format!("{actual:#?} instead of {expected:#?}")) }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}
