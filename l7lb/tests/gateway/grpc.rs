//! gRPC: HTTP/2 to backends whatever their Service says, trailers, and errors a client understands.

use tokio::net::{TcpListener, TcpStream};

use crate::client::Http2;
use crate::world::{config, routed, rule, start};

/// A gRPC server that echoes a message's octets and tells of the request's trailers in its own.
async fn server() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await?;
                while let Some(request) = connection.accept().await {
                    let (request, respond) = request?;
                    tokio::spawn(answer(request, respond));
                }
                Ok::<(), h2::Error>(())
            });
        }
    });
    address
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
) -> Result<(), h2::Error> {
    let head = http::Response::builder().header("content-type", "application/grpc");
    let mut sending = respond.send_response(head.body(()).unwrap(), false)?;
    let mut body = request.into_body();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        sending.send_data(piece, false)?;
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let came = trailers.get("x-from-client").cloned();
    let mut own = http::HeaderMap::new();
    own.insert("grpc-status", "0".parse().unwrap());
    own.insert("x-came", came.unwrap_or_else(|| "none".parse().unwrap()));
    sending.send_trailers(own)
}

const GRPC: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

#[tokio::test(flavor = "multi_thread")]
async fn a_call_reaches_a_plain_service_over_http_2_and_trailers_come_back() {
    let services = [("calls", server().await)];
    let world = start(config(), &routed(&services, vec![rule("/", "calls", vec![])]));
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    let response = client.request("POST", "http://a/pkg.Service/Method", &GRPC).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.header("trailer:grpc-status"), Some("0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_flow_both_ways_while_the_call_is_open() {
    let services = [("calls", server().await)];
    let world = start(config(), &routed(&services, vec![rule("/", "calls", vec![])]));
    let socket = TcpStream::connect(world.http).await.unwrap();
    let (mut client, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a/pkg.Service/Chat")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let (response, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
    sending.send_data(bytes::Bytes::from_static(b"one"), false).unwrap();
    let mut body = response.await.unwrap().into_body();
    // The answer to the first message is here before the second is sent.
    assert_eq!(body.data().await.unwrap().unwrap(), "one");
    sending.send_data(bytes::Bytes::from_static(b"two"), false).unwrap();
    assert_eq!(body.data().await.unwrap().unwrap(), "two");
    sending.send_data(bytes::Bytes::new(), true).unwrap();
    while let Some(rest) = body.data().await {
        assert_eq!(rest.unwrap(), "");
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_the_gateway_are_trailers_alone() {
    let dead = "127.0.0.1:1".parse().unwrap();
    let rules = vec![rule("/dead", "dead", vec![]), rule("/none", "missing", vec![])];
    let world = start(config(), &routed(&[("dead", dead)], rules));
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    for (path, status, message) in [
        ("/dead", "14", "connect-failed"),
        ("/none", "2", "bad-backend"),
        ("/else", "12", "no-route"),
    ] {
        let response = client.request("POST", &format!("http://a{path}"), &GRPC).await.unwrap();
        assert_eq!((response.status, response.body.as_str()), (200, ""), "{path}");
        assert_eq!(response.header("content-type"), Some("application/grpc"));
        assert_eq!(response.header("grpc-status"), Some(status), "{path}");
        assert_eq!(response.header("grpc-message"), Some(message));
    }
    let reasons = world.log.reasons(3).await;
    assert_eq!(reasons, ["bad-backend", "connect-failed", "no-route"]);
}
