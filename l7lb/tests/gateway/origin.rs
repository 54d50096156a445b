//! A small HTTP/1.1 origin that says its name and repeats the request it saw.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running origin; dropped, it is gone with all its connections.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
    odd: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Origin {
    /// On a port of its own.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_on(name, "127.0.0.1:0".parse().unwrap()).await
    }

    /// On this address (to come back after a death).
    pub(crate) async fn start_on(name: &str, address: SocketAddr) -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1024).unwrap();
        let address = listener.local_addr().unwrap();
        let hits = Arc::new(AtomicUsize::new(0));
        let odd = Arc::new(Mutex::default());
        let (stop, stopped) = watch::channel(false);
        let books = (Arc::clone(&hits), Arc::clone(&odd));
        let task = tokio::spawn(accept(listener, name.to_owned(), books, stopped));
        Self { address, hits, odd, stop, task }
    }

    /// Requests seen.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Heads seen that two servers could read differently.
    pub(crate) fn odd(&self) -> Vec<String> {
        self.odd.lock().unwrap().clone()
    }

    /// Dies: the port refuses, open connections break.
    pub(crate) async fn die(self) -> SocketAddr {
        self.stop.send_replace(true);
        let address = self.address;
        let _ = self.task.await;
        address
    }
}

type Books = (Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>);

async fn accept(listener: TcpListener, name: String, books: Books, stopped: watch::Receiver<bool>) {
    let mut stop = stopped.clone();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (name, books, mut stop) = (name.clone(), books.clone(), stopped.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = serve(socket, &name, &books) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }
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

async fn serve(mut socket: TcpStream, name: &str, (hits, odd): &Books) {
    let mut held = Vec::new();
    loop {
        let Some(end) = read_until_empty_line(&mut socket, &mut held).await else { return };
        let head = String::from_utf8_lossy(&held[..end]).into_owned();
        held.drain(..end);
        hits.fetch_add(1, Ordering::SeqCst);
        if is_odd(&head) {
            odd.lock().unwrap().push(head.clone());
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
        let body = if header("transfer-encoding").is_some() {
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
        let (route, query) = path.split_once('?').unwrap_or((&path, ""));
        let ms = query.strip_prefix("ms=").and_then(|ms| ms.parse().ok()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let (status, extra) = match route {
            "/drop" => return,
            "/503" => ("503 Service Unavailable", ""),
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

async fn echo(mut socket: TcpStream, held: Vec<u8>) {
    if socket.write_all(&held).await.is_err() {
        return;
    }
    let (mut from, mut to) = socket.split();
    tokio::io::copy(&mut from, &mut to).await.ok();
}

async fn read_until_empty_line(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if socket.read_buf(held).await.ok()? == 0 {
            return None;
        }
    }
}

async fn read_chunked(socket: &mut TcpStream, held: &mut Vec<u8>) -> Option<Vec<u8>> {
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
