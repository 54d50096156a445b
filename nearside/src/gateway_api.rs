//! What the admin listener says of this process's gateways. It reads and changes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use l7lb::{GatewaySummary, Insight, Question};
use serde_json::{Value, json};

use crate::gateways::{Board, PutAside};

/// Headers of one question.
const HEADERS_MAX: usize = 64;

/// The routes.
pub(crate) fn router(board: Arc<Board>) -> Router {
    Router::new()
        .route("/v1/gateways", get(all))
        .route("/v1/gateways/{site}", get(one))
        .route("/v1/routes/explain", get(explain))
        .with_state(board)
}

/// What a question came with.
#[derive(Debug, Default)]
struct Asked {
    request: String,
    headers: Vec<String>,
    client: Option<IpAddr>,
    site: Option<String>,
}

impl Asked {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, String> {
        let mut asked = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                "request" => asked.request = value,
                "header" if asked.headers.len() < HEADERS_MAX => asked.headers.push(value),
                "header" => return Err(format!("more than {HEADERS_MAX} headers")),
                "client" => {
                    let ip = value.parse().map_err(|_| format!("`{value}` is not an address"))?;
                    asked.client = Some(ip);
                }
                "site" => asked.site = Some(value),
                _ => return Err(format!("`{key}` is not a parameter here")),
            }
        }
        Ok(asked)
    }
}

async fn all(State(board): State<Arc<Board>>) -> Response {
    let gateways: Vec<GatewaySummary> = board.all().iter().map(Insight::summary).collect();
    let put_aside = board.put_aside();
    let put_aside = put_aside.iter().map(|PutAside { kind, object, generation, message }| {
        json!({"kind": kind, "object": object, "generation": generation, "message": message})
    });
    let put_aside: Vec<Value> = put_aside.collect();
    let refused = board.refused();
    Json(json!({"gateways": gateways, "put_aside": put_aside, "refused": refused.as_deref()}))
        .into_response()
}

async fn one(State(board): State<Arc<Board>>, UrlPath(site): UrlPath<String>) -> Response {
    match choose(&board.all(), Some(&site)) {
        Ok(gateway) => Json(gateway.dump()).into_response(),
        Err((status, error)) => refuse(status, &error),
    }
}

async fn explain(
    State(board): State<Arc<Board>>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let asked = match Asked::read(pairs) {
        Ok(asked) => asked,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let question = match Question::parse(&asked.request, &asked.headers, asked.client) {
        Ok(question) => question,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let gateways = board.all();
    match choose(&gateways, asked.site.as_deref()) {
        Ok(gateway) => Json(gateway.explain(&question)).into_response(),
        Err((status, error)) => refuse(status, &error),
    }
}

/// The gateway of a site, or the only one.
fn choose<'g>(
    gateways: &'g [Insight],
    site: Option<&str>,
) -> Result<&'g Insight, (StatusCode, String)> {
    let names: Vec<&str> = gateways.iter().map(|one| one.site().as_str()).collect();
    let known = names.join(", ");
    match (site, gateways) {
        (_, []) => Err((StatusCode::NOT_FOUND, "this process runs no gateway".to_owned())),
        (Some(name), _) => {
            let found = gateways.iter().find(|one| one.site().as_str() == name);
            let none = || format!("no gateway of site `{name}` here\n  help: there are {known}");
            found.ok_or_else(|| (StatusCode::NOT_FOUND, none()))
        }
        (None, [only]) => Ok(only),
        (None, _) => {
            let error = format!(
                "whose gateway is asked is missing\n  help: name it with --site; there are {known}"
            );
            Err((StatusCode::BAD_REQUEST, error))
        }
    }
}

fn refuse(status: StatusCode, error: &str) -> Response {
    (status, Json(json!({ "error": error }))).into_response()
}
