//! Documents edited while everything runs: live in under a second, a bad edit changes nothing, and
//! neither a query nor a request is lost.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::world::{World, ask};

const GUANGDONG_TELECOM: [u8; 3] = [116, 31, 45];

#[test]
fn an_edit_is_live_and_a_bad_one_changes_nothing() {
    let world = World::start();
    world.ask_until(
        "hello.edge.example",
        GUANGDONG_TELECOM,
        [127, 0, 1, 1],
        Duration::from_secs(10),
    );

    world.edit("sites.yaml", "addresses: [127.0.1.1]\n", "addresses: [127.0.1.1]\n  drain: true\n");
    let took = world.ask_until(
        "hello.edge.example",
        GUANGDONG_TELECOM,
        [127, 0, 1, 4],
        Duration::from_secs(10),
    );
    // Told by the file system, not found by looking again after ten seconds.
    assert!(took < Duration::from_secs(6), "the edit took {took:?}");

    world.edit("sites.yaml", "  drain: true\n", "  drian: false\n");
    std::thread::sleep(Duration::from_secs(1));
    let answer = world.ask("hello.edge.example", GUANGDONG_TELECOM);
    assert_eq!(answer, Some(vec![[127, 0, 1, 4]]), "a bad edit changed something");
    let check = world.command("check examples/quickstart");
    assert_eq!(check.status.code(), Some(1));
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(
        said.contains("examples/quickstart/sites.yaml:10:3: error: unknown field `drian`"),
        "{said}"
    );
    assert!(said.contains("help: did you mean `drain`?"), "{said}");

    let status = world.command("status");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("refused, what was served before stays:\n"), "{said}");
    assert!(said.contains("sites.yaml:10:3: error: unknown field `drian`"), "{said}");

    world.edit("sites.yaml", "  drian: false\n", "");
    world.ask_until(
        "hello.edge.example",
        GUANGDONG_TELECOM,
        [127, 0, 1, 1],
        Duration::from_secs(10),
    );
    let status = world.command("status");
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(!said.contains("refused, "), "{said}");
    let of_gateways = said.lines().rfind(|line| line.starts_with("gd-ct-1 "));
    let columns: Vec<&str> = of_gateways.unwrap_or_default().split_whitespace().collect();
    assert_eq!(columns.get(..6), Some(&["gd-ct-1", "2", "3", "3", "1/1", "0"][..]), "{said}");
}

#[test]
fn no_edit_is_lost() {
    let world = World::start();
    let name = "hello.edge.example";
    let (here, drained) = ("addresses: [127.0.1.1]\n", "addresses: [127.0.1.1]\n  drain: true\n");
    for _ in 0..8 {
        world.ask_until(name, GUANGDONG_TELECOM, [127, 0, 1, 1], Duration::from_secs(8));
        world.edit("sites.yaml", here, drained);
        world.ask_until(name, GUANGDONG_TELECOM, [127, 0, 1, 4], Duration::from_secs(8));
        world.edit("sites.yaml", drained, here);
    }
}

#[test]
fn reloads_lose_no_query_and_no_request() {
    let mut world = World::start();
    world.ask_until(
        "hello.edge.example",
        GUANGDONG_TELECOM,
        [127, 0, 1, 1],
        Duration::from_secs(10),
    );
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let dns = std::net::SocketAddr::from(([127, 0, 0, 1], world.ports.dns));
    let asker = std::thread::spawn({
        let (stop, asked) = (Arc::clone(&stop), Arc::clone(&asked));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let answer = ask(dns, "hello.edge.example", GUANGDONG_TELECOM);
                assert_eq!(answer.as_deref().map(<[_]>::len), Some(1), "{answer:?}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let http = world.ports.http;
    let requester = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut requests = 0;
            while !stop.load(Ordering::Relaxed) {
                let host = format!("hello.edge.example:{http}");
                let output = Command::new("curl")
                    .args(["-s", "-o", "-", "--fail", "--max-time", "5"])
                    .args(["--resolve", &format!("{host}:127.0.1.1"), &format!("http://{host}/")])
                    .output()
                    .expect("curl runs");
                assert!(output.status.success(), "request {requests}: {:?}", output.status);
                requests += 1;
            }
            requests
        }
    });
    for round in 0..6 {
        world.edit(
            "services.yaml",
            &format!("ttl: {}", 10 + round),
            &format!("ttl: {}", 11 + round),
        );
        let run = world.processes.last().expect("running").0.id().to_string();
        Command::new("kill").args(["-HUP", &run]).status().expect("kill runs");
        std::thread::sleep(Duration::from_millis(500));
    }
    stop.store(true, Ordering::Relaxed);
    asker.join().expect("every query was answered");
    let requests = requester.join().expect("every request was answered");
    assert!(asked.load(Ordering::Relaxed) > 100, "too few queries to tell");
    assert!(requests > 10, "too few requests to tell");

    let run = world.processes.pop().expect("running");
    assert_eq!(run.terminate(), Some(0), "SIGTERM drains and ends with 0");
}
