//! The README's session, run as a test: real processes, dig and curl, on free loopback ports.
//!
//! `examples/quickstart/session.console` holds commands (`$ ...`) with the output they must have. A
//! line of `...` in the output stands for any lines; `...` inside a line for any text. A comment `# within N s` lets the next
//! command be tried until its output is right or the time is over.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const SITES: [&str; 6] = ["gd-ct-1", "gd-cu-1", "gs-ct-1", "gd-agg-1", "bj-core-1", "us-core-1"];
const BINARY: &str = env!("CARGO_BIN_EXE_nearside");

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The quickstart on ports of its own.
struct World {
    directory: tempfile::TempDir,
    ports: Ports,
    _processes: Vec<Process>,
}

struct Ports {
    dns: u16,
    http: u16,
    https: u16,
    admin: u16,
    origin: u16,
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    socket.local_addr().expect("bound").port()
}

impl World {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let ports = Ports {
            dns: free_port(),
            http: free_port(),
            https: free_port(),
            admin: free_port(),
            origin: free_port(),
        };
        let documents = directory.path().join("examples/quickstart");
        copy_documents(&example(), &documents, &ports);
        fs::create_dir(directory.path().join(".quickstart")).expect("created");
        let mut processes = Vec::new();
        for (number, site) in SITES.iter().enumerate() {
            let listen = format!("127.0.2.{}:{}", number + 1, ports.origin);
            let origin = spawn(&["demo-origin", "--listen", &listen, "--site", site], &directory);
            let pid_file = directory.path().join(format!(".quickstart/origin-{site}.pid"));
            fs::write(pid_file, origin.0.id().to_string()).expect("written");
            processes.push(origin);
        }
        let dns = format!("127.0.0.1:{}", ports.dns);
        let admin = format!("127.0.0.1:{}", ports.admin);
        let (http, https) = (ports.http.to_string(), ports.https.to_string());
        processes.push(spawn(
            &[
                "run",
                "examples/quickstart",
                "--state-dir",
                ".quickstart/state",
                "--dns",
                &dns,
                "--admin",
                &admin,
                "--http-port",
                &http,
                "--https-port",
                &https,
            ],
            &directory,
        ));
        let world = Self { directory, ports, _processes: processes };
        world.wait_until_served();
        world
    }

    /// A debug build on a busy machine takes its time to start; the session's own limits are about
    /// what happens after that.
    fn wait_until_served(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports.dns)).is_err() {
            assert!(start.elapsed() < START_MAX, "DNS did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs one command line of the session and returns what it printed.
    fn shell(&self, line: &str) -> String {
        let line = line
            .replace("-p 5300", &format!("-p {}", self.ports.dns))
            .replace(":8080", &format!(":{}", self.ports.http))
            .replace("nearside ", &format!("{BINARY} "));
        let output = Command::new("bash")
            .args(["-c", &line])
            .current_dir(self.directory.path())
            .env("NEARSIDE_ADMIN", format!("127.0.0.1:{}", self.ports.admin))
            .output()
            .expect("bash runs");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).replace(&format!(":{}", self.ports.http), ":8080")
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart")
}

fn copy_documents(from: &Path, to: &Path, ports: &Ports) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("the example") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "yaml") {
            let text = fs::read_to_string(&path).expect("readable");
            let text = text
                .replace("8080", &ports.http.to_string())
                .replace("8443", &ports.https.to_string())
                .replace("9000", &ports.origin.to_string());
            fs::write(to.join(path.file_name().expect("named")), text).expect("written");
        }
    }
}

fn spawn(arguments: &[&str], directory: &tempfile::TempDir) -> Process {
    let child = Command::new(BINARY)
        .args(arguments)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    Process(child)
}

/// One step of the session.
struct Step {
    number: usize,
    command: String,
    expected: Vec<String>,
    within: Duration,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut within = Duration::ZERO;
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            let step = Step {
                number: index + 1,
                command: command.to_owned(),
                expected: Vec::new(),
                within: std::mem::take(&mut within),
            };
            steps.push(step);
        } else if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace().skip_while(|word| *word != "within").skip(1);
            if let Some(Ok(seconds)) = words.next().map(str::parse) {
                within = Duration::from_secs(seconds);
            }
        } else if !line.is_empty() {
            steps.last_mut().expect("output follows a command").expected.push(line.to_owned());
        }
    }
    steps
}

fn agrees(expected: &[String], printed: &[&str]) -> bool {
    let Some((wanted, rest)) = expected.split_first() else { return printed.is_empty() };
    if wanted == "..." {
        return (0..=printed.len()).any(|skip| agrees(rest, &printed[skip..]));
    }
    match printed.split_first() {
        Some((line, others)) => line_agrees(wanted, line) && agrees(rest, others),
        None => false,
    }
}

fn line_agrees(wanted: &str, line: &str) -> bool {
    let mut pieces = wanted.split("...");
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

#[test]
fn a_line_pattern_must_cover_the_whole_line() {
    assert!(line_agrees("a ... c", "a b c"));
    assert!(line_agrees("a...", "a b c"));
    assert!(!line_agrees("a ... c", "a b c d"));
    assert!(!line_agrees("a", "a b"));
    assert!(agrees(&["...".into(), "x".into()], &["a", "b", "x"]));
    assert!(!agrees(&["x".into()], &[]));
    assert!(!agrees(&[], &["x"]));
}

#[test]
fn the_readme_session_holds() {
    let text = fs::read_to_string(example().join("session.console")).expect("the session");
    let steps = steps(&text);
    assert!(steps.len() > 8, "the session was not read");
    let world = World::start();
    for step in &steps {
        let start = Instant::now();
        loop {
            let printed = world.shell(&step.command);
            let lines: Vec<&str> = printed.lines().collect();
            if agrees(&step.expected, &lines) {
                break;
            }
            assert!(
                start.elapsed() < step.within,
                "session.console:{}: `{}`\nexpected:\n{}\nprinted:\n{printed}",
                step.number,
                step.command,
                step.expected.join("\n"),
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn the_readme_shows_the_session() {
    let session = fs::read_to_string(example().join("session.console")).expect("the session");
    let readme = fs::read_to_string(example().join("../../README.md")).expect("README.md");
    assert!(
        readme.contains(session.trim_end()),
        "README.md must hold session.console to the letter"
    );
}
