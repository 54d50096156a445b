use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use geo_data::LocaleTable;
use geo_data::centre::Centres;
use model::observe::{Client, Readiness, RttCell, Verdict};
use model::policy::GuardPolicy;
use model::{Country, DnsName, Locale, Policy};
use steering::{Snapshot, SnapshotCell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::courier::http::Plaintext;
use crate::courier::{Courier, HttpCourier};
use crate::fixture;
use crate::guard::{Override, Refusal};
use crate::handle::{Author, Config, Controller, OrderError, Refused, StartError};
use crate::hub::Hub;
use crate::publication::Have;
use crate::store::Act;

/// A controller with its cell, kept in `dir` if one is given.
async fn start(
    dir: Option<&Path>,
    documents: Option<Policy>,
    locales: Arc<LocaleTable>,
) -> Result<(Controller, Arc<SnapshotCell>), StartError> {
    let cell = Arc::new(SnapshotCell::default());
    let config = Config {
        state_dir: dir.map(Path::to_owned),
        map_interval: Duration::from_millis(100),
        ..Config::default()
    };
    let controller = Controller::start(config, documents, locales, Arc::clone(&cell)).await?;
    Ok((controller, cell))
}

fn two_sites() -> Policy {
    let mut policy = fixture::policy(&["a", "b"], &["x.edge.example"]);
    policy.services[0].backends = vec![fixture::backend("x")];
    policy
}

fn author(reason: &str) -> Author {
    Author { by: "ann".to_owned(), reason: reason.to_owned() }
}

/// Waits until the served snapshot is as wanted; tells how long it took.
async fn until(cell: &SnapshotCell, wanted: impl Fn(&Snapshot) -> bool) -> Duration {
    let started = tokio::time::Instant::now();
    while !wanted(&cell.load()) {
        assert!(started.elapsed() < Duration::from_secs(20), "never: {:?}", cell.load().health);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    started.elapsed()
}

/// An origin that answers its probes while `alive`.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_site_leaves_within_its_bound_and_comes_back() {
    static FIRST: AtomicBool = AtomicBool::new(true);
    static SECOND: AtomicBool = AtomicBool::new(true);
    let first = TcpListener::bind("127.0.1.1:0").await.unwrap();
    let port = first.local_addr().unwrap().port();
    let second = TcpListener::bind(("127.0.1.2", port)).await.unwrap();
    tokio::spawn(origin(first, &FIRST));
    tokio::spawn(origin(second, &SECOND));

    let mut policy = two_sites();
    for site in &mut policy.sites {
        site.health = Some(fixture::http_probe(port));
    }
    let (controller, cell) = start(None, Some(policy), fixture::locales()).await.unwrap();
    let verdicts = |snapshot: &Snapshot| snapshot.health.sites.clone();
    until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Up, Verdict::Up]).await;

    let before = cell.load();
    FIRST.store(false, Ordering::SeqCst);
    let took = until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Down, Verdict::Up]).await;
    // 3 x 100 ms + 100 ms by the rule, which simulated time holds to; a busy machine gets the rest.
    assert!(took <= Duration::from_secs(4), "took {took:?}");
    let after = cell.load();
    assert!(after.health_generation > before.health_generation);
    assert_eq!(after.policy_generation, before.policy_generation, "only health moved");
    assert_eq!(after.map_generation, before.map_generation);
    let status = controller.status().await.unwrap();
    let told: Vec<&str> = status.changes.iter().map(|told| told.text.as_str()).collect();
    let wanted = "`a` is down, was failing: connection broken before an answer";
    assert!(told.contains(&wanted), "{told:?}");

    FIRST.store(true, Ordering::SeqCst);
    until(&cell, |snapshot| verdicts(snapshot) == [Verdict::Up, Verdict::Up]).await;
    controller.shutdown().await;
    assert!(controller.status().await.is_none());
}

#[tokio::test]
async fn reports_decide_readiness() {
    let mut policy = two_sites();
    policy.services[0].backends.push(fixture::backend("db"));
    let (controller, cell) = start(None, Some(policy), fixture::locales()).await.unwrap();
    let readiness = |snapshot: &Snapshot| snapshot.health.readiness[0].clone();
    assert_eq!(readiness(&cell.load()), [Readiness::NeverReported; 2]);
    controller.report(fixture::report("a", 1, &[("x", 1), ("db", 1)])).unwrap();
    controller.report(fixture::report("b", 1, &[("x", 1), ("db", 0)])).unwrap();
    until(&cell, |s| readiness(s) == [Readiness::Ready, Readiness::NotReady]).await;
    let status = controller.status().await.unwrap();
    let service = &status.services[0];
    assert_eq!((service.pool, service.usable), (2, 1));
    assert_eq!((service.out[0].site.as_str(), service.out[0].why.as_str()), ("b", "not ready"));
    assert!(status.sites[0].report.is_some());
    controller.report(fixture::report("b", 2, &[("x", 1), ("db", 1)])).unwrap();
    until(&cell, |s| readiness(s) == [Readiness::Ready; 2]).await;
    controller.shutdown().await;
}

#[tokio::test]
async fn a_drain_is_published_before_its_caller_hears_and_survives_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let (controller, cell) =
        start(Some(temp.path()), Some(two_sites()), fixture::locales()).await.unwrap();
    controller.report(fixture::report("a", 1, &[("x", 1)])).unwrap();
    until(&cell, |s| s.health.readiness[0][0] == Readiness::Ready).await;
    let ordered = controller.drain("b", author("new switch")).await.unwrap();
    assert!(ordered.changed && ordered.drained);
    assert_eq!(cell.load().health.drained, [false, true], "no waiting");
    let again = controller.drain("b", author("new switch")).await.unwrap();
    assert!(!again.changed && again.drained);
    let unknown = controller.drain("c", author("x")).await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no site `c`; help: `nearside status` lists the sites");
    let nobody = controller.drain("a", author("")).await.unwrap_err();
    assert!(matches!(nobody, OrderError::Text("reason")), "{nobody}");
    // The map follows: drained sites are no candidates.
    let leaves = |s: &Snapshot| -> Vec<Vec<model::site::SiteId>> {
        s.map.maps[0].leaves.iter().map(|leaf| leaf.sites.to_vec()).collect()
    };
    until(&cell, |s| leaves(s).iter().all(|sites| !sites.contains(&model::site::SiteId(1)))).await;
    let before = cell.load();
    controller.shutdown().await;

    // The documents and the controller are away: a hub alone serves the same.
    let cut_off = Arc::new(SnapshotCell::default());
    let snapshots = temp.path().join("snapshot");
    let hub = Hub::open(Some(&snapshots), Arc::clone(&cut_off)).unwrap();
    assert_eq!(Have::of(&cut_off.load()), Have::of(&before));
    assert_eq!(cut_off.load().health, before.health);
    drop(hub);

    // The controller is back, without documents: it goes on from there, forwards.
    let (controller, cell) = start(Some(temp.path()), None, fixture::locales()).await.unwrap();
    assert_eq!(cell.load().policy_generation, before.policy_generation);
    assert_eq!(cell.load().health.readiness, before.health.readiness, "held, not forgotten");
    let ordered = controller.undrain("b", author("")).await.unwrap();
    assert!(ordered.changed && !ordered.drained);
    assert!(ordered.have.health > before.health_generation);
    until(&cell, |s| leaves(s).iter().any(|sites| sites.contains(&model::site::SiteId(1)))).await;
    assert!(cell.load().map_generation > before.map_generation);
    let audit = controller.audit(10).await.unwrap();
    let site = fixture::site_name("b");
    let acts: Vec<&Act> = audit.iter().map(|record| &record.act).collect();
    assert_eq!(acts, [&Act::Undrain { site: site.clone() }, &Act::Drain { site }]);
    controller.shutdown().await;
}

#[tokio::test]
async fn generations_never_fall_and_equal_documents_are_not_a_change() {
    let temp = tempfile::tempdir().unwrap();
    let mut last = Have::default();
    for restart in 0..4 {
        let documents = Some(two_sites());
        let (controller, cell) =
            start(Some(temp.path()), documents, fixture::locales()).await.unwrap();
        let have = Have::of(&cell.load());
        assert!(have.reaches(&last), "restart {restart}: {have:?} after {last:?}");
        assert_eq!(have.policy.counter, 1, "the same documents are the same policy");
        controller.drain("a", author("x")).await.unwrap();
        controller.undrain("a", author("x")).await.unwrap();
        last = Have::of(&cell.load());
        assert!(last.health > have.health);
        controller.shutdown().await;
    }
}

#[tokio::test]
async fn documents_are_guarded_and_an_override_is_on_record() {
    let mut policy = fixture::policy(&["a", "b", "c"], &["x.edge.example", "y.edge.example"]);
    policy.guard = GuardPolicy {
        protected: vec!["Site/c".into()],
        undrainable: vec![fixture::site_name("a")],
        ..GuardPolicy::default()
    };
    let temp = tempfile::tempdir().unwrap();
    let (controller, cell) =
        start(Some(temp.path()), Some(policy.clone()), fixture::locales()).await.unwrap();
    let before = Have::of(&cell.load());
    let mut smaller = fixture::policy(&["a", "b"], &["x.edge.example"]);
    smaller.guard = policy.guard;
    let Refused::Guard(refusals) = controller.apply(smaller.clone(), None).await.unwrap_err()
    else {
        panic!("the guard should have refused")
    };
    assert_eq!(refusals, [Refusal::Protected { object: "Site/c".to_owned() }]);
    assert_eq!(Have::of(&cell.load()), before, "nothing changed");
    let refused = controller.status().await.unwrap().refused.unwrap();
    assert_eq!(refused.refusals, [refusals[0].to_string()]);
    let undrainable = controller.drain("a", author("x")).await.unwrap_err();
    assert!(matches!(undrainable, OrderError::Guard(Refusal::Undrainable { .. })));

    // The same documents at a restart are refused as well: the last good stays.
    controller.shutdown().await;
    let (controller, cell) =
        start(Some(temp.path()), Some(smaller.clone()), fixture::locales()).await.unwrap();
    assert_eq!(Have::of(&cell.load()).policy, before.policy);
    assert!(controller.status().await.unwrap().refused.is_some());

    let overruled = Override { by: "ann".to_owned(), reason: "c burnt down".to_owned() };
    let applied = controller.apply(smaller.clone(), Some(overruled)).await.unwrap();
    assert_eq!(applied.difference.to_string(), "0 added, 2 removed, 1 changed");
    assert_eq!(cell.load().policy_generation, applied.have.policy);
    assert_eq!(*cell.load().policy, smaller);
    assert!(controller.status().await.unwrap().refused.is_none());
    let audit = controller.audit(10).await.unwrap();
    let told = "`Site/c` is protected and would be removed; \
                help: take it off `protected` in the GuardPolicy first";
    assert_eq!(audit[0].act, Act::Override { refusals: vec![told.to_owned()] });
    assert_eq!((audit[0].by.as_str(), audit[0].reason.as_str()), ("ann", "c burnt down"));
    let removed = Act::Remove { objects: 2, policy_counter: applied.have.policy.counter };
    assert_eq!(audit[1].act, removed);
    controller.shutdown().await;
}

#[tokio::test]
async fn with_neither_documents_nor_a_snapshot_it_does_not_start() {
    let error = start(None, None, fixture::locales()).await.unwrap_err();
    assert!(matches!(error, StartError::NothingToServe), "{error}");
    let temp = tempfile::tempdir().unwrap();
    let (_running, _cell) =
        start(Some(temp.path()), Some(two_sites()), fixture::locales()).await.unwrap();
    let second = start(Some(temp.path()), Some(two_sites()), fixture::locales()).await.unwrap_err();
    assert!(matches!(second, StartError::Store(_)), "{second}");
}

/// Clients in the south, one degree from `a`; `b` is ten degrees further.
fn southern_clients() -> Arc<LocaleTable> {
    let point = model::Point { lat_cdeg: 2000, lon_cdeg: 11000 };
    let locale = Locale { country: Some(Country(*b"CN")), point: Some(point), ..Locale::default() };
    let prefix = "198.51.100.0/24".parse().unwrap();
    Arc::new(LocaleTable::from_prefixes(&[(prefix, locale)], Centres::default()))
}

#[tokio::test]
async fn measured_round_trips_change_the_order_of_sites_and_explain_shows_it() {
    let mut policy = fixture::policy(&["a", "b"], &["x.edge.example"]);
    policy.sites[1].point = Some(model::Point { lat_cdeg: 3000, lon_cdeg: 11000 });
    let (controller, cell) = start(None, Some(policy), southern_clients()).await.unwrap();
    let name = DnsName::parse("x.edge.example").unwrap();
    let client = Client { ip: "198.51.100.0".parse().unwrap(), source_len: Some(24) };
    let explained = || controller.explain(&name, client).unwrap();
    assert_eq!(explained().sites, ["a"], "the nearest");
    let generation = cell.load().map_generation;

    let measured = |site: &str, mean_us: u32| {
        let mut report = fixture::report(site, 1, &[]);
        let prefix = "198.51.100.0/24".parse().unwrap();
        let sum_us = 500 * u64::from(mean_us);
        report.rtt = vec![RttCell { prefix, count: 500, sum_us, min_us: mean_us - 1_000 }];
        controller.report(report).unwrap();
    };
    measured("a", 250_000);
    measured("b", 20_000);
    until(&cell, |snapshot| snapshot.map_generation > generation).await;
    let after = explained();
    assert_eq!(after.sites, ["b"], "{after}");
    let status = controller.status().await.unwrap();
    assert_eq!((status.latency.cells, status.latency.used), (2, 2));
    assert!(status.latency.residuals > 0);
    assert_eq!(status.changes[0].text, "map compiled: measured latency moved");
    // More of the same is no reason for another map.
    let generation = cell.load().map_generation;
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(cell.load().map_generation, generation);
    controller.shutdown().await;
}

#[tokio::test]
async fn measurement_is_kept_over_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let documents = || Some(fixture::policy(&["a", "b"], &["x.edge.example"]));
    let dir = Some(temp.path());
    let (controller, _cell) = start(dir, documents(), southern_clients()).await.unwrap();
    let mut report = fixture::report("a", 1, &[]);
    let prefix = "198.51.100.0/24".parse().unwrap();
    report.rtt = vec![RttCell { prefix, count: 100, sum_us: 20_000_000, min_us: 150_000 }];
    controller.report(report).unwrap();
    let cells = |status: crate::Status| status.latency.cells;
    while cells(controller.status().await.unwrap()) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    controller.shutdown().await;
    let (controller, _cell) = start(dir, documents(), southern_clients()).await.unwrap();
    assert_eq!(cells(controller.status().await.unwrap()), 1);
    controller.shutdown().await;
}

#[tokio::test]
async fn a_wildcard_steers_one_label_unless_something_stands_there() {
    let hosts = ["*.fn.edge.example", "known.fn.edge.example", "deep.below.fn.edge.example"];
    let policy = fixture::policy(&["a"], &hosts);
    let (controller, _cell) = start(None, Some(policy), southern_clients()).await.unwrap();
    let client = Client { ip: "198.51.100.0".parse().unwrap(), source_len: None };
    let service = |name: &str| {
        let name = DnsName::parse(name).unwrap();
        controller.explain(&name, client).map(|explanation| explanation.service)
    };
    assert_eq!(service("any.fn.edge.example").as_deref(), Some("default/*"));
    assert_eq!(service("known.fn.edge.example").as_deref(), Some("default/known"));
    assert_eq!(service("below.fn.edge.example"), None, "an empty non-terminal");
    assert_eq!(service("two.labels.fn.edge.example"), None);
    assert_eq!(service("fn.edge.example"), None);
    controller.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_elsewhere_hears_of_a_drain_within_300_ms_and_reports_back() {
    let (controller, cell) = start(None, Some(two_sites()), fixture::locales()).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = crate::courier::server::router(controller.courier(), None);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let courier = HttpCourier::new(address, None, Plaintext::LoopbackOnly).unwrap();
    let elsewhere = Arc::new(SnapshotCell::default());
    let hub = Hub::open(None, Arc::clone(&elsewhere)).unwrap();
    let node = tokio::spawn(hub.follow(courier.clone(), std::future::pending()));
    until(&elsewhere, |s| Have::of(s) == Have::of(&cell.load())).await;
    assert_eq!(elsewhere.load().policy, cell.load().policy);

    controller.drain("b", author("new switch")).await.unwrap();
    let took = until(&elsewhere, |s| s.health.drained == [false, true]).await;
    // Pushed, not found at the next poll of ten seconds.
    assert!(took < Duration::from_secs(4), "took {took:?}");
    courier.report(fixture::report("a", 1, &[("x", 1)])).await.unwrap();
    until(&elsewhere, |s| s.health.readiness[0][0] == Readiness::Ready).await;
    let before = Have::of(&elsewhere.load());
    controller.shutdown().await;
    assert_eq!(Have::of(&elsewhere.load()), before, "it serves on, cut off");
    node.abort();
}
