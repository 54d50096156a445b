//! The controller's end of the HTTP courier: snapshots out by long poll, reports in by post.
//!
//! `GET /v1/courier/snapshot?policy=E.C&map=E.C&health=E.C&waitMs=N` answers 200 with the channels
//! that are newer, or 204 when there is no news in time. The body is, per channel, one octet (its
//! number), eight octets of length (little endian) and the frame as it lies on disk.
//! `POST /v1/courier/report` takes a `SiteReport` as JSON. Rule: without the token (where one is
//! set) nothing is told, not even that a path exists.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::{Body as _, Frame};
use model::observe::SiteReport;
use serde::Deserialize;
use steering::Generation;
use tokio::time::timeout;
use tracing::warn;

use crate::courier::local::LocalCourier;
use crate::courier::{Courier, Token};
use crate::publication::{Channel, Have, Offer};

/// The largest report: 4,096 cells and 16,384 backends are under 4 MiB of JSON.
pub const REPORT_OCTETS_MAX: usize = 4 << 20;
/// The longest a poll is held open.
pub const WAIT_MAX: Duration = Duration::from_secs(30);
/// A report of the largest size over a 4 Mbit/s link takes under 10 s.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// Channel, then length.
pub(crate) const PART_HEAD_OCTETS: usize = 1 + 8;

/// The courier's endpoints; merge them into the listener that nodes reach.
pub fn router(courier: LocalCourier, token: Option<Token>) -> Router {
    Router::new()
        .route("/v1/courier/snapshot", get(snapshot))
        .route("/v1/courier/report", post(report))
        .layer(middleware::from_fn_with_state(token, authorise))
        .with_state(courier)
}

async fn authorise(State(token): State<Option<Token>>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let fine =
        token.is_none_or(|token| header.is_some_and(|header| token.matches(header.as_bytes())));
    if fine { next.run(request).await } else { StatusCode::UNAUTHORIZED.into_response() }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotQuery {
    #[serde(default)]
    policy: String,
    #[serde(default)]
    map: String,
    #[serde(default)]
    health: String,
    #[serde(default)]
    wait_ms: u64,
}

async fn snapshot(
    State(courier): State<LocalCourier>,
    Query(poll): Query<SnapshotQuery>,
) -> Response {
    let parsed = [&poll.policy, &poll.map, &poll.health].map(|text| parse_generation(text));
    let [Some(policy), Some(map), Some(health)] = parsed else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let have = Have { policy, map, health };
    if courier.published().is_some_and(|published| !published.reaches(&have)) {
        warn!(
            ?have,
            "a node is ahead of this controller; help: raise the epoch if its store was lost"
        );
    }
    let wait = Duration::from_millis(poll.wait_ms).min(WAIT_MAX);
    match courier.fetch(have, wait).await {
        Ok(offer) if offer.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Ok(offer) => Body::new(Parts::of(&offer)).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn report(State(courier): State<LocalCourier>, request: Request) -> StatusCode {
    let announced = request.body().size_hint().lower();
    if announced > REPORT_OCTETS_MAX as u64 {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    let body = axum::body::to_bytes(request.into_body(), REPORT_OCTETS_MAX);
    let body = match timeout(BODY_WITHIN, body).await {
        Ok(Ok(body)) => body,
        // Chunked and too long, or broken off.
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE,
        Err(_) => return StatusCode::REQUEST_TIMEOUT,
    };
    match serde_json::from_slice::<SiteReport>(&body) {
        Err(_) => StatusCode::BAD_REQUEST,
        Ok(report) => match courier.try_report(report) {
            Ok(()) => StatusCode::ACCEPTED,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        },
    }
}

/// `E.C`; nothing is the first of all.
fn parse_generation(text: &str) -> Option<Generation> {
    if text.is_empty() {
        return Some(Generation::default());
    }
    let (epoch, counter) = text.split_once('.')?;
    Some(Generation { epoch: epoch.parse().ok()?, counter: counter.parse().ok()? })
}

/// The frames of an offer as a body, without copying them.
struct Parts {
    chunks: VecDeque<Bytes>,
}

impl Parts {
    fn of(offer: &Offer) -> Self {
        let Offer { policy, map, health } = offer;
        let frames = [
            (Channel::Policy, policy.as_ref().map(|part| &part.frame)),
            (Channel::Map, map.as_ref().map(|part| &part.frame)),
            (Channel::Health, health.as_ref().map(|part| &part.frame)),
        ];
        let mut chunks = VecDeque::new();
        for (channel, frame) in frames {
            let Some(frame) = frame else { continue };
            let mut head = Vec::with_capacity(PART_HEAD_OCTETS);
            head.push(u8::try_from(channel.index()).unwrap_or(u8::MAX));
            head.extend_from_slice(&(frame.len() as u64).to_le_bytes());
            chunks.push_back(head.into());
            chunks.push_back(frame.clone());
        }
        Self { chunks }
    }
}

impl hyper::body::Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.chunks.pop_front().map(|chunk| Ok(Frame::data(chunk))))
    }
}
