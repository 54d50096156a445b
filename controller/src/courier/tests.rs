use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use model::observe::Verdict;
use steering::Health;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::http::Plaintext;
use super::*;
use crate::fixture;
use crate::publication::Publication;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A controller's end with what it was sent.
struct Site {
    address: SocketAddr,
    publications: watch::Sender<Option<Arc<Publication>>>,
    reports: mpsc::Receiver<SiteReport>,
    server: JoinHandle<()>,
}

async fn serve(at: &str, token: Option<&str>, reports_max: usize) -> Site {
    let (publications, watched) = watch::channel(None);
    let (sender, reports) = mpsc::channel(reports_max);
    let courier = LocalCourier::new(watched, sender);
    let token = token.map(|token| Token::new(token).unwrap());
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = server::router(courier, token);
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Site { address, publications, reports, server }
}

fn client(address: SocketAddr, token: Option<&str>) -> HttpCourier {
    let token = token.map(|token| Token::new(token).unwrap());
    HttpCourier::new(address, token, Plaintext::LoopbackOnly).unwrap()
}

fn first() -> Publication {
    fixture::publication(fixture::policy(&["a", "b"], &["x.edge.example"]), [1, 1, 1])
}

fn down(before: &Publication, counter: u64) -> Publication {
    let sites = vec![Verdict::Up, Verdict::Down];
    fixture::with_health(before, counter, Health { sites, ..(*before.health.value).clone() })
}

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(10);

#[tokio::test]
async fn news_comes_as_soon_as_it_is_published_and_only_what_is_new() {
    let site = serve("127.0.0.1:0", Some(TOKEN), 8).await;
    let courier = client(site.address, Some(TOKEN));
    assert!(courier.fetch(Have::default(), SHORT).await.unwrap().is_empty(), "nothing yet");
    let publication = first();
    site.publications.send_replace(Some(Arc::new(publication.clone())));
    let offer = courier.fetch(Have::default(), SHORT).await.unwrap();
    assert_eq!(offer.policy.unwrap().value, publication.policy.value);
    assert_eq!(offer.map.unwrap().value, publication.map.value);
    assert_eq!(offer.health.unwrap().generation, publication.health.generation);

    let have = publication.have();
    let waiting = tokio::spawn(async move { courier.fetch(have, LONG).await });
    tokio::time::sleep(SHORT).await;
    let published = tokio::time::Instant::now();
    site.publications.send_replace(Some(Arc::new(down(&publication, 2))));
    let offer = waiting.await.unwrap().unwrap();
    assert!(published.elapsed() < LONG / 2, "took {:?}", published.elapsed());
    assert!(offer.policy.is_none() && offer.map.is_none());
    assert_eq!(offer.health.unwrap().value.sites, [Verdict::Up, Verdict::Down]);
}

#[tokio::test]
async fn reports_arrive_and_a_busy_controller_says_so() {
    let mut site = serve("127.0.0.1:0", None, 1).await;
    let courier = client(site.address, None);
    let report = fixture::report("a", 1, &[("hello", 1)]);
    courier.report(report.clone()).await.unwrap();
    let busy = courier.report(report.clone()).await.unwrap_err();
    assert!(matches!(busy, CourierError::Busy), "{busy}");
    assert_eq!(site.reports.recv().await.unwrap(), report);
    courier.report(report).await.unwrap();
}

#[tokio::test]
async fn without_the_token_nothing_is_told() {
    let mut site = serve("127.0.0.1:0", Some(TOKEN), 8).await;
    site.publications.send_replace(Some(Arc::new(first())));
    for wrong in [None, Some("0123456789abcdef0123456789abcdeF"), Some("0123456789abcdef")] {
        let courier = client(site.address, wrong);
        let fetched = courier.fetch(Have::default(), SHORT).await.unwrap_err();
        assert!(matches!(fetched, CourierError::Status(401)), "{fetched}");
        let reported = courier.report(fixture::report("a", 1, &[])).await.unwrap_err();
        assert!(matches!(reported, CourierError::Status(401)), "{reported}");
    }
    assert!(site.reports.try_recv().is_err());
    let shown = format!("{:?}", client(site.address, Some(TOKEN)));
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_big_snapshot_survives_the_way_and_a_restart_of_the_controller() {
    let names: Vec<String> = (0..2_000).map(|at| format!("site-{at:04}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut policy = fixture::policy(&[], &["x.edge.example"]);
    policy.sites = names.iter().map(|name| fixture::site(name, 1)).collect();
    let mut publication = fixture::publication(policy, [1, 1, 1]);
    let run = steering::ServiceMap {
        leaves: vec![steering::Leaf::default(); 400_000],
        ..steering::ServiceMap::default()
    };
    let map = steering::SteeringMap {
        policy_generation: 1,
        maps: vec![Arc::new(run)],
        of_service: vec![0],
        ..steering::SteeringMap::default()
    };
    let named = publication.policy.generation;
    let map = crate::publication::Part::encode(fixture::generation(1, 2), named, Arc::new(map));
    publication.map = map.unwrap();
    assert!(publication.map.frame.len() > 2 << 20, "{}", publication.map.frame.len());

    let site = serve("127.0.0.1:0", None, 8).await;
    site.publications.send_replace(Some(Arc::new(publication.clone())));
    let courier = client(site.address, None);
    let offer = courier.fetch(Have::default(), SHORT).await.unwrap();
    let frame = |offer: Offer| offer.map.unwrap().frame;
    assert_eq!(frame(offer), publication.map.frame);

    site.server.abort();
    assert!(site.server.await.unwrap_err().is_cancelled());
    drop(site.publications);
    let again = serve(&site.address.to_string(), None, 8).await;
    again.publications.send_replace(Some(Arc::new(publication.clone())));
    // A connection kept from before may be found dead once.
    let offer = match courier.fetch(Have::default(), SHORT).await {
        Ok(offer) => offer,
        Err(_) => courier.fetch(Have::default(), SHORT).await.unwrap(),
    };
    assert_eq!(frame(offer), publication.map.frame);
}

/// Sends raw octets to a courier's endpoint and tells the status line's code.
async fn raw(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    String::from_utf8(answer[9..].to_vec()).unwrap()
}

#[tokio::test]
async fn hostile_requests_are_refused() {
    let mut site = serve("127.0.0.1:0", None, 8).await;
    let get = |query: &str| format!("GET /v1/courier/snapshot?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
    for query in ["policy=1", "policy=a.b", "health=1.-1", "map=99999999999.1", "waitMs=x"] {
        assert_eq!(raw(site.address, get(query).as_bytes()).await, "400", "{query}");
    }
    let post = |length: usize, body: &str| {
        format!(
            "POST /v1/courier/report HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    assert_eq!(raw(site.address, post(9, "{\"site\":1").as_bytes()).await, "400");
    let bad_name = r#"{"site":"No Such","boot_id":1,"sequence":1,"backends":[],"load":{"requests_total":0,"errors_total":0,"in_flight":0},"rtt":[]}"#;
    assert_eq!(raw(site.address, post(bad_name.len(), bad_name).as_bytes()).await, "400");
    let huge = post(server::REPORT_OCTETS_MAX + 1, "");
    assert_eq!(raw(site.address, huge.as_bytes()).await, "413");
    assert!(site.reports.try_recv().is_err(), "none of them was taken");
}

#[tokio::test]
async fn a_hostile_controller_is_refused_too() {
    let answers: [&[u8]; 5] = [
        b"\x00\x08\x00\x00\x00\x00\x00\x00\x00notframe",
        b"\x07\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x02\xff\xff\xff\xff\xff\xff\xff\xffx",
        b"\x02",
        b"not an offer at all",
    ];
    for answer in answers {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let fetched = client(address, None).fetch(Have::default(), SHORT).await;
        assert!(
            matches!(fetched, Err(CourierError::NotAnOffer | CourierError::Part(_))),
            "{fetched:?}"
        );
        serving.await.unwrap();
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = client(address, None).fetch(Have::default(), SHORT).await.unwrap_err();
    assert!(matches!(&error, CourierError::Unreachable(_)), "{error}");
}

#[test]
fn plain_text_stays_on_loopback() {
    let outside: SocketAddr = "192.0.2.1:9901".parse().unwrap();
    let error = HttpCourier::new(outside, None, Plaintext::LoopbackOnly).unwrap_err();
    assert!(error.to_string().starts_with("`192.0.2.1:9901` is not on loopback"), "{error}");
    assert!(HttpCourier::new(outside, None, Plaintext::Anywhere).is_ok());
    let mapped: SocketAddr = "[::ffff:127.0.0.1]:9901".parse().unwrap();
    assert!(HttpCourier::new(mapped, None, Plaintext::LoopbackOnly).is_ok());
}

#[test]
fn a_token_is_read_from_a_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("token");
    std::fs::write(&path, format!("{TOKEN}\n")).unwrap();
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o640).unwrap();
    let open = Token::read(&path).unwrap_err().to_string();
    assert!(open.ends_with("is open to others; help: chmod 600"), "{open}");
    mode(0o600).unwrap();
    let token = Token::read(&path).unwrap();
    assert!(token.matches(format!("Bearer {TOKEN}").as_bytes()));
    assert!(!token.matches(TOKEN.as_bytes()));
    assert_eq!(format!("{token:?}"), "Token(..)");
    for bad in ["short", &"x".repeat(513), "0123456789 abcdef", "0123456789abcde\u{e9}"] {
        let error = Token::new(bad).unwrap_err().to_string();
        assert!(!error.contains(bad), "{error}");
    }
}

#[test]
fn waits_grow_spread_and_stay_under_the_limit() {
    let mut seen = Vec::new();
    for _ in 0..200 {
        let mut backoff = Backoff::default();
        let waits: Vec<Duration> = (0..12).map(|_| backoff.next_delay()).collect();
        for (at, wait) in (0..).zip(&waits) {
            let ceiling = BACKOFF_MIN.saturating_mul(1 << at.min(10)).min(BACKOFF_MAX);
            assert!(*wait <= ceiling, "{waits:?}");
        }
        seen.push(waits[11]);
        assert!(!backoff.is_fresh());
        backoff.reset();
        assert!(backoff.is_fresh());
    }
    seen.sort();
    seen.dedup();
    assert!(seen.len() > 100, "full jitter: {} distinct of 200", seen.len());
    let (low, high) = (seen[0], seen[seen.len() - 1]);
    assert!(low < BACKOFF_MAX / 4 && high > BACKOFF_MAX / 4 * 3, "{low:?} to {high:?}");
}

#[test]
fn a_frame_on_the_wire_is_the_frame_on_disk() {
    let part = first().health;
    let copied = Bytes::copy_from_slice(&part.frame);
    let read = crate::publication::Part::<Health>::decode(copied).unwrap();
    assert_eq!(read.frame, part.frame);
}
