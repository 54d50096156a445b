//! New documents and new maps: admitted by the guard, compiled elsewhere, published when they come
//! back. One compilation runs at a time; health goes on being published meanwhile.

use std::sync::Arc;

use metrics::histogram;
use model::Policy;
use steering::{Generation, Health, SteeringMap};
use tokio::time::Instant;
use tracing::error;

use super::{Apply, PublishError, Shell};
use crate::background;
use crate::clock::Now;
use crate::compile::{self, Carried, Compiled, Documents};
use crate::guard::{self, Difference};
use crate::handle::{Applied, Refused};
use crate::plan::{self, Because, Change, MapInputs, Plan};
use crate::publication::{Channel, Part, PartError, Publication};
use crate::status::RefusedStatus;
use crate::store::{Act, AuditRecord, StoreError};
use crate::target::Targets;

/// Who waits for the compilation under way.
pub(super) enum Job {
    Apply { targets: Arc<Targets>, difference: Difference, apply: Apply },
    Refresh,
}

/// How a compilation ended.
pub(super) type Done = Result<Carried, CompileError>;

#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    #[error("the compiler failed")]
    Background(#[from] background::BackgroundError),
    #[error(transparent)]
    Part(#[from] PartError),
}

impl Shell {
    pub(super) async fn start_apply(&mut self, apply: Apply) -> Result<(), PublishError> {
        let now = self.clock.now();
        let difference = match self.admit(&apply, now) {
            Ok(difference) => difference,
            Err(refusals) => {
                let told = refusals.iter().map(ToString::to_string).collect();
                self.refused = Some(RefusedStatus { at_unix_ms: now.unix_ms, refusals: told });
                let _ = apply.reply.send(Err(Refused::Guard(refusals)));
                return Ok(());
            }
        };
        let policy = Arc::clone(&apply.policy);
        let targets = Arc::new(Targets::of(&policy));
        let observed = self.world.observe(&policy, &targets);
        let health = self.carried_health(&policy);
        let inputs = plan::plan(&policy, &observed, &health, now).map;
        let same = self.published.as_ref().filter(|published| *published.policy.value == *policy);
        let (documents, because) = match same.map(|published| published.policy.clone()) {
            Some(_) if self.made.is_some() => {
                // They mean what they meant before.
                self.refused = None;
                let have = self.published.as_ref().map(Publication::have).unwrap_or_default();
                let _ = apply.reply.send(Ok(Applied { have, difference }));
                return Ok(());
            }
            Some(part) => (Documents::Published(part), Because::Start),
            None => match self.next(Channel::Policy).await {
                Ok(generation) => (Documents::New(policy, generation), Because::Documents),
                Err(error) => {
                    let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
                    return Err(error.into());
                }
            },
        };
        let job = Job::Apply { targets, difference, apply };
        self.compile(documents, inputs, vec![because], job).await
    }

    fn admit(&self, apply: &Apply, now: Now) -> Result<Difference, Vec<guard::Refusal>> {
        let current = &self.world.policy;
        let admitted = guard::admit_documents(current, &apply.policy, &self.removals, now.unix_ms);
        match (admitted, &apply.overruled) {
            (Err(_), Some(_)) => Ok(Difference::between(current, &apply.policy)),
            (admitted, _) => admitted,
        }
    }

    /// The published health by the next policy's ids.
    fn carried_health(&self, next: &Policy) -> Health {
        self.published.as_ref().map_or_else(Default::default, |published| {
            plan::carry(&published.health.value, &published.policy.value, next)
        })
    }

    pub(super) async fn start_refresh(&mut self) -> Result<(), PublishError> {
        let Some(published) = &self.published else { return Ok(()) };
        let because = match &self.made {
            None => vec![Because::Start],
            Some(made) => plan::because(&made.inputs, &self.wanted),
        };
        if because.is_empty() && !self.refit {
            return Ok(());
        }
        if because.is_empty() && self.world.cells.is_empty() {
            self.refit = false;
            return Ok(());
        }
        let documents = Documents::Published(published.policy.clone());
        let inputs = self.wanted.clone();
        self.compile(documents, inputs, because, Job::Refresh).await
    }

    async fn compile(
        &mut self,
        policy: Documents,
        inputs: MapInputs,
        because: Vec<Because>,
        job: Job,
    ) -> Result<(), PublishError> {
        self.refit = false;
        let map_generation = match self.next(Channel::Map).await {
            Ok(generation) => generation,
            Err(error) => {
                if let Job::Apply { apply, .. } = job {
                    let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
                }
                return Err(error.into());
            }
        };
        let documents = match &policy {
            Documents::New(policy, _) => policy,
            Documents::Published(part) => &part.value,
        };
        let order = compile::Order {
            cells: self.world.cells.now(documents, self.clock.now().unix_ms),
            policy,
            locales: Arc::clone(&self.locales),
            published: self.made.clone(),
            inputs,
            map_generation,
            because,
        };
        self.job = Some(job);
        let done = self.done.0.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let carried = background::run("compile", || compile::carry_out(order)).await;
            let result = match carried {
                Ok(result) => result.map_err(CompileError::from),
                Err(error) => Err(error.into()),
            };
            histogram!("nearside_compile_seconds").record(started.elapsed().as_secs_f64());
            // The shell has stopped: nobody waits.
            let _ = done.send(result).await;
        });
        Ok(())
    }

    pub(super) async fn finished(&mut self, done: Done) {
        let Some(job) = self.job.take() else { return };
        let done = done.map(|Carried { latency, compiled }| {
            self.latency = latency;
            compiled
        });
        match (done, job) {
            (Ok(Some(compiled)), Job::Refresh) => self.finish_refresh(compiled),
            (Ok(None), Job::Refresh) => {}
            (Err(error), Job::Refresh) => {
                error!(error = &error as &dyn std::error::Error, "the last good map stays");
            }
            (Ok(Some(compiled)), Job::Apply { targets, difference, apply }) => {
                let finished = self.finish_apply(compiled, targets, difference, &apply).await;
                let finished = finished.map_err(|error| Refused::Failed(error.to_string()));
                let _ = apply.reply.send(finished);
            }
            (Ok(None), Job::Apply { apply, .. }) => {
                let _ = apply.reply.send(Err(Refused::Failed("nothing was compiled".to_owned())));
            }
            (Err(error), Job::Apply { apply, .. }) => {
                let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
            }
        }
    }

    fn finish_refresh(&mut self, compiled: Compiled) {
        let Some(published) = self.published.clone() else { return };
        let Compiled { policy, map, made, because } = compiled;
        if published.policy.generation != policy.generation {
            return;
        }
        self.made = Some(made);
        let (map, moved) = kept_if_equal(&published, &policy, map);
        self.publish(Publication { policy, map, health: published.health });
        if moved {
            self.remember(vec![Change::Map { because }], self.clock.now());
        }
        // Inputs may have moved while it was compiled.
        self.touch();
    }

    async fn finish_apply(
        &mut self,
        compiled: Compiled,
        targets: Arc<Targets>,
        difference: Difference,
        apply: &Apply,
    ) -> Result<Applied, PublishError> {
        let Compiled { policy, map, made, because: _ } = compiled;
        let now = self.clock.now();
        let accepted = Arc::clone(&policy.value);
        let current = self.carried_health(&accepted);
        let generation = self.next(Channel::Health).await?;
        let observed = self.world.observe(&accepted, &targets);
        let Plan { health, map: inputs, why, waits } =
            plan::plan(&accepted, &observed, &current, now);
        let health = Part::encode(generation, policy.generation, Arc::new(health))?;
        self.record_apply(&difference, apply, policy.generation, now).await?;
        self.world.accept(accepted, Arc::clone(&targets));
        self.targets.send_replace(targets);
        (self.made, self.wanted, self.waits) = (Some(made), inputs, waits);
        self.refused = None;
        let (policy_counter, summary) = (policy.generation.counter, difference.to_string());
        let map = match &self.published {
            Some(published) => kept_if_equal(published, &policy, map).0,
            None => map,
        };
        self.publish(Publication { policy, map, health });
        let mut changes = vec![Change::Documents { policy_counter, summary }];
        changes.extend(why);
        self.remember(changes, now);
        self.touch();
        let have = self.published.as_ref().map(Publication::have).unwrap_or_default();
        Ok(Applied { have, difference })
    }

    async fn record_apply(
        &mut self,
        difference: &Difference,
        apply: &Apply,
        generation: Generation,
        now: Now,
    ) -> Result<(), StoreError> {
        let objects = u32::try_from(difference.removed.len()).unwrap_or(u32::MAX);
        let (by, reason) = match &apply.overruled {
            Some(overruled) => (overruled.by.clone(), overruled.reason.clone()),
            None => ("documents".to_owned(), String::new()),
        };
        let mut acts = Vec::new();
        if objects > 0 {
            acts.push(Act::Remove { objects, policy_counter: generation.counter });
        }
        if apply.overruled.is_some() {
            let judged = guard::admit_documents(
                &self.world.policy,
                &apply.policy,
                &self.removals,
                now.unix_ms,
            );
            let refusals = judged.err().unwrap_or_default();
            let refusals = refusals.iter().map(ToString::to_string).collect();
            acts.push(Act::Override { refusals });
        }
        self.removals.note(now.unix_ms, objects);
        for act in acts {
            let (by, reason) = (by.clone(), reason.clone());
            let record = AuditRecord { at_unix_ms: now.unix_ms, by, act, reason };
            self.in_store(move |store| store.record(&record)).await?;
        }
        Ok(())
    }
}

/// The published map where the new one says the same of the same policy, so that a restart or a
/// refresh that changes nothing costs no node a download; and whether anything changed.
fn kept_if_equal(
    published: &Publication,
    policy: &Part<Policy>,
    map: Part<SteeringMap>,
) -> (Part<SteeringMap>, bool) {
    let same_policy = published.policy.generation == policy.generation;
    if same_policy && *published.map.value == *map.value {
        (published.map.clone(), false)
    } else {
        (map, true)
    }
}
