//! What sites report: readiness of backends, load, and clients' round-trip times.
//!
//! Reports carry totals since the reporter's boot, so a lost one is made good by the next and a late
//! one is simply older. Rule: differences are taken only within one boot; a report that is not newer
//! than the last is ignored; the last report holds for as long as it takes.

use std::collections::{BTreeMap, HashMap, VecDeque};

use ipnet::IpNet;
use model::SiteName;
use model::observe::{LoadReport, RTT_CELLS_MAX, Readiness, RttCell, SiteReport};
use model::service::BackendRef;

/// Former boots remembered per site, so that a straggler of an earlier boot is not taken for a new
/// one.
const FORMER_BOOTS_MAX: usize = 4;
/// Prefixes whose totals are remembered per site; four times what one report may carry, because the
/// busiest change from report to report.
const BASELINES_MAX: usize = 4 * RTT_CELLS_MAX;
/// Backends one report may name.
pub const BACKENDS_MAX: usize = 16_384;

/// RTT samples of one client prefix at one site, taken since the report before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RttSample {
    /// The clients: at most /24 or /56.
    pub prefix: IpNet,
    /// How many; never 0.
    pub count: u64,
    /// Their sum in microseconds.
    pub sum_us: u64,
    /// The least since boot, in microseconds.
    pub min_us: u32,
}

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It was newer. `ready_changed` says whether any backend's readiness moved.
    Taken {
        /// New RTT samples.
        samples: Vec<RttSample>,
        /// Whether readiness has to be looked at again.
        ready_changed: bool,
    },
    /// Not newer than what is known.
    Older,
    /// More backends or cells than a report may carry.
    TooLarge,
}

/// The last word of every site. Readiness from before a restart stands until a site speaks again.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    sites: BTreeMap<SiteName, Last>,
    seeds: HashMap<(SiteName, Vec<BackendRef>), Readiness>,
}

/// What is kept of one site's reports.
#[derive(Debug, Clone)]
pub struct Last {
    /// When the last report came, in process milliseconds.
    pub received_ms: u64,
    /// The last report's load.
    pub load: LoadReport,
    /// Requests per second between the last two reports.
    pub rate_rps: Option<u32>,
    boot_id: u64,
    sequence: u64,
    former_boots: VecDeque<u64>,
    ready: BTreeMap<BackendRef, u32>,
    baselines: HashMap<IpNet, (u64, u64)>,
}

impl Reports {
    /// Takes a report in.
    pub fn merge(&mut self, report: &SiteReport, now_ms: u64) -> Merged {
        if report.backends.len() > BACKENDS_MAX || report.rtt.len() > RTT_CELLS_MAX {
            return Merged::TooLarge;
        }
        let ready: BTreeMap<BackendRef, u32> =
            report.backends.iter().map(|one| (one.backend.clone(), one.ready)).collect();
        let Some(last) = self.sites.get_mut(&report.site) else {
            let mut first = Last::first(report, now_ms);
            first.ready = ready;
            let samples = first.samples(&report.rtt);
            self.sites.insert(report.site.clone(), first);
            return Merged::Taken { samples, ready_changed: true };
        };
        if report.boot_id == last.boot_id {
            if report.sequence <= last.sequence {
                return Merged::Older;
            }
            last.rate_rps = rate_rps(last, report, now_ms);
        } else if last.former_boots.contains(&report.boot_id) {
            return Merged::Older;
        } else {
            last.reboot(report.boot_id);
        }
        last.received_ms = now_ms;
        last.sequence = report.sequence;
        last.load = report.load;
        let ready_changed = readiness_moved(&last.ready, &ready);
        last.ready = ready;
        Merged::Taken { samples: last.samples(&report.rtt), ready_changed }
    }

    /// What the site said last.
    pub fn last(&self, site: &SiteName) -> Option<&Last> {
        self.sites.get(site)
    }

    /// Whether the site has every backend. A stale report holds.
    pub fn readiness(&self, site: &SiteName, backends: &[BackendRef]) -> Readiness {
        let Some(last) = self.sites.get(site) else {
            return match self.seeds.is_empty() {
                true => Readiness::NeverReported,
                false => {
                    let key = (site.clone(), backends.to_vec());
                    self.seeds.get(&key).copied().unwrap_or_default()
                }
            };
        };
        match last.missing(backends).next() {
            None => Readiness::Ready,
            Some(_) => Readiness::NotReady,
        }
    }

    /// Remembers what was known before a restart; any report of the site overrules it.
    pub fn seed(&mut self, site: &SiteName, backends: &[BackendRef], readiness: Readiness) {
        self.seeds.insert((site.clone(), backends.to_vec()), readiness);
    }

    /// Forgets sites that are not in the policy any more.
    pub fn retain(&mut self, mut known: impl FnMut(&SiteName) -> bool) {
        self.sites.retain(|site, _| known(site));
        self.seeds.retain(|(site, _), _| known(site));
    }
}

impl Last {
    fn first(report: &SiteReport, now_ms: u64) -> Self {
        Self {
            received_ms: now_ms,
            load: report.load,
            rate_rps: None,
            boot_id: report.boot_id,
            sequence: report.sequence,
            former_boots: VecDeque::new(),
            ready: BTreeMap::new(),
            baselines: HashMap::new(),
        }
    }

    /// The backends without a ready endpoint, in the order asked.
    pub fn missing<'a>(
        &'a self,
        backends: &'a [BackendRef],
    ) -> impl Iterator<Item = &'a BackendRef> {
        backends.iter().filter(|backend| self.ready.get(backend).copied().unwrap_or(0) == 0)
    }

    /// Every backend of the last report with its ready endpoints.
    pub fn backends(&self) -> impl Iterator<Item = (&BackendRef, u32)> {
        self.ready.iter().map(|(backend, &ready)| (backend, ready))
    }

    fn reboot(&mut self, boot_id: u64) {
        if self.former_boots.len() == FORMER_BOOTS_MAX {
            self.former_boots.pop_front();
        }
        self.former_boots.push_back(self.boot_id);
        self.boot_id = boot_id;
        self.rate_rps = None;
        self.baselines.clear();
    }

    fn samples(&mut self, cells: &[RttCell]) -> Vec<RttSample> {
        let mut samples = Vec::new();
        for cell in cells {
            let Some(prefix) = client_prefix(cell.prefix) else { continue };
            let known = self.baselines.get(&prefix).copied();
            if known.is_none() && self.baselines.len() >= BASELINES_MAX {
                continue;
            }
            self.baselines.insert(prefix, (cell.count, cell.sum_us));
            let (count, sum_us) = known.unwrap_or_default();
            // Totals that fall within a boot are a reporter's fault: start from them again.
            let (Some(count), Some(sum_us)) =
                (cell.count.checked_sub(count), cell.sum_us.checked_sub(sum_us))
            else {
                continue;
            };
            if count > 0 && sum_us / count >= u64::from(cell.min_us) {
                samples.push(RttSample { prefix, count, sum_us, min_us: cell.min_us });
            }
        }
        samples
    }
}

/// Truth is kept at /24 and /56 (what resolvers send); anything finer is folded, and anything wider
/// than a /8 or /16 names no client.
fn client_prefix(prefix: IpNet) -> Option<IpNet> {
    let (least, most) = match prefix {
        IpNet::V4(_) => (8, 24),
        IpNet::V6(_) => (16, 56),
    };
    if prefix.prefix_len() < least {
        return None;
    }
    let length = prefix.prefix_len().min(most);
    IpNet::new(prefix.addr(), length).ok().map(|prefix| prefix.trunc())
}

fn readiness_moved(was: &BTreeMap<BackendRef, u32>, now: &BTreeMap<BackendRef, u32>) -> bool {
    let ready = |map: &BTreeMap<BackendRef, u32>, backend: &BackendRef| {
        map.get(backend).is_some_and(|&ready| ready > 0)
    };
    was.keys().chain(now.keys()).any(|backend| ready(was, backend) != ready(now, backend))
}

fn rate_rps(last: &Last, report: &SiteReport, now_ms: u64) -> Option<u32> {
    let elapsed_ms = now_ms.checked_sub(last.received_ms).filter(|&ms| ms > 0)?;
    let requests = report.load.requests_total.checked_sub(last.load.requests_total)?;
    u32::try_from(requests.saturating_mul(1000) / elapsed_ms).ok()
}

#[cfg(test)]
mod tests;
