//! What a process cost, by the kernel's own accounting: never a sampler's guess.
//!
//! The run time of threads comes from `/proc/PID/task/*/schedstat` in nanoseconds; its split into
//! user and system time, and the time of threads that ended, from `/proc/PID/stat` in ticks of
//! 10 ms. A process counts with its descendants, since nginx works in a child.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::kernel::ticks_per_second;

/// CPU time used and memory held at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// CPU time of all living threads, by the scheduler, exact to the nanosecond.
    pub run: Duration,
    /// Of that, in user mode; the kernel samples it at each tick, so only long sums mean anything.
    pub user: Duration,
    /// In the kernel, likewise.
    pub system: Duration,
    /// Resident memory in KiB.
    pub rss_kib: u64,
}

impl Account {
    /// The account of a process and its descendants.
    ///
    /// # Errors
    /// The process is gone.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let mut whole = Self::of_one(pid)?;
        for child in children(pid) {
            // A child that ends between the look and the read has nothing more to say.
            if let Ok(account) = Self::of(child) {
                whole.run += account.run;
                whole.user += account.user;
                whole.system += account.system;
                whole.rss_kib += account.rss_kib;
            }
        }
        Ok(whole)
    }

    /// What was used since an earlier moment; memory is that of now.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            run: self.run.saturating_sub(earlier.run),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
            rss_kib: self.rss_kib,
        }
    }

    fn of_one(pid: u32) -> anyhow::Result<Self> {
        let directory = Path::new("/proc").join(pid.to_string());
        let stat = fs::read_to_string(directory.join("stat"))?;
        let (user_ticks, system_ticks) = ticks(&stat)
            .ok_or_else(|| anyhow::anyhow!("`/proc/{pid}/stat` is not as proc(5) describes it"))?;
        let mut run_ns = 0;
        for task in fs::read_dir(directory.join("task"))? {
            let text = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let first = text.split_ascii_whitespace().next();
            run_ns += first.and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        }
        let status = fs::read_to_string(directory.join("status"))?;
        Ok(Self {
            run: Duration::from_nanos(run_ns),
            user: of_ticks(user_ticks),
            system: of_ticks(system_ticks),
            rss_kib: kib(&status, "VmRSS:").unwrap_or(0),
        })
    }
}

/// The most memory a process held resident since its start or [`forget_peak`], KiB.
///
/// # Errors
/// The process is gone.
pub fn peak_rss_kib(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib(&status, "VmHWM:").ok_or_else(|| anyhow::anyhow!("`/proc/{pid}/status` tells no peak"))
}

/// The same of a process and its descendants, the peak of each for itself.
///
/// # Errors
/// The process is gone.
pub fn peak_rss_kib_of_all(pid: u32) -> anyhow::Result<u64> {
    // A child that ends meanwhile has nothing more to say.
    let below = children(pid).into_iter().filter_map(|child| peak_rss_kib_of_all(child).ok());
    Ok(peak_rss_kib(pid)? + below.sum::<u64>())
}

/// Lets the peak begin anew (proc(5), `clear_refs`).
///
/// # Errors
/// The process is gone or another user's.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// CPU time of the children that a process has waited for, such as workers of a server that was
/// reloaded.
///
/// # Errors
/// The process is gone.
pub fn reaped(pid: u32) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = reaped_ticks(&stat)
        .ok_or_else(|| anyhow::anyhow!("`/proc/{pid}/stat` is not as proc(5) describes it"))?;
    Ok(of_ticks(ticks))
}

/// Fields 16 and 17 together.
fn reaped_ticks(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(13);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

/// Fields 14 and 15 of proc(5)'s stat; the name before them may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn of_ticks(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / ticks_per_second()))
}

fn kib(status: &str, key: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let is_child = |candidate: &u32| {
        let stat = fs::read_to_string(format!("/proc/{candidate}/stat")).unwrap_or_default();
        parent(&stat) == Some(pid)
    };
    processes.flatten().filter_map(number).filter(is_child).collect()
}

fn parent(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests;
