//! A client of a running process's admin API.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// The largest answer taken, in octets.
const ANSWER_OCTETS_MAX: usize = 64 << 20;
/// A loopback API that takes longer is stuck.
const DEADLINE: Duration = Duration::from_secs(10);

/// An answer: the status and the JSON body.
pub(crate) type Answer = (StatusCode, serde_json::Value);

/// Sends one request; the path begins with `/`.
pub(crate) async fn call(
    admin: SocketAddr,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<Answer> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = Request::builder()
        .method(method)
        .uri(format!("http://{admin}{path}"))
        .header("content-type", "application/json")
        .body(Full::new(body))?;
    let exchange = async {
        let response = client.request(request).await.map_err(anyhow::Error::from)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_OCTETS_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        Ok((status, body))
    };
    let outcome: anyhow::Result<(StatusCode, Bytes)> = tokio::time::timeout(DEADLINE, exchange)
        .await
        .unwrap_or_else(|_| bail!("no answer in 10 s"));
    let (status, body) = outcome.with_context(|| {
        format!(
            "cannot reach a running nearside at `{admin}`\n  help: start one with `nearside run DIR`, \
             or point --admin at it"
        )
    })?;
    let value = serde_json::from_slice(&body)
        .unwrap_or_else(|_| serde_json::Value::from(String::from_utf8_lossy(&body).into_owned()));
    Ok((status, value))
}

/// The `error` field of a refusal, or the whole body.
pub(crate) fn refusal(value: &serde_json::Value) -> String {
    value.get("error").and_then(|error| error.as_str()).map_or_else(
        || value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned),
        ToOwned::to_owned,
    )
}

/// Percent-encodes a query value (RFC 3986, section 2.3).
pub(crate) fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet));
            }
            _ => out.push_str(&format!("%{octet:02X}")),
        }
    }
    out
}
