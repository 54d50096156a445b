//! Clients: raw octets, a keep-alive HTTP/1.1 client, HTTP/2 over anything.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Nothing in these tests takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first line of the body: the origin's name, or our own reason.
    pub(crate) fn first_line(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }
}

/// Sends octets and returns everything until the gateway closes.
pub(crate) async fn raw(address: SocketAddr, octets: &[u8]) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(octets).await.ok();
    let mut answer = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the gateway closes").ok();
    String::from_utf8_lossy(&answer).into_owned()
}

/// One GET on a connection of its own.
pub(crate) async fn get(address: SocketAddr, host: &str, path: &str) -> Response {
    Http1::connect(address).await.get(host, path).await.expect("an answer")
}

/// A keep-alive connection.
pub(crate) struct Http1<S> {
    stream: S,
    held: Vec<u8>,
}

impl Http1<TcpStream> {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Http1<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, held: Vec::new() }
    }

    /// A GET; `None` when the connection ended instead.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Option<Response> {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await
    }

    /// Sends a whole request and reads one response.
    pub(crate) async fn send(&mut self, request: &str) -> Option<Response> {
        self.write(request.as_bytes()).await?;
        self.read(!request.starts_with("HEAD ")).await
    }

    /// Sends octets.
    pub(crate) async fn write(&mut self, octets: &[u8]) -> Option<()> {
        self.stream.write_all(octets).await.ok()?;
        self.stream.flush().await.ok()
    }

    /// Reads one response with a `content-length`.
    pub(crate) async fn read(&mut self, with_body: bool) -> Option<Response> {
        timeout(PATIENCE, self.read_response(with_body)).await.expect("an answer in time")
    }

    async fn read_response(&mut self, with_body: bool) -> Option<Response> {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.held).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
        self.held.drain(..end);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<_> = head.lines().skip(1).filter_map(pair).collect();
        let mut response = Response { status, headers, body: String::new() };
        let length = response.header("content-length").map_or(0, |text| text.parse().unwrap());
        if with_body && status != 101 {
            while self.held.len() < length {
                if self.stream.read_buf(&mut self.held).await.ok()? == 0 {
                    return None;
                }
            }
            let body: Vec<u8> = self.held.drain(..length).collect();
            response.body = String::from_utf8_lossy(&body).into_owned();
        }
        Some(response)
    }

    /// Reads exactly so many octets (after an upgrade).
    pub(crate) async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.held.len() < count {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.held)).await;
            assert_ne!(read.unwrap().unwrap(), 0, "the connection ended");
        }
        self.held.drain(..count).collect()
    }

    /// Whether the other side has closed.
    pub(crate) async fn closed(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.held)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// An HTTP/2 connection.
pub(crate) struct Http2 {
    sender: h2::client::SendRequest<bytes::Bytes>,
}

impl Http2 {
    /// Over an open stream.
    pub(crate) async fn over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        stream: S,
    ) -> Self {
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// One request with these extra headers.
    pub(crate) async fn request(
        &mut self,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, h2::Error> {
        let mut request = http::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender = self.sender.clone().ready().await?;
        let (response, _) = self.sender.send_request(request.body(()).unwrap(), true)?;
        let response = timeout(PATIENCE, response).await.expect("an answer in time")?;
        let (parts, mut stream) = response.into_parts();
        let mut body = Vec::new();
        while let Some(data) = stream.data().await {
            let data = data?;
            stream.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data);
        }
        let trailers = stream.trailers().await?.unwrap_or_default();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let trailers =
            trailers.iter().map(|(name, value)| (format!("trailer:{name}"), text(value)));
        Ok(Response {
            status: parts.status.as_u16(),
            headers: headers.chain(trailers).collect(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}
