//! A small HTTP/1.1 origin, with or without TLS, that says its name and repeats the request it saw.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A running origin; dropped, it is gone with all its connections.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    books: Arc<Books>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Books {
    hits: AtomicUsize,
    connections: AtomicUsize,
    odd: Mutex<Vec<String>>,
    /// How often each `/fail/...` was asked for.
    failed: Mutex<HashMap<String, usize>>,
    /// Requests as they came: head and body.
    seen: Mutex<Vec<String>>,
}

impl Origin {
    /// On a port of its own.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_on(name, "127.0.0.1:0".parse().unwrap()).await
    }

    /// With TLS.
    pub(crate) async fn start_tls(name: &str, config: rustls::ServerConfig) -> Self {
        let tls = Some(TlsAcceptor::from(Arc::new(config)));
        Self::start_with(name, "127.0.0.1:0".parse().unwrap(), tls).await
    }

    /// On this address (to come back after a death).
    pub(crate) async fn start_on(name: &str, address: SocketAddr) -> Self {
        Self::start_with(name, address, None).await
    }

    async fn start_with(name: &str, address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Books::default());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(accept((listener, tls), name.to_owned(), books.clone(), stopped));
        Self { address, books, stop, task }
    }

    /// Requests seen.
    pub(crate) fn hits(&self) -> usize {
        self.books.hits.load(Ordering::SeqCst)
    }

    /// Heads seen that two servers could read differently.
    pub(crate) fn odd(&self) -> Vec<String> {
        self.books.odd.lock().unwrap().clone()
    }

    /// Connections accepted.
    pub(crate) fn connections(&self) -> usize {
        self.books.connections.load(Ordering::SeqCst)
    }

    /// Waits until so many requests came, and returns them in lower case.
    pub(crate) async fn wait(&self, count: usize) -> Vec<String> {
        for _ in 0..1000 {
            let seen = self.books.seen.lock().unwrap().clone();
            if seen.len() >= count {
                return seen.iter().map(|request| request.to_ascii_lowercase()).collect();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("only {:#?}", self.books.seen.lock().unwrap());
    }

    /// Dies: the port refuses, open connections break.
    pub(crate) async fn die(self) -> SocketAddr {
        self.stop.send_replace(true);
        let address = self.address;
        let _ = self.task.await;
        address
    }
}

async fn accept(
    (listener, tls): (TcpListener, Option<TlsAcceptor>),
    name: String,
    books: Arc<Books>,
    stopped: watch::Receiver<bool>,
) {
    let mut stop = stopped.clone();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        books.connections.fetch_add(1, Ordering::SeqCst);
        let (name, books, mut stop) = (name.clone(), books.clone(), stopped.clone());
        let tls = tls.clone();
        let served = async move {
            match tls {
                None => serve(socket, &name, &books).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        serve(stream, &name, &books).await;
                    }
                }
            }
        };
        tokio::spawn(async move {
            tokio::select! {
                () = served => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
}

/// `/fail/STATUS/TIMES/ID` answers with the status so many times.
fn fails(path: &str, books: &Books) -> Option<String> {
    let mut parts = path.strip_prefix("/fail/")?.split('/');
    let (status, times) = (parts.next()?, parts.next()?.parse::<usize>().ok()?);
    let mut failed = books.failed.lock().unwrap();
    let count = failed.entry(path.to_owned()).or_default();
    *count += 1;
    (*count <= times).then(|| format!("{status} Failed"))
}

/// Whether servers could disagree about this head.
fn is_odd(head: &str) -> bool {
    let count = |name: &str| {
        let names = head.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name);
        names.filter(|found| found.eq_ignore_ascii_case(name)).count()
    };
    let bare = head.split_inclusive('\n').any(|line| !line.ends_with("\r\n"));
    let line = head.lines().next().unwrap_or_default();
    bare || head.replace("\r\n", "").contains(['\r', '\0'])
        || line.split(' ').count() != 3
        || count("host") != 1
        || count("content-length") + count("transfer-encoding") > 1
        || head
            .lines()
            .skip(1)
            .any(|line| line.split(':').next().is_some_and(|n| n.contains([' ', '\t'])))
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, name: &str, books: &Books) {
    let mut held = Vec::new();
    loop {
        let Some(end) = read_until_empty_line(&mut socket, &mut held).await else { return };
        let head = String::from_utf8_lossy(&held[..end]).into_owned();
        held.drain(..end);
        books.hits.fetch_add(1, Ordering::SeqCst);
        if is_odd(&head) {
            books.odd.lock().unwrap().push(head.clone());
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let header = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        if header("upgrade").is_some() {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
            socket.write_all(answer.as_bytes()).await.ok();
            return echo(socket, held).await;
        }
        let body: Vec<u8> = if header("transfer-encoding").is_some() {
            let Some(body) = read_chunked(&mut socket, &mut held).await else { return };
            body
        } else {
            let length = header("content-length").map_or(0, |text| text.parse().unwrap());
            while held.len() < length {
                if socket.read_buf(&mut held).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            held.drain(..length).collect()
        };
        books.seen.lock().unwrap().push(format!("{head}{}", String::from_utf8_lossy(&body)));
        let (route, query) = path.split_once('?').unwrap_or((&path, ""));
        let ms = query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let failed = fails(route, books);
        let (status, extra) = match (route, &failed) {
            ("/drop", _) => return,
            ("/503", _) => ("503 Service Unavailable", ""),
            (_, Some(status)) => (status.as_str(), ""),
            _ => ("200 OK", "x-origin: yes\r\nx-drop: me\r\n"),
        };
        let text = format!("{name}\n{head}{}", String::from_utf8_lossy(&body));
        let no_body = head.starts_with("HEAD ");
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{extra}\r\n{}",
            text.len(),
            if no_body { "" } else { &text },
        );
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S, held: Vec<u8>) {
    if socket.write_all(&held).await.is_err() {
        return;
    }
    let (mut from, mut to) = tokio::io::split(socket);
    tokio::io::copy(&mut from, &mut to).await.ok();
}

async fn read_until_empty_line<S: AsyncRead + Unpin>(
    socket: &mut S,
    held: &mut Vec<u8>,
) -> Option<usize> {
    loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if socket.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

async fn read_chunked<S: AsyncRead + Unpin>(socket: &mut S, held: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = loop {
            if let Some(at) = held.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            if socket.read_buf(held).await.ok()? == 0 {
                return None;
            }
        };
        let size = usize::from_str_radix(std::str::from_utf8(&held[..line]).ok()?, 16).ok()?;
        held.drain(..line + 2);
        while held.len() < size + 2 {
            if socket.read_buf(held).await.ok()? == 0 {
                return None;
            }
        }
        body.extend(held.drain(..size));
        held.drain(..2);
        if size == 0 {
            return Some(body);
        }
    }
}
