//! What is spoken to backends, and how often: HTTP/2, WebSocket, retries, changes for one backend.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::http_route::attach;
use super::stage::{HTTP, Stage};
use super::world::eventually;
use super::{client, echo, http2};

#[test]
fn http_route_backend_protocol_h2c() {
    let stage = Stage::new("h2c");
    stage.speaking("two", "kubernetes.io/h2c", http2::start("two"));
    attach(&stage, "h2c", "same", "\n  rules: [{backendRefs: [{name: two, port: 8080}]}]");
    let to = stage.address("same", HTTP);
    eventually("h2c", || {
        for _ in 0..3 {
            let answer = http2::get(to, &format!("{to}/"))?;
            let fits = answer.code == 200
                && answer.asked["backend"] == "two"
                && answer.asked["version"] == "HTTP/2.0";
            if !fits {
                return Err(format!("{answer:?}"));
            }
        }
        Ok(())
    });
    // HTTP/1.1 towards the client changes nothing of it.
    stage.answers("same", &[("a.test/", "200 two")]);
}

#[test]
fn http_route_backend_protocol_web_socket() {
    let stage = Stage::new("websocket");
    stage.speaking("socket", "kubernetes.io/ws", echo::start_websocket());
    attach(&stage, "ws", "same", "\n  rules: [{backendRefs: [{name: socket, port: 8080}]}]");
    let to = stage.address("same", HTTP);
    eventually("websocket", || {
        for _ in 0..3 {
            talk(to).map_err(|error| error.to_string())?;
        }
        Ok(())
    });
}

/// Opens a WebSocket, and gets a text frame and a binary one back.
fn talk(to: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: ws://gateway/test\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        stream.read_exact(&mut octet)?;
        answer.extend(octet);
    }
    if !answer.starts_with(b"HTTP/1.1 101 ") {
        return Err(std::io::Error::other(String::from_utf8_lossy(&answer).into_owned()));
    }
    for (kind, message) in [(0x81, &b"Support for WebSocket!"[..]), (0x82, &[1, 2, 3, 4, 5, 6, 7])]
    {
        let length = u8::try_from(message.len()).expect("short");
        let mask = [9, 8, 7, 6];
        let masked = message.iter().zip(mask.iter().cycle()).map(|(octet, mask)| octet ^ mask);
        let frame: Vec<u8> = [kind, 0x80 | length].into_iter().chain(mask).chain(masked).collect();
        stream.write_all(&frame)?;
        let mut back = vec![0; 2 + message.len()];
        stream.read_exact(&mut back)?;
        assert_eq!(back, [&[kind, length], message].concat());
    }
    Ok(())
}

/// Every case at the same time, three times in a row each, as upstream does.
#[test]
fn http_route_retry() {
    let stage = Stage::new("retry");
    let rule = |path: &str, codes: &str, attempts: u32| {
        format!(
            "\n  - {{matches: [{{path: {{value: {path}}}}}], retry: {{codes: [{codes}], attempts: {attempts}}}, backendRefs: [{{name: infra-v3, port: 8080}}]}}"
        )
    };
    let all = "500, 502, 503, 504";
    let rules = [rule("/some-3", "500", 3), rule("/all-2", all, 2), rule("/all-0", all, 0)];
    attach(&stage, "retries", "same", &format!("\n  rules:{}", rules.concat()));
    let to = stage.address("same", HTTP);
    let mut cases = vec![
        ("/some-3", 500, 2, 200),
        ("/some-3", 500, 4, 500),
        ("/some-3", 503, 2, 503),
        ("/all-0", 500, 1, 500),
    ];
    for code in [500, 502, 503, 504] {
        cases.extend([("/all-2", code, 1, 200), ("/all-2", code, 3, code)]);
    }
    std::thread::scope(|scope| {
        for (path, code, fails, wanted) in cases {
            scope.spawn(move || {
                for round in 0..3 {
                    let uuid = format!("{to}{path}-{code}-{fails}-{round}");
                    let request = format!("a.test{path}?code={code}&fails={fails}&uuid={uuid}");
                    let reply = client::ask(to, &request).expect("an answer");
                    assert_eq!(reply.brief(), format!("{wanted} infra-v3"), "{request}");
                }
            });
        }
    });
}

#[test]
fn http_route_request_header_modifier_backend_weights() {
    let stage = Stage::new("backend-weights");
    let backend = |name: &str| {
        format!(
            "{{name: {name}, port: 8080, weight: 50, filters: [{{type: RequestHeaderModifier, requestHeaderModifier: {{set: [{{name: Backend, value: {name}}}]}}}}]}}"
        )
    };
    let backends = [backend("infra-v1"), backend("infra-v2")].join(", ");
    attach(&stage, "weights", "same", &format!("\n  rules: [{{backendRefs: [{backends}]}}]"));
    let to = stage.address("same", HTTP);
    Stage::until(
        to,
        "a.test/",
        |reply| {
            if reply.code == 200 { Ok(()) } else { Err(reply.brief()) }
        },
    );
    for _ in 0..100 {
        let reply = client::ask(to, "a.test/").expect("an answer");
        assert_eq!(reply.brief(), format!("200 {}", reply.seen("backend").expect("a header")));
    }
}

#[test]
fn http_route_named_rule() {
    let stage = Stage::new("named");
    attach(
        &stage,
        "named",
        "same",
        "
  rules:
  - {name: named-rule, matches: [{path: {value: /named}}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{path: {value: /unnamed}}], backendRefs: [{name: infra-v2, port: 8080}]}",
    );
    stage.answers("same", &[("a.test/named", "200 infra-v1"), ("a.test/unnamed", "200 infra-v2")]);
}
