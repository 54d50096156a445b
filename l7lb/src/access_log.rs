//! The access log: one JSON object a line, written by a thread of its own.
//!
//! A request never waits for the log: lines go into a bounded queue, and what does not fit is
//! counted and dropped. The query is left out, because tokens travel in queries.

use std::fmt::Write as _;
use std::io::{self, BufWriter};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;

/// Lines waiting for the writer; about a second of a busy site.
const LINES_MAX: usize = 16 * 1024;

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
    pub(crate) time: String,
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
    pub(crate) trace: Option<String>,
}

/// The sending side.
#[derive(Debug)]
pub(crate) struct LogSink {
    lines: Option<SyncSender<Vec<u8>>>,
    dropped: AtomicU64,
}

impl LogSink {
    /// Starts the writer; the handle ends when the sink is dropped and every line is written.
    pub(crate) fn start(log: AccessLog) -> io::Result<(Self, Option<JoinHandle<()>>)> {
        let AccessLog::To(writer) = log else {
            return Ok((Self { lines: None, dropped: AtomicU64::new(0) }, None));
        };
        let (sender, receiver) = sync_channel(LINES_MAX);
        let thread = std::thread::Builder::new().name("access-log".into());
        let handle = thread.spawn(move || write_lines(&receiver, writer))?;
        Ok((Self { lines: Some(sender), dropped: AtomicU64::new(0) }, Some(handle)))
    }

    /// Whether lines are wanted at all.
    pub(crate) fn is_on(&self) -> bool {
        self.lines.is_some()
    }

    /// Queues a line.
    pub(crate) fn write(&self, record: &Record<'_>) {
        let Some(lines) = &self.lines else { return };
        let Ok(mut line) = serde_json::to_vec(record) else { return };
        line.push(b'\n');
        if lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Lines that did not fit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

fn write_lines(lines: &Receiver<Vec<u8>>, writer: Box<dyn io::Write + Send>) {
    let mut writer = BufWriter::with_capacity(64 * 1024, writer);
    let mut failed = false;
    while let Ok(first) = lines.recv() {
        // All that is here goes out in one write; then wait again.
        let batch = std::iter::once(first).chain(std::iter::from_fn(|| lines.try_recv().ok()));
        let mut result = Ok(());
        for line in batch {
            result = result.and_then(|()| io::Write::write_all(&mut writer, &line));
        }
        let result = result.and_then(|()| io::Write::flush(&mut writer));
        if let (Err(error), false) = (&result, failed) {
            tracing::error!(%error, "the access log cannot be written");
        }
        failed = result.is_err();
    }
}

/// Wall time as RFC 3339 with milliseconds.
pub(crate) fn rfc3339(since_epoch: Duration) -> String {
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
    let mut text = String::with_capacity(24);
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60,
        since_epoch.subsec_millis(),
    );
    text
}

#[cfg(test)]
mod tests;
