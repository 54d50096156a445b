//! The access log is moved away under a process that serves, as logrotate does it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use super::world::World;

/// A busy machine may take so long for anything.
const PATIENCE: Duration = Duration::from_secs(20);
const ROTATIONS: usize = 5;
const REQUESTS_BETWEEN: usize = 40;

/// One request; gives the first line of its answer.
fn ask(world: &World, path: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.1.1", world.ports.http)).expect("connected");
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: hello.edge.example\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer.lines().next().unwrap_or_default().to_owned()
}

/// How often each of our paths is in the files, all of whose lines must be whole.
fn logged(world: &World) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(world.directory.path()).expect("readable") {
        let path = entry.expect("readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with("access.log") {
            continue;
        }
        for line in fs::read_to_string(&path).expect("readable").lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect("a whole line");
            let path = line["path"].as_str().unwrap_or_default();
            // The site's probes are there too.
            if path.starts_with("/rotated/") {
                *found.entry(path.to_owned()).or_default() += 1;
            }
        }
    }
    found
}

#[test]
fn a_log_that_is_moved_away_is_opened_again_and_loses_no_line() {
    let mut world = World::prepare();
    let arguments = format!("{} --access-log access.log", world.run_arguments().join(" "));
    let at = world.spawn(&arguments);
    world.wait_until_served();
    let pid = world.processes[at].0.id().to_string();
    let log = world.directory.path().join("access.log");
    let mut asked = BTreeMap::new();
    for rotation in 0..ROTATIONS {
        for number in 0..REQUESTS_BETWEEN {
            if number == REQUESTS_BETWEEN / 2 {
                fs::rename(&log, log.with_extension(format!("log.{rotation}"))).expect("moved");
                let told = Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs");
                assert!(told.success());
            }
            let path = format!("/rotated/{rotation}/{number}");
            assert_eq!(ask(&world, &path), "HTTP/1.1 200 OK");
            asked.insert(path, 1);
        }
        // Only then may it be moved again.
        let start = Instant::now();
        while !log.exists() {
            assert!(start.elapsed() < PATIENCE, "the log was not opened again");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let start = Instant::now();
    while logged(&world).len() < asked.len() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(logged(&world), asked);
    assert!(fs::metadata(&log).expect("there").len() > 0, "the last file is written to");
}
