//! CPUs: which of them a worker is bound to, and what else yields to the workers.
//!
//! With [`Spread::Cpu`] each worker stays on one CPU and the kernel hands it the datagrams that
//! arrived there, so that a query is received, answered and sent by one cache. That pays where the
//! network card spreads its queues over all CPUs; where one CPU takes every interrupt (one queue,
//! loopback) it would leave the other workers idle, so it is not the default. Rule: it is done for
//! one worker on every CPU that the process may use, or not at all.

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How datagrams are spread over the workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spread {
    /// By a hash of the addresses and ports: even, whatever the network card does.
    #[default]
    Hash,
    /// By the CPU that received the datagram; needs one worker a CPU.
    Cpu,
}

/// How much nicer work is that clients do not wait for (sched(7): each step is a factor of 1.25). At 9 a
/// thread has an eighth of a CPU that answers keep busy for certain: enough to end, and a worker
/// that needs 80 % of it still gets that. At 5, a quarter, its queue filled while maps were made.
const BACKGROUND_NICE: i32 = 9;

/// Makes the calling thread yield to those that answer. What the system refuses is not needed.
pub(crate) fn yield_to_answers() {
    if getpriority_process(None).is_ok_and(|nice| nice < BACKGROUND_NICE) {
        let _refused = setpriority_process(None, BACKGROUND_NICE);
    }
}

/// The workers of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Workers {
    pub(crate) count: usize,
    /// The CPU of each, when each has its own.
    pub(crate) cpus: Option<Vec<usize>>,
}

impl Workers {
    /// Plans workers: as many as asked, else one a core; each on its CPU when that can be.
    /// `cpus` are those that the process may use, rising; `cores` is how many it should.
    pub(crate) fn plan(
        asked: Option<usize>,
        spread: Spread,
        (cpus, cores): (&[usize], usize),
    ) -> Self {
        let wanted = match spread {
            Spread::Hash => cores,
            Spread::Cpu => cpus.len(),
        };
        let count = asked.unwrap_or(wanted).clamp(1, WORKERS_MAX);
        // The kernel's program counts from the first CPU: there may be no gap among them.
        let in_a_row = cpus.windows(2).all(|two| two[0] + 1 == two[1]);
        let is_bound = spread == Spread::Cpu && in_a_row && count == cpus.len();
        Self { count, cpus: is_bound.then(|| cpus.to_vec()) }
    }
}

/// More workers than this are a mistake.
const WORKERS_MAX: usize = 1024;

/// The CPUs this process may use, rising.
pub(crate) fn allowed() -> Vec<usize> {
    sched_getaffinity(None).map_or_else(
        |_| Vec::new(),
        |set| (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect(),
    )
}

/// Keeps the calling thread on one CPU.
pub(crate) fn bind_to(cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests;
