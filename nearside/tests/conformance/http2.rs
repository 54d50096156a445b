//! HTTP/2 with prior knowledge, without TLS: a client and an origin, for gRPC and for h2c.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// An answer takes at most so long.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// gRPC's code for a method that nobody has.
const UNIMPLEMENTED: u32 = 12;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// Of gRPC, as a client in Go reads it.
    pub(crate) grpc: Option<u32>,
    /// What the origin says it was asked.
    pub(crate) asked: Value,
}

impl Answer {
    /// `0 backend` or the code of a failed call.
    pub(crate) fn call(&self) -> String {
        let code = self.grpc.map_or_else(|| "none".to_owned(), |code| code.to_string());
        self.asked["backend"]
            .as_str()
            .map_or_else(|| code.clone(), |backend| format!("{code} {backend}"))
    }
}

/// Makes a gRPC call: `authority/package.Service/Method [name:value]...`.
pub(crate) fn call(to: SocketAddr, request: &str) -> Result<Answer, String> {
    let mut words = request.split(' ');
    let target = words.next().unwrap_or_default();
    let mut head = Request::post(format!("http://{target}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in words.filter_map(|word| word.split_once(':')) {
        head = head.header(name, value);
    }
    // An empty message: not compressed, no octets.
    exchange(to, head.body(()).expect("a request"), Bytes::from_static(&[0; 5]))
}

/// Sends a GET to `authority/path`.
pub(crate) fn get(to: SocketAddr, target: &str) -> Result<Answer, String> {
    exchange(
        to,
        Request::get(format!("http://{target}")).body(()).expect("a request"),
        Bytes::new(),
    )
}

fn exchange(to: SocketAddr, head: Request<()>, body: Bytes) -> Result<Answer, String> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let answer = async {
        let socket = TcpStream::connect(to).await.map_err(|error| error.to_string())?;
        let (mut client, connection) =
            h2::client::handshake(socket).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        ask(&mut client, head, body).await.map_err(|error| error.to_string())
    };
    let limited = async { tokio::time::timeout(ANSWER_MAX, answer).await };
    runtime.block_on(limited).unwrap_or_else(|_| Err(format!("{to}: no answer in time")))
}

async fn ask(
    client: &mut h2::client::SendRequest<Bytes>,
    head: Request<()>,
    body: Bytes,
) -> Result<Answer, h2::Error> {
    let is_empty = body.is_empty();
    let (response, mut sending) = client.send_request(head, is_empty)?;
    if !is_empty {
        sending.send_data(body, true)?;
    }
    let (head, mut body) = response.await?.into_parts();
    let mut octets = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        octets.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let document = octets.iter().position(|octet| *octet == b'{').unwrap_or_default();
    let asked = octets.get(document..).and_then(|text| serde_json::from_slice(text).ok());
    let code = head.status.as_u16();
    let told = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    let grpc = told(&trailers).or_else(|| told(&head.headers));
    // Without a code of its own a 404 is one of these (gRPC over HTTP/2, HTTP to gRPC codes).
    let grpc = grpc.or_else(|| (code == 404).then_some(UNIMPLEMENTED));
    Ok(Answer { code, grpc, asked: asked.unwrap_or_default() })
}

/// Starts an origin that answers calls and plain requests with what it was asked.
pub(crate) fn start(backend: &str) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it can");
    let port = listener.local_addr().expect("bound").port();
    let backend = backend.to_owned();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).expect("a listener");
            while let Ok((socket, _)) = listener.accept().await {
                let backend = backend.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(socket).await?;
                    while let Some(request) = connection.accept().await {
                        let (request, respond) = request?;
                        tokio::spawn(answer(request, respond, backend.clone()));
                    }
                    Ok::<(), h2::Error>(())
                });
            }
        });
    });
    port
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    backend: String,
) -> Result<(), h2::Error> {
    let (head, mut body) = request.into_parts();
    while let Some(piece) = body.data().await {
        body.flow_control().release_capacity(piece?.len())?;
    }
    let is_call = head.headers.get("content-type").is_some_and(|kind| kind == "application/grpc");
    let document = json!({
        "backend": backend, "method": head.method.as_str(), "path": head.uri.path(),
        "version": format!("{:?}", head.version),
    });
    let document = document.to_string();
    let mut octets = Vec::new();
    let mut response = Response::builder();
    if is_call {
        response = response.header("content-type", "application/grpc");
        octets.push(0);
        octets.extend_from_slice(&u32::try_from(document.len()).unwrap_or_default().to_be_bytes());
    }
    octets.extend_from_slice(document.as_bytes());
    let mut sending = respond.send_response(response.body(()).expect("a head"), false)?;
    sending.send_data(octets.into(), !is_call)?;
    if !is_call {
        return Ok(());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    sending.send_trailers(trailers)
}
