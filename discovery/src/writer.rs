//! The shell that writes statuses, while it holds the cluster's lease for it.
//!
//! What to write is computed from what was watched (`hub`); here it is checked once more against the
//! object itself and applied to exactly the version that was read, so that no entry of another
//! controller is lost between the two.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use k8s_openapi::jiff::Timestamp;
use model::gateway::ObjectKind;
use model::name::ObjectRef;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::follow::Failure;
use crate::lease::{Action, Candidate, RENEW_MS};
use crate::resource::{api_version, object_path};
use crate::server::{Server, get, is_conflict, request};
use crate::status;
use crate::wanted::Job;

/// Our name as a field manager; it must never change.
const FIELD_MANAGER: &str = "nearside";
/// The lease of the cluster's one writer.
const LEASE_NAME: &str = "nearside-status";
/// Statuses being written at a time: some ms each, so 5,000 take a few seconds.
const WRITES_MAX: usize = 16;
/// Attempts at an object that others write at the same moment.
const ATTEMPTS_MAX: u32 = 4;
/// After the server refused or was not reached.
const PAUSE: Duration = Duration::from_secs(2);

/// How a write ended.
enum Written {
    /// The object is at this version now, and says what it should.
    At(u64),
    /// It is gone.
    Gone,
    /// The server will not take it; trying again will not help.
    Refused(u16),
    /// The server took it and it says something else than it should: a CRD that does not know a
    /// field leaves it out.
    Altered,
    /// Not now.
    Later,
}

/// Writes statuses.
pub(crate) struct Writer {
    server: Server,
    candidate: Candidate,
    jobs: watch::Receiver<Arc<Vec<Job>>>,
    /// The version that our own write gave an object: jobs made of an older one are done.
    written: HashMap<(ObjectKind, ObjectRef), u64>,
    /// What the server did not take.
    refused: HashMap<(ObjectKind, ObjectRef), u64>,
    start: Instant,
}

impl Writer {
    /// Writes until nobody makes jobs any more. `me` is a name that no other process has.
    pub(crate) async fn run(server: Server, me: String, jobs: watch::Receiver<Arc<Vec<Job>>>) {
        let mut writer = Self {
            server,
            candidate: Candidate::new(me),
            jobs,
            written: HashMap::new(),
            refused: HashMap::new(),
            start: instant(),
        };
        let mut held = false;
        loop {
            if let Err(failure) = writer.lease().await {
                tracing::debug!(code = failure.code, "the status lease was not taken");
            }
            let holds = writer.candidate.holds(writer.now_ms());
            if holds != held {
                held = holds;
                let text = if holds { "writing statuses" } else { "another writes statuses" };
                tracing::info!("{text}");
            }
            if writer.term().await.is_err() {
                writer.let_go().await;
                return;
            }
        }
    }

    /// Writes until the lease is to be renewed.
    async fn term(&mut self) -> Result<(), watch::error::RecvError> {
        let end_ms = self.now_ms() + RENEW_MS;
        loop {
            let jobs = Arc::clone(&self.jobs.borrow_and_update());
            let done = !self.candidate.holds(self.now_ms()) || self.round(&jobs, end_ms).await;
            let left = Duration::from_millis(end_ms.saturating_sub(self.now_ms()));
            if left.is_zero() {
                return Ok(());
            }
            if done {
                let Ok(changed) = timeout(left, self.jobs.changed()).await else { return Ok(()) };
                changed?;
            } else {
                tokio::time::sleep(PAUSE.min(left)).await;
            }
        }
    }

    /// Writes what is not written yet; whether all of it is.
    async fn round(&mut self, jobs: &[Job], end_ms: u64) -> bool {
        let mut running = JoinSet::new();
        let mut left = jobs.iter().filter(|job| self.is_open(job)).cloned().collect::<Vec<_>>();
        left.reverse();
        let mut all = true;
        loop {
            let may_begin = all && self.now_ms() < end_ms;
            while may_begin && running.len() < WRITES_MAX {
                let Some(job) = left.pop() else { break };
                running.spawn(write(self.server.clone(), job));
            }
            let Some(ended) = running.join_next().await else { break };
            let Ok((job, written)) = ended else { continue };
            let subject = (job.kind, job.object.clone());
            match written {
                Written::At(version) => drop(self.written.insert(subject, version)),
                Written::Gone => drop(self.written.remove(&subject)),
                Written::Refused(code) => {
                    let (kind, object) = (job.kind.name(), &job.object);
                    tracing::warn!(kind, %object, code, "the API server does not take a status");
                    self.refused.insert(subject, job.digest);
                }
                Written::Altered => {
                    let (kind, object) = (job.kind.name(), &job.object);
                    tracing::debug!(kind, %object, "the API server keeps a part of a status only");
                    self.refused.insert(subject, job.digest);
                }
                Written::Later => all = false,
            }
        }
        all && left.is_empty()
    }

    fn is_open(&self, job: &Job) -> bool {
        let subject = (job.kind, job.object.clone());
        self.written.get(&subject).is_none_or(|version| *version <= job.version)
            && self.refused.get(&subject) != Some(&job.digest)
    }

    /// Takes or renews the lease.
    async fn lease(&mut self) -> Result<(), Failure> {
        let one = self.lease_path();
        let all = one.trim_end_matches(LEASE_NAME).trim_end_matches('/').to_owned();
        let found = match self.server.ask(get(&one)).await {
            Ok(lease) => Some(lease),
            Err(Failure { code: Some(404), .. }) => None,
            Err(failure) => return Err(failure),
        };
        let time = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let before_ms = self.now_ms();
        let (method, path, mut lease) = match self.candidate.act(found.as_ref(), &time, before_ms) {
            Action::Wait => return Ok(()),
            Action::Create(lease) => (Method::POST, all, lease),
            Action::Replace(lease) => (Method::PUT, one, lease),
        };
        lease["metadata"]["name"] = LEASE_NAME.into();
        let body = lease.to_string().into_bytes();
        let sent = self.server.ask(request(method, &path, "application/json", body)).await;
        match sent {
            // From when it was asked for: the answer may have taken its time.
            Ok(_) => self.candidate.succeeded(before_ms),
            Err(failure) if is_conflict(failure) => self.candidate.lost(),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Gives the lease back, so that another need not wait for its end.
    async fn let_go(&mut self) {
        if !self.candidate.holds(self.now_ms()) {
            return;
        }
        let path = self.lease_path();
        let Ok(mut lease) = self.server.ask(get(&path)).await else { return };
        if self.candidate.release(&mut lease) {
            let body = lease.to_string().into_bytes();
            // Without it the lease ends by itself.
            let _ = self.server.ask(request(Method::PUT, &path, "application/json", body)).await;
        }
    }

    fn lease_path(&self) -> String {
        let namespace = self.server.namespace();
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LEASE_NAME}")
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

async fn write(server: Server, job: Job) -> (Job, Written) {
    let written = try_write(&server, &job).await;
    let written = written.unwrap_or_else(|failure| match failure.code {
        Some(404) => Written::Gone,
        Some(code @ (400 | 403 | 405 | 413 | 415 | 422)) => Written::Refused(code),
        _ => Written::Later,
    });
    (job, written)
}

async fn try_write(server: &Server, job: &Job) -> Result<Written, Failure> {
    let ObjectRef { namespace, name } = &job.object;
    let path = object_path(job.kind, job.api, namespace, name);
    for _ in 0..ATTEMPTS_MAX {
        let current = server.ask(get(&path)).await?;
        let version = current["metadata"]["resourceVersion"].clone();
        if status::digest_of(&current) == job.digest {
            return Ok(at(&version));
        }
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut metadata = json!({"name": **name, "resourceVersion": version});
        if !namespace.is_empty() {
            metadata["namespace"] = (**namespace).into();
        }
        let body = json!({
            "apiVersion": api_version(job.kind, job.api), "kind": job.kind.name(), "metadata": metadata,
            "status": status::merge(&current["status"], &job.status.json(), &now),
        });
        let to = format!("{path}/status?fieldManager={FIELD_MANAGER}&force=true");
        let patch = request(
            Method::PATCH,
            &to,
            "application/apply-patch+yaml",
            body.to_string().into_bytes(),
        );
        match server.ask(patch).await {
            Ok(applied) if status::digest_of(&applied) != job.digest => {
                return Ok(Written::Altered);
            }
            Ok(applied) => return Ok(at(&applied["metadata"]["resourceVersion"])),
            Err(failure) if is_conflict(failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(Written::Later)
}

fn at(version: &Value) -> Written {
    let version = version.as_str().and_then(|text| text.parse().ok());
    version.map_or(Written::Later, Written::At)
}

#[expect(clippy::disallowed_methods, reason = "the shell reads the clock")]
fn instant() -> Instant {
    Instant::now()
}
