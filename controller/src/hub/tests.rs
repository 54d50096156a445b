use std::sync::Mutex;

use model::observe::{SiteReport, Verdict};
use steering::Health;

use super::*;
use crate::courier::CourierError;
use crate::fixture;

fn first() -> Publication {
    fixture::publication(fixture::policy(&["a", "b"], &["x.edge.example"]), [1, 1, 1])
}

fn down(before: &Publication, counter: u64) -> Publication {
    let sites = vec![Verdict::Up, Verdict::Down];
    fixture::with_health(before, counter, Health { sites, ..(*before.health.value).clone() })
}

fn everything(publication: &Publication) -> Offer {
    publication.offer(&Have::default()).unwrap()
}

fn open(dir: &Path) -> (Hub, Arc<SnapshotCell>) {
    let cell = Arc::new(SnapshotCell::default());
    (Hub::open(Some(dir), Arc::clone(&cell)).unwrap(), cell)
}

#[tokio::test]
async fn a_node_serves_the_same_after_a_restart_with_nobody_there() {
    let temp = tempfile::tempdir().unwrap();
    let (mut hub, cell) = open(temp.path());
    assert_eq!((hub.origin(), Have::of(&cell.load())), (Origin::Nothing, Have::default()));
    let publication = first();
    hub.take(everything(&publication)).await.unwrap();
    let newer = down(&publication, 2);
    hub.take(newer.offer(&publication.have()).unwrap()).await.unwrap();
    let before = cell.load();
    drop(hub);

    let (hub, cell) = open(temp.path());
    let after = cell.load();
    assert_eq!(hub.origin(), Origin::Disk(Slot::Active));
    assert_eq!(Have::of(&after), newer.have());
    assert_eq!(
        (&after.policy, &after.map, &after.health),
        (&before.policy, &before.map, &before.health)
    );
}

#[tokio::test]
async fn only_what_changed_gets_a_new_pointer() {
    let cell = Arc::new(SnapshotCell::default());
    let mut hub = Hub::open(None, Arc::clone(&cell)).unwrap();
    let publication = first();
    hub.take(everything(&publication)).await.unwrap();
    let before = cell.load();
    hub.take(down(&publication, 2).offer(&publication.have()).unwrap()).await.unwrap();
    let after = cell.load();
    assert!(Arc::ptr_eq(&before.policy, &after.policy) && Arc::ptr_eq(&before.map, &after.map));
    assert!(!Arc::ptr_eq(&before.health, &after.health));
}

#[tokio::test]
async fn what_is_older_incomplete_or_foreign_is_refused_and_changes_nothing() {
    let cell = Arc::new(SnapshotCell::default());
    let mut hub = Hub::open(None, Arc::clone(&cell)).unwrap();
    let publication = first();
    let no_map = Offer { map: None, ..everything(&publication) };
    assert!(matches!(hub.take(no_map).await, Err(TakeError::Missing(Channel::Map))));
    assert_eq!(Have::of(&cell.load()), Have::default());

    let now = down(&publication, 5);
    hub.take(everything(&now)).await.unwrap();
    let older = Offer { health: Some(down(&publication, 4).health), ..Offer::default() };
    assert!(matches!(hub.take(older).await, Err(TakeError::Older(Channel::Health))));
    let other = fixture::publication(fixture::policy(&["c"], &["x.edge.example"]), [2, 2, 9]);
    let health_alone = Offer { health: Some(other.health), ..Offer::default() };
    assert!(matches!(hub.take(health_alone).await, Err(TakeError::Mismatch(_))));
    assert_eq!(Have::of(&cell.load()), now.have());
    assert_eq!(cell.load().health, now.health.value);
}

#[tokio::test]
async fn a_disk_that_refuses_does_not_stop_a_failover() {
    let temp = tempfile::tempdir().unwrap();
    let (mut hub, cell) = open(temp.path());
    let publication = first();
    hub.take(everything(&publication)).await.unwrap();
    std::fs::create_dir(temp.path().join("active.new")).unwrap();
    let newer = down(&publication, 2);
    hub.take(newer.offer(&publication.have()).unwrap()).await.unwrap();
    assert_eq!(Have::of(&cell.load()), newer.have());
}

/// A courier that plays a script and then waits for ever.
#[derive(Debug)]
struct Script {
    answers: Mutex<std::collections::VecDeque<Result<Offer, CourierError>>>,
    asked: Arc<Mutex<Vec<Have>>>,
}

impl Courier for Script {
    async fn fetch(&self, have: Have, _wait: Duration) -> Result<Offer, CourierError> {
        self.asked.lock().unwrap().push(have);
        let next = self.answers.lock().unwrap().pop_front();
        match next {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    async fn report(&self, _report: SiteReport) -> Result<(), CourierError> {
        Ok(())
    }
}

#[tokio::test]
async fn following_outlives_failures_and_asks_for_what_is_newer() {
    let publication = first();
    let newer = down(&publication, 2);
    let cut_off = || Err(CourierError::Unreachable("gone".to_owned()));
    let answers = [
        cut_off(),
        Ok(everything(&publication)),
        Ok(Offer::default()),
        cut_off(),
        Ok(Offer { health: Some(publication.health.clone()), policy: None, map: None }),
        Ok(newer.offer(&publication.have()).unwrap()),
    ];
    let asked = Arc::new(Mutex::new(Vec::new()));
    let script = Script { answers: Mutex::new(answers.into()), asked: Arc::clone(&asked) };
    let cell = Arc::new(SnapshotCell::default());
    let hub = Hub::open(None, Arc::clone(&cell)).unwrap();
    let mut taken = hub.taken();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let following = tokio::spawn(hub.follow(script, stopped));
    taken.wait_for(|have| *have == newer.have()).await.unwrap();
    stop.send(()).unwrap();
    following.await.unwrap();
    assert_eq!(Have::of(&cell.load()), newer.have());
    let (none, one) = (Have::default(), publication.have());
    assert_eq!(asked.lock().unwrap()[..6], [none, none, one, one, one, one]);
}
