//! The access log's line of a request.

use std::time::Instant;

use http::Version;
use pingora_http::RequestHeader;

use super::walk::Walk;
use crate::access_log::{Record, Stamp};
use crate::clock;
use crate::ledger::Ledger;
use crate::trace::{TRACEPARENT, TraceId};

/// What is logged of a request.
pub(super) fn record<'a>(
    walk: &'a Walk,
    ledger: &'a Ledger,
    request: &'a RequestHeader,
    body_octets: u64,
) -> Record<'a> {
    let came = || TraceId::parse(request.headers.get(TRACEPARENT)?.as_bytes());
    Record {
        time: Stamp::of(clock::wall()),
        site: ledger.site.as_str(),
        client: walk.client,
        method: request.method.as_str(),
        host: &walk.host,
        path: &walk.path,
        scheme: walk.scheme.as_str(),
        protocol: match request.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            _ => "HTTP/1.1",
        },
        status: walk.status,
        body_octets,
        duration_us: duration_us(walk.started),
        backend_us: walk.backend_us,
        route: walk.rule().map(|rule| &*rule.id),
        backend: walk
            .cluster()
            .map(|cluster| format!("{}:{}", cluster.backend.object, cluster.backend.port)),
        endpoint: walk.lease.as_ref().map(|lease| lease.endpoint().address),
        retries: walk.retries,
        reason: walk.reason.code(),
        trace: walk.trace.as_ref().map(|(id, _)| *id).or_else(came),
    }
}

fn duration_us(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}
