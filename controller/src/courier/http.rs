//! The node's end of the HTTP courier: long polls on a kept-alive connection.
//!
//! Plain HTTP, so loopback only unless the operator says otherwise; mutual TLS comes with the gRPC
//! courier. Rule: nothing of an answer is used before all of it has been verified.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use model::observe::SiteReport;
use steering::Generation;

use crate::courier::server::PART_HEAD_OCTETS;
use crate::courier::{Courier, CourierError, Token};
use crate::publication::{Channel, Content, Have, Offer, Part};

/// The largest answer taken: twenty times a full map.
pub const OFFER_OCTETS_MAX: usize = 256 << 20;
/// How long an answer may take beyond the wait asked for. A full map over a weak link needs time.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Where plain HTTP may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// 127.0.0.0/8 and ::1.
    LoopbackOnly,
    /// Anywhere: the operator knows the network to be private.
    Anywhere,
}

/// A controller that is not on this machine.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not on loopback, and this courier does not encrypt; \
    help: run it through a tunnel"
)]
pub struct NotLoopback(SocketAddr);

/// Talks to a controller over HTTP.
#[derive(Debug, Clone)]
pub struct HttpCourier {
    controller: SocketAddr,
    token: Option<Token>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl HttpCourier {
    /// A courier to the controller at this address.
    ///
    /// # Errors
    /// When it is not on loopback and that was not allowed.
    pub fn new(
        controller: SocketAddr,
        token: Option<Token>,
        plaintext: Plaintext,
    ) -> Result<Self, NotLoopback> {
        if plaintext == Plaintext::LoopbackOnly && !controller.ip().to_canonical().is_loopback() {
            return Err(NotLoopback(controller));
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new());
        Ok(Self { controller, token, client: client.build(connector) })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Full<Bytes>,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), CourierError> {
        let unreachable = |error: &dyn std::error::Error| {
            CourierError::Unreachable(
                error.source().map_or_else(|| error.to_string(), ToString::to_string),
            )
        };
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.controller))
            .header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header());
        }
        let request = request.body(body).map_err(|error| unreachable(&error))?;
        let exchange = async {
            let answer = self.client.request(request).await.map_err(|error| unreachable(&error))?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), OFFER_OCTETS_MAX).collect().await;
            let body = body.map_err(|_| CourierError::NotAnOffer)?.to_bytes();
            Ok((status, body))
        };
        match tokio::time::timeout(within, exchange).await {
            Ok(done) => done,
            Err(_) => Err(CourierError::Unreachable("no answer in time".to_owned())),
        }
    }
}

impl Courier for HttpCourier {
    async fn fetch(&self, have: Have, wait: Duration) -> Result<Offer, CourierError> {
        let show = |Generation { epoch, counter }| format!("{epoch}.{counter}");
        let path = format!(
            "/v1/courier/snapshot?policy={}&map={}&health={}&waitMs={}",
            show(have.policy),
            show(have.map),
            show(have.health),
            wait.as_millis()
        );
        let within = wait + ANSWER_WITHIN;
        match self.send(Method::GET, &path, Full::default(), within).await? {
            (StatusCode::NO_CONTENT, _) => Ok(Offer::default()),
            (StatusCode::OK, body) if body.len() > 1 << 20 => {
                // Decoding megabytes takes a while: not on a thread that serves others.
                let decoded = tokio::task::spawn_blocking(move || offer(body)).await;
                decoded.map_err(|_| CourierError::NotAnOffer)?
            }
            (StatusCode::OK, body) => offer(body),
            (status, _) => Err(CourierError::Status(status.as_u16())),
        }
    }

    async fn report(&self, report: SiteReport) -> Result<(), CourierError> {
        let body = serde_json::to_vec(&report).map_err(|_| CourierError::NotAnOffer)?;
        let body = Full::new(Bytes::from(body));
        match self.send(Method::POST, "/v1/courier/report", body, ANSWER_WITHIN).await? {
            (StatusCode::ACCEPTED, _) => Ok(()),
            (StatusCode::SERVICE_UNAVAILABLE, _) => Err(CourierError::Busy),
            (status, _) => Err(CourierError::Status(status.as_u16())),
        }
    }
}

/// Reads the body of a snapshot answer: see [`crate::courier::server`].
fn offer(mut body: Bytes) -> Result<Offer, CourierError> {
    let mut offer = Offer::default();
    while !body.is_empty() {
        if body.len() < PART_HEAD_OCTETS {
            return Err(CourierError::NotAnOffer);
        }
        let head = body.split_to(PART_HEAD_OCTETS);
        let mut length = [0; 8];
        length.copy_from_slice(&head[1..]);
        let length = usize::try_from(u64::from_le_bytes(length));
        let Some(length) = length.ok().filter(|&length| length <= body.len()) else {
            return Err(CourierError::NotAnOffer);
        };
        let frame = body.split_to(length);
        match Channel::ALL.get(usize::from(head[0])) {
            Some(Channel::Policy) => put(&mut offer.policy, frame)?,
            Some(Channel::Map) => put(&mut offer.map, frame)?,
            Some(Channel::Health) => put(&mut offer.health, frame)?,
            None => return Err(CourierError::NotAnOffer),
        }
    }
    Ok(offer)
}

fn put<T: Content>(slot: &mut Option<Part<T>>, frame: Bytes) -> Result<(), CourierError> {
    if slot.is_some() {
        return Err(CourierError::NotAnOffer);
    }
    *slot = Some(Part::decode(frame)?);
    Ok(())
}
