//! The access log: one JSON object a line, written by a thread of its own.
//!
//! A request never waits for the log: lines go into bounded memory, and what does not fit is
//! counted and dropped. The writer takes all of a twentieth of a second at once: to wake it for each
//! line cost a request a quarter of its CPU time. The query is left out, because tokens travel in
//! queries.

use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

use crate::trace::TraceId;

/// Octets waiting for the writer; about half a second of a busy site.
const WAITING_OCTETS_MAX: usize = 8 << 20;
/// How long lines are gathered before they are written together.
const GATHERING: Duration = Duration::from_millis(50);
/// A buffer larger than this is not kept for the next lines.
const KEPT_OCTETS_MAX: usize = 256 << 10;

/// Where access log lines go.
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// To this writer, on a thread of its own.
    To(Box<dyn io::Write + Send>),
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::To(_) => "To(..)",
        })
    }
}

/// One request, as logged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Record<'a> {
    /// Wall time of the end, RFC 3339 in UTC.
    pub(crate) time: Stamp,
    /// The site.
    pub(crate) site: &'a str,
    /// The client (behind trusted proxies, the one they name).
    pub(crate) client: IpAddr,
    /// Empty when the head was refused.
    pub(crate) method: &'a str,
    /// As routed.
    pub(crate) host: &'a str,
    /// Without the query.
    pub(crate) path: &'a str,
    /// `http` or `https`.
    pub(crate) scheme: &'a str,
    /// `HTTP/1.1`, ...
    pub(crate) protocol: &'a str,
    /// 0 when the client left before an answer.
    pub(crate) status: u16,
    /// Octets of the response body.
    pub(crate) body_octets: u64,
    /// From the end of the request's head to the end of the response.
    pub(crate) duration_us: u64,
    /// From the choice of the last endpoint, or the end of the request's body, to the response's
    /// head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend_us: Option<u32>,
    /// The rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<&'a str>,
    /// The Service and port it went to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) backend: Option<String>,
    /// The last endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<SocketAddr>,
    /// Attempts after the first.
    pub(crate) retries: u32,
    /// What settled the request.
    pub(crate) reason: &'static str,
    /// The trace id (W3C Trace Context).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceId>,
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct LogSink {
    waiting: Option<Arc<Waiting>>,
    dropped: AtomicU64,
}

/// Lines that wait for the writer.
#[derive(Debug, Default)]
struct Waiting {
    lines: Mutex<Lines>,
    /// The first line came, or the end.
    begun: Condvar,
    /// The end came.
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    octets: Vec<u8>,
    /// No more will come.
    is_over: bool,
}

thread_local! {
    /// Where a line is laid out before it is handed over whole.
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl LogSink {
    /// Starts the writer; the handle ends when the sink is dropped and every line is written.
    pub(crate) fn start(log: AccessLog) -> io::Result<(Self, Option<JoinHandle<()>>)> {
        let AccessLog::To(writer) = log else {
            return Ok((Self { waiting: None, dropped: AtomicU64::new(0) }, None));
        };
        let waiting = Arc::<Waiting>::default();
        let thread = std::thread::Builder::new().name("access-log".into());
        let theirs = Arc::clone(&waiting);
        let handle = thread.spawn(move || write_lines(&theirs, writer))?;
        Ok((Self { waiting: Some(waiting), dropped: AtomicU64::new(0) }, Some(handle)))
    }

    /// Whether lines are wanted at all.
    pub(crate) fn is_on(&self) -> bool {
        self.waiting.is_some()
    }

    /// Hands a line over.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let Some(waiting) = &self.waiting else { return };
        let kept = LINE.with_borrow_mut(|line| {
            line.clear();
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut *line, record);
            line.push(b'\n');
            waiting.take(line)
        });
        if !kept {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that did not fit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        if let Some(waiting) = &self.waiting {
            waiting.lines().is_over = true;
            waiting.begun.notify_one();
            waiting.ended.notify_one();
        }
    }
}

impl Waiting {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a line; whether there was room.
    fn take(&self, line: &[u8]) -> bool {
        let mut lines = self.lines();
        if lines.octets.len() + line.len() > WAITING_OCTETS_MAX {
            return false;
        }
        let is_first = lines.octets.is_empty();
        lines.octets.extend_from_slice(line);
        drop(lines);
        if is_first {
            self.begun.notify_one();
        }
        true
    }

    /// Waits for lines and for those that come soon after them, and swaps them for an empty buffer;
    /// whether more may come.
    fn give(&self, octets: &mut Vec<u8>) -> bool {
        let lines = self.lines();
        let lines = self.begun.wait_while(lines, |lines| lines.octets.is_empty() && !lines.is_over);
        let lines = lines.unwrap_or_else(PoisonError::into_inner);
        let gathered = self.ended.wait_timeout_while(lines, GATHERING, |lines| !lines.is_over);
        let (mut lines, _) = gathered.unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut lines.octets, octets);
        !lines.is_over
    }
}

fn write_lines(waiting: &Waiting, mut writer: Box<dyn io::Write + Send>) {
    let mut octets = Vec::new();
    let mut failed = false;
    let mut more = true;
    while more {
        octets.clear();
        octets.shrink_to(KEPT_OCTETS_MAX);
        more = waiting.give(&mut octets);
        let result = writer.write_all(&octets).and_then(|()| writer.flush());
        if let (Err(error), false) = (&result, failed) {
            tracing::error!(%error, "the access log cannot be written");
        }
        failed = result.is_err();
    }
}

/// Wall time as RFC 3339 with milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp([u8; 24]);

impl Stamp {
    /// Of a time since 1970, until the year 9999.
    pub(crate) fn of(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        // Days to a civil date by eras of 400 years that start in March, so that leap days come last.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let leaps = day_of_era / 1_460 + day_of_era / 146_096 - day_of_era / 36_524;
        let year_of_era = (day_of_era - leaps) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let millis = u64::from(since_epoch.subsec_millis());
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let fields = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, rest / 3_600),
            (14..16, rest / 60 % 60),
            (17..19, rest % 60),
            (20..23, millis),
        ];
        for (place, mut number) in fields {
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + (number % 10).to_le_bytes()[0];
                number /= 10;
            }
        }
        Self(text)
    }

    /// As text.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Stamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
