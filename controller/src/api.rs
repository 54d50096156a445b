//! The status API on the admin listener: read the state, ask why, drain and undrain.
//!
//! It listens on loopback without a password, so a web page in the operator's browser is the enemy:
//! a request's `Host` must be an address or `localhost` (a rebound name is neither), and one that
//! changes something must carry a JSON content type (which a plain form or image cannot) and no
//! `Origin` but its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ipnet::IpNet;
use model::DnsName;
use model::observe::Client;
use serde::{Deserialize, Serialize};
use steering::whereabouts::Claim;
use tokio::time::timeout;

use crate::handle::{Attribution, Author, Controller, OrderError, Ordered};
use crate::publication::Have;

/// The largest body: an author and a reason.
const BODY_OCTETS_MAX: usize = 16 << 10;
/// Everything here is answered in milliseconds; only a body that never comes takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// The API's routes; the binary merges them into its admin listener.
pub fn router(controller: Arc<Controller>) -> Router {
    let api = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/explain", get(explain))
        .route("/v1/latency", get(latency))
        .route("/v1/audit", get(audit))
        .route("/v1/about", get(about))
        .route("/v1/sites/{name}/drain", post(drain))
        .route("/v1/sites/{name}/undrain", post(undrain))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(controller);
    guarded(api)
}

/// The same routes, out of reach for web pages.
pub fn guarded(api: Router) -> Router {
    api.layer(DefaultBodyLimit::max(BODY_OCTETS_MAX)).layer(middleware::from_fn(guard_browser))
}

/// An error as the API tells it.
#[derive(Debug, Serialize)]
struct ApiError {
    error: String,
}

fn refuse(status: StatusCode, error: &(impl ToString + ?Sized)) -> Response {
    (status, Json(ApiError { error: error.to_string() })).into_response()
}

async fn guard_browser(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let Some(host) = host(request.uri(), headers).filter(|host| is_address(host)) else {
        let wanted = "the `Host` is neither an address nor `localhost`";
        return refuse(StatusCode::MISDIRECTED_REQUEST, wanted);
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        if !is_json(headers) {
            let wanted = "a change needs `content-type: application/json`";
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted);
        }
        let own = |origin: &HeaderValue| {
            let origin = origin.to_str().unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, authority)| authority == host)
        };
        if !headers.get_all(header::ORIGIN).iter().all(own) {
            return refuse(StatusCode::FORBIDDEN, "the `Origin` is not this API's own");
        }
    }
    match timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => refuse(StatusCode::REQUEST_TIMEOUT, "the request was not complete in time"),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next().and_then(|host| host.to_str().ok());
    // Two Host headers are nobody's honest request (RFC 9112, section 3.2).
    if named.next().is_some() { None } else { first.or_else(|| Some(uri.authority()?.as_str())) }
}

/// `127.0.0.1:9900`, `[::1]:9900`, `localhost`, with or without a port.
fn is_address(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

async fn status(State(controller): State<Arc<Controller>>) -> Response {
    match controller.status().await {
        Some(status) => Json(status).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the controller has stopped"),
    }
}

async fn latency(State(controller): State<Arc<Controller>>) -> Response {
    match controller.status().await {
        Some(status) => Json(status.latency).into_response(),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE, "the controller has stopped"),
    }
}

async fn ready(State(controller): State<Arc<Controller>>) -> Response {
    if *controller.served().borrow() == Have::default() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no snapshot yet\n").into_response();
    }
    "ready\n".into_response()
}

#[derive(Debug, Deserialize)]
struct AuditQuery {
    #[serde(default = "audit_records")]
    records: usize,
}

/// The most audit records one answer shows.
const AUDIT_RECORDS_SHOWN_MAX: usize = 1000;

fn audit_records() -> usize {
    100
}

async fn audit(
    State(controller): State<Arc<Controller>>,
    Query(query): Query<AuditQuery>,
) -> Response {
    match controller.audit(query.records.min(AUDIT_RECORDS_SHOWN_MAX)).await {
        Ok(records) => Json(records).into_response(),
        Err(error) => order_error(&error),
    }
}

#[derive(Debug, Serialize)]
struct About<'a> {
    name: &'static str,
    version: &'static str,
    attributions: &'a [Attribution],
}

async fn about(State(controller): State<Arc<Controller>>) -> Response {
    let attributions = controller.attributions();
    let version = env!("CARGO_PKG_VERSION");
    Json(About { name: "nearside", version, attributions }).into_response()
}

#[derive(Debug, Deserialize)]
struct ExplainQuery {
    name: String,
    client: Option<IpAddr>,
    ecs: Option<IpNet>,
    /// What else there is: a place, in parts.
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

async fn explain(
    State(controller): State<Arc<Controller>>,
    Query(mut query): Query<ExplainQuery>,
) -> Response {
    let Ok(name) = DnsName::parse(&query.name) else {
        return refuse(StatusCode::BAD_REQUEST, "`name` is not a domain name");
    };
    let claim = match Claim::read(|key| query.rest.remove(key)) {
        Ok(claim) => claim,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    if let Some(claim) = claim {
        let caller = query.client.or_else(|| query.ecs.map(|ecs| ecs.addr()));
        return explain_at(&controller, &name, &claim, caller);
    }
    let client = match (query.ecs, query.client) {
        // A subnet of no bits hides the client: the resolver's own address is looked up, as on the wire.
        (Some(ecs), Some(ip)) if ecs.prefix_len() == 0 => Client { ip, source_len: None },
        (Some(ecs), _) => Client { ip: ecs.trunc().addr(), source_len: Some(ecs.prefix_len()) },
        (None, Some(ip)) => Client { ip, source_len: None },
        (None, None) => {
            return refuse(StatusCode::BAD_REQUEST, "`client`, `ecs` or a place is missing");
        }
    };
    match controller.explain(&name, client) {
        Some(explanation) => Json(explanation).into_response(),
        None => refuse(StatusCode::NOT_FOUND, &format!("`{name}` is not a steered name")),
    }
}

/// A client that told its place; whoever it is, if that is told too.
fn explain_at(
    controller: &Controller,
    name: &DnsName,
    claim: &Claim,
    caller: Option<IpAddr>,
) -> Response {
    let place = match controller.whereabouts(claim) {
        Ok(place) => place,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let caller = caller.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match controller.explain_at(name, &place, caller) {
        Some(explanation) => Json(explanation).into_response(),
        None => refuse(StatusCode::NOT_FOUND, &format!("`{name}` is not a steered name")),
    }
}

#[derive(Debug, Deserialize)]
struct OrderBody {
    by: String,
    #[serde(default)]
    reason: String,
}

#[derive(Debug, Serialize)]
struct OrderAnswer {
    site: String,
    drained: bool,
    changed: bool,
    published: Have,
}

async fn drain(
    State(controller): State<Arc<Controller>>,
    Path(site): Path<String>,
    Json(OrderBody { by, reason }): Json<OrderBody>,
) -> Response {
    let ordered = controller.drain(&site, Author { by, reason }).await;
    ordered_answer(site, ordered)
}

async fn undrain(
    State(controller): State<Arc<Controller>>,
    Path(site): Path<String>,
    Json(OrderBody { by, reason }): Json<OrderBody>,
) -> Response {
    let ordered = controller.undrain(&site, Author { by, reason }).await;
    ordered_answer(site, ordered)
}

fn ordered_answer(site: String, ordered: Result<Ordered, OrderError>) -> Response {
    match ordered {
        Ok(Ordered { have, drained, changed }) => {
            Json(OrderAnswer { site, drained, changed, published: have }).into_response()
        }
        Err(error) => order_error(&error),
    }
}

fn order_error(error: &OrderError) -> Response {
    let status = match error {
        OrderError::UnknownSite(_) => StatusCode::NOT_FOUND,
        OrderError::Guard(_) => StatusCode::CONFLICT,
        OrderError::Text(_) => StatusCode::BAD_REQUEST,
        OrderError::Stopped => StatusCode::SERVICE_UNAVAILABLE,
        OrderError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, error)
}

#[cfg(test)]
mod tests;
