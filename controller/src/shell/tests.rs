use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use model::observe::{Readiness, Verdict};
use steering::SnapshotCell;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture;
use crate::handle::{Config, Controller};

/// An origin on `127.0.1.<last>` that answers its probes while `alive`.
async fn origin(listener: TcpListener, alive: &'static AtomicBool) {
    while let Ok((mut stream, _)) = listener.accept().await {
        if !alive.load(Ordering::SeqCst) {
            continue;
        }
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        });
    }
}

/// Waits until the served snapshot is as wanted; tells how long it took.
async fn until(cell: &SnapshotCell, wanted: impl Fn(&steering::Snapshot) -> bool) -> Duration {
    let started = tokio::time::Instant::now();
    while !wanted(&cell.load()) {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {:?}", cell.load().health);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_site_leaves_within_its_bound_and_comes_back() {
    static FIRST: AtomicBool = AtomicBool::new(true);
    static SECOND: AtomicBool = AtomicBool::new(true);
    let first = TcpListener::bind("127.0.1.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.1.2", port)).await.unwrap();
    tokio::spawn(origin(first, &FIRST));
    tokio::spawn(origin(second, &SECOND));

    let mut policy = fixture::policy(&["a", "b"], &["x.edge.example"]);
    for site in &mut policy.sites {
        site.health = Some(fixture::http_probe(port));
    }
    let cell = std::sync::Arc::new(SnapshotCell::default());
    let config = Config { map_interval: Duration::from_millis(200), ..Config::default() };
    let started =
        Controller::start(config, Some(policy), fixture::locales(), std::sync::Arc::clone(&cell));
    let controller = started.await.unwrap();
    let verdicts = |snapshot: &steering::Snapshot| snapshot.health.sites.clone();
    until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Up, Verdict::Up]).await;

    let before = cell.load();
    FIRST.store(false, Ordering::SeqCst);
    let took = until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Down, Verdict::Up]).await;
    // 3 x 100 ms + 100 ms, and half a second for a busy machine.
    assert!(took <= Duration::from_millis(900), "took {took:?}");
    let after = cell.load();
    assert!(after.health_generation > before.health_generation);
    assert_eq!(after.policy_generation, before.policy_generation, "only health moved");
    let status = controller.status().await.unwrap();
    let told: Vec<&str> = status.changes.iter().map(|told| told.text.as_str()).collect();
    assert!(
        told.contains(&"`a` is down, was failing: connection broken before an answer"),
        "{told:?}"
    );

    FIRST.store(true, Ordering::SeqCst);
    until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Up, Verdict::Up]).await;
    controller.shutdown().await;
    assert!(controller.status().await.is_none());
}

#[tokio::test]
async fn reports_decide_readiness() {
    let mut policy = fixture::policy(&["a", "b"], &["x.edge.example"]);
    policy.services[0].backends = vec![fixture::backend("x"), fixture::backend("db")];
    let cell = std::sync::Arc::new(SnapshotCell::default());
    let started = Controller::start(
        Config::default(),
        Some(policy),
        fixture::locales(),
        std::sync::Arc::clone(&cell),
    );
    let controller = started.await.unwrap();
    let readiness = |snapshot: &steering::Snapshot| snapshot.health.readiness[0].clone();
    assert_eq!(readiness(&cell.load()), [Readiness::NeverReported; 2]);
    controller.report(fixture::report("a", 1, &[("x", 1), ("db", 1)])).unwrap();
    controller.report(fixture::report("b", 1, &[("x", 1), ("db", 0)])).unwrap();
    until(&cell, |s| readiness(s) == [Readiness::Ready, Readiness::NotReady]).await;
    controller.report(fixture::report("b", 2, &[("x", 1), ("db", 1)])).unwrap();
    until(&cell, |s| readiness(s) == [Readiness::Ready; 2]).await;
    controller.shutdown().await;
}
