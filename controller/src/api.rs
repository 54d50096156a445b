//! The status API on the admin listener: read the state, ask why, drain and undrain.
//!
//! It listens on loopback without a password, so a web page in the operator's browser is the enemy:
//! a request must name a loopback `Host` (DNS rebinding), and one that changes something must carry
//! a JSON content type (which a plain form or image cannot) and no foreign `Origin`.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use ipnet::IpNet;
use model::DnsName;
use model::observe::Client;
use serde::{Deserialize, Serialize};

use crate::handle::{Author, Controller, OrderError, Ordered};
use crate::publication::Have;

/// The largest body: an author and a reason.
const BODY_OCTETS_MAX: usize = 16 << 10;
/// Whom the embedded geo data is from; their licences ask for it to be shown.
const ATTRIBUTIONS: [&str; 3] = [
    "IP geolocation by DB-IP (https://db-ip.com), CC BY 4.0",
    "ip2region (https://github.com/lionsoul2014/ip2region), Apache-2.0",
    "origin ASNs from public route views",
];

/// The API's routes; the binary merges them into its admin listener.
pub fn router(controller: Arc<Controller>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/explain", get(explain))
        .route("/v1/latency", get(latency))
        .route("/v1/audit", get(audit))
        .route("/v1/about", get(about))
        .route("/v1/sites/{name}/drain", post(drain))
        .route("/v1/sites/{name}/undrain", post(undrain))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .layer(DefaultBodyLimit::max(BODY_OCTETS_MAX))
        .layer(middleware::from_fn(guard_browser))
        .with_state(controller)
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
    if !host(request.uri(), headers).is_some_and(is_loopback_authority) {
        return refuse(StatusCode::MISDIRECTED_REQUEST, "the `Host` is not a loopback name");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let json = text(header::CONTENT_TYPE).is_some_and(|kind| {
            kind.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .eq_ignore_ascii_case("application/json")
        });
        if !json {
            let wanted = "a change needs `content-type: application/json`";
            return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, wanted);
        }
        if headers.contains_key(header::ORIGIN)
            && !text(header::ORIGIN).is_some_and(is_loopback_origin)
        {
            return refuse(StatusCode::FORBIDDEN, "the `Origin` is not this API's own");
        }
    }
    next.run(request).await
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next().and_then(|host| host.to_str().ok());
    // Two Host headers are nobody's honest request (RFC 9112, section 3.2).
    if named.next().is_some() { None } else { first.or_else(|| Some(uri.authority()?.as_str())) }
}

/// `127.0.0.1:9900`, `[::1]:9900`, `localhost`, with or without a port.
fn is_loopback_authority(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|octet| octet.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let loopback = |ip: IpAddr| ip.is_loopback();
    bare.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(loopback)
}

fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(is_loopback_authority)
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

fn audit_records() -> usize {
    100
}

async fn audit(
    State(controller): State<Arc<Controller>>,
    Query(query): Query<AuditQuery>,
) -> Response {
    let records_max = query.records.min(1000);
    let read = tokio::task::spawn_blocking(move || controller.audit(records_max)).await;
    match read {
        Ok(Ok(records)) => Json(records).into_response(),
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the store failed"),
    }
}

#[derive(Debug, Serialize)]
struct About {
    name: &'static str,
    version: &'static str,
    attributions: [&'static str; 3],
}

async fn about() -> Json<About> {
    let version = env!("CARGO_PKG_VERSION");
    Json(About { name: "nearside", version, attributions: ATTRIBUTIONS })
}

#[derive(Debug, Deserialize)]
struct ExplainQuery {
    name: String,
    client: Option<IpAddr>,
    ecs: Option<IpNet>,
}

async fn explain(
    State(controller): State<Arc<Controller>>,
    Query(query): Query<ExplainQuery>,
) -> Response {
    let Ok(name) = DnsName::parse(&query.name) else {
        return refuse(StatusCode::BAD_REQUEST, "`name` is not a domain name");
    };
    let client = match (query.ecs, query.client) {
        (Some(ecs), _) => Client { ip: ecs.trunc().addr(), source_len: Some(ecs.prefix_len()) },
        (None, Some(ip)) => Client { ip, source_len: None },
        (None, None) => return refuse(StatusCode::BAD_REQUEST, "`client` or `ecs` is missing"),
    };
    match controller.explain(&name, client) {
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
        Err(error @ OrderError::UnknownSite(_)) => refuse(StatusCode::NOT_FOUND, &error),
        Err(error @ OrderError::Guard(_)) => refuse(StatusCode::CONFLICT, &error),
        Err(error @ OrderError::Text(_)) => refuse(StatusCode::BAD_REQUEST, &error),
        Err(error @ OrderError::Stopped) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error),
        Err(error @ OrderError::Store(_)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

#[cfg(test)]
mod tests;
