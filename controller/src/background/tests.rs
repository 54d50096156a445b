use rustix::process::getpriority_process;

use super::{BackgroundError, NICE, run};

#[tokio::test]
async fn work_runs_on_a_nicer_thread_of_its_name() {
    let told = run("a-name", || {
        let name = std::thread::current().name().map(str::to_owned);
        (name, getpriority_process(None).expect("a priority"))
    });
    assert_eq!(told.await.expect("done"), (Some("a-name".to_owned()), NICE));
    assert!(getpriority_process(None).expect("a priority") < NICE, "only that thread");
}

#[tokio::test]
async fn a_panic_is_an_error() {
    let told = run("panics", || assert!(std::env::args().count() == 0, "on purpose"));
    assert!(matches!(told.await, Err(BackgroundError::Panicked)));
}
