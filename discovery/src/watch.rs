//! The shell that follows one resource: requests out, changes in.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use bytes::Bytes;
use metrics::{Counter, Gauge};
use model::gateway::ObjectKind;
use model::name::ObjectRef;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::follow::{Change, Failure, Follow, Patience, Place, Seen, Step, Told};
use crate::item::Item;
use crate::lines::Lines;
use crate::resource::{field_selector, object_path, path};
use crate::server::{Server, UNREACHED, frame, get};

/// Objects of one page: client-go's.
const PAGE_OBJECTS: usize = 500;
/// How much later than asked a living server may end a watch.
const IDLE_GRACE: Duration = Duration::from_secs(5);

/// What happened to one kind's objects.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The kind.
    pub(crate) kind: ObjectKind,
    /// The version of its API that the server has.
    pub(crate) api: &'static str,
    /// In order.
    pub(crate) changes: Vec<Change<Item>>,
}

#[derive(Deserialize)]
struct Line {
    r#type: String,
    object: Value,
}

/// Follows one kind.
pub(crate) struct Watch {
    kind: ObjectKind,
    server: Server,
    follow: Follow<Item>,
    watch_s: u64,
    batches: mpsc::Sender<Batch>,
    start: Instant,
    random: RandomState,
    draws: u64,
    /// When the server last told something, since the epoch.
    told_at: Gauge,
    lists: Counter,
    failures: Counter,
}

/// Nobody wants batches any more.
struct Unwanted;

impl Watch {
    /// Follows `kind` after the version held from before, until nobody wants batches any more.
    pub(crate) async fn run(
        kind: ObjectKind,
        server: Server,
        (held, patience): (Option<u64>, Patience),
        batches: mpsc::Sender<Batch>,
    ) {
        let mut watch = Self {
            kind,
            server,
            follow: Follow::new(kind.versions().len(), held, patience),
            watch_s: patience.watch_s,
            batches,
            start: instant(),
            random: RandomState::new(),
            draws: 0,
            told_at: metrics::gauge!("nearside_watch_told_timestamp_seconds", "kind" => kind.name()),
            lists: metrics::counter!("nearside_watch_lists_total", "kind" => kind.name()),
            failures: metrics::counter!("nearside_watch_failures_total", "kind" => kind.name()),
        };
        while watch.step().await.is_ok() {}
    }

    async fn step(&mut self) -> Result<(), Unwanted> {
        let jitter = self.draw();
        let seen = match self.follow.next(jitter) {
            Step::Wait { ms } => {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                    () = self.batches.closed() => return Err(Unwanted),
                }
                return Ok(());
            }
            Step::Stream => {
                return self
                    .stream("sendInitialEvents=true&resourceVersionMatch=NotOlderThan")
                    .await;
            }
            Step::Watch { after } => return self.stream(&format!("resourceVersion={after}")).await,
            Step::List { token } => self.page(token).await,
            Step::Look { object } => self.look(object).await,
        };
        let seen = seen.unwrap_or_else(Seen::Failed);
        let change = self.note(seen);
        self.tell(change.into_iter().collect()).await
    }

    /// Takes what was seen, and counts it for the operator.
    fn note(&mut self, seen: Seen<Item>) -> Option<Change<Item>> {
        match &seen {
            Seen::Failed(_) => self.failures.increment(1),
            // The end of a stream says nothing of the server: it may have been cut.
            Seen::Ended { .. } => {}
            Seen::Object(_)
            | Seen::Deleted(_)
            | Seen::Bookmark { .. }
            | Seen::Page { .. }
            | Seen::Version { .. } => self.told_at.set(wall_s()),
        }
        let change = self.follow.on(seen, self.now_ms());
        if matches!(change, Some(Change::Replace { .. })) {
            self.lists.increment(1);
        }
        change
    }

    async fn stream(&mut self, query: &str) -> Result<(), Unwanted> {
        let timeout_s = self.watch_s + u64::from(self.draw()) % (self.watch_s + 1);
        let query =
            format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={timeout_s}&{query}");
        let opened_ms = self.now_ms();
        let response = self.server.open(get(&self.url(&query))).await;
        let mut body = match response {
            Ok(response) => response.into_body(),
            Err(failure) => {
                let change = self.note(Seen::Failed(failure));
                return self.tell(change.into_iter().collect()).await;
            }
        };
        let idle = Duration::from_secs(timeout_s) + IDLE_GRACE;
        let mut lines = Lines::default();
        let last = loop {
            let octets = tokio::select! {
                octets = frame(&mut body, idle) => octets,
                () = self.batches.closed() => return Err(Unwanted),
            };
            match octets {
                Ok(Some(octets)) => {
                    if let Some(failure) = self.read(&mut lines, &octets).await? {
                        break Seen::Failed(failure);
                    }
                }
                Ok(None) => break Seen::Ended { open_ms: self.now_ms() - opened_ms },
                Err(error) => {
                    tracing::debug!(kind = self.kind.name(), %error, "a watch broke off");
                    break Seen::Ended { open_ms: self.now_ms() - opened_ms };
                }
            }
        };
        if lines.skipped() > 0 {
            let count = lines.skipped();
            tracing::warn!(
                kind = self.kind.name(),
                count,
                "objects were too large and are left out"
            );
        }
        let change = self.note(last);
        self.tell(change.into_iter().collect()).await
    }

    /// Reads the lines of a frame as one batch; gives the failure when one of them is an error.
    async fn read(
        &mut self,
        lines: &mut Lines,
        octets: &Bytes,
    ) -> Result<Option<Failure>, Unwanted> {
        lines.add(octets);
        let (mut changes, mut failure) = (Vec::new(), None);
        while let Some(line) = lines.next() {
            match self.see(&line) {
                Some(Seen::Failed(found)) => {
                    failure = Some(found);
                    break;
                }
                Some(seen) => changes.extend(self.note(seen)),
                None => tracing::debug!(kind = self.kind.name(), "a line of a watch is no event"),
            }
        }
        self.tell(changes).await?;
        Ok(failure)
    }

    fn see(&self, line: &[u8]) -> Option<Seen<Item>> {
        let Line { r#type, object } = serde_json::from_slice(line).ok()?;
        match r#type.as_str() {
            "ADDED" | "MODIFIED" => {
                let item = Item::read(self.kind, self.api(), object)?;
                Some(Seen::Object(told(item)))
            }
            "DELETED" => {
                let item = Item::identify(&object)?;
                Some(Seen::Deleted(told(item)))
            }
            "BOOKMARK" => {
                let metadata = &object["metadata"];
                let version = metadata["resourceVersion"].as_str()?.parse().ok()?;
                let is_end = metadata["annotations"]["k8s.io/initial-events-end"] == "true";
                let place = if is_end { Place::ListEnd } else { Place::Between };
                Some(Seen::Bookmark { version, place })
            }
            "ERROR" => {
                let code = object["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                // An error without a code is the server's own.
                Some(Seen::Failed(Failure { code: code.or(Some(500)), retry_after_ms: None }))
            }
            _ => None,
        }
    }

    async fn page(&self, token: Option<String>) -> Result<Seen<Item>, Failure> {
        let token = token.map(|token| format!("&continue={}", encode(&token))).unwrap_or_default();
        let mut list = self.ask(&format!("limit={PAGE_OBJECTS}{token}")).await?;
        let version = version_of(&list).ok_or(UNREACHED)?;
        let token = list["metadata"]["continue"]
            .as_str()
            .filter(|token| !token.is_empty())
            .map(str::to_owned);
        let Value::Array(found) = list["items"].take() else { return Err(UNREACHED) };
        let read = |object| Item::read(self.kind, self.api(), object).map(told);
        Ok(Seen::Page { version, items: found.into_iter().filter_map(read).collect(), token })
    }

    async fn look(&self, object: Option<ObjectRef>) -> Result<Seen<Item>, Failure> {
        let list = self.ask("limit=1").await?;
        let version = version_of(&list).ok_or(UNREACHED)?;
        let Some(ObjectRef { namespace, name }) = object else {
            return Ok(Seen::Version { version, object: None });
        };
        let path = object_path(self.kind, self.api(), &namespace, &name);
        let object = match self.server.ask(get(&path)).await {
            Ok(object) => version_of(&object),
            Err(Failure { code: Some(404), .. }) => None,
            Err(failure) => return Err(failure),
        };
        Ok(Seen::Version { version, object })
    }

    async fn ask(&self, query: &str) -> Result<Value, Failure> {
        self.server.ask(get(&self.url(query))).await
    }

    fn url(&self, query: &str) -> String {
        let selector = field_selector(self.kind);
        let selector =
            selector.map(|text| format!("&fieldSelector={}", encode(text))).unwrap_or_default();
        format!("{}?{query}{selector}", path(self.kind, self.api()))
    }

    fn api(&self) -> &'static str {
        self.kind.versions()[self.follow.api()]
    }

    async fn tell(&self, changes: Vec<Change<Item>>) -> Result<(), Unwanted> {
        if changes.is_empty() {
            return Ok(());
        }
        let batch = Batch { kind: self.kind, api: self.api(), changes };
        self.batches.send(batch).await.map_err(|_| Unwanted)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn draw(&mut self) -> u8 {
        self.draws += 1;
        self.random.hash_one(self.draws).to_le_bytes()[0]
    }
}

fn told(item: Item) -> Told<Item> {
    Told { object: item.object.clone(), version: item.version, item }
}

fn version_of(list: &Value) -> Option<u64> {
    list["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// Percent-encodes a query value.
fn encode(text: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(octet).to_string()
        }
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(octet).collect()
}

/// Seconds since the epoch.
#[expect(clippy::disallowed_methods, reason = "the shell reads the clock")]
fn wall_s() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock")]
fn instant() -> Instant {
    Instant::now()
}
