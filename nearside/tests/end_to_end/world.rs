//! The quickstart's processes on ports of their own, ended with the test.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const SITES: [&str; 6] = ["gd-ct-1", "gd-cu-1", "gs-ct-1", "gd-agg-1", "bj-core-1", "us-core-1"];
const BINARY: &str = env!("CARGO_BIN_EXE_nearside");

/// A start that takes longer has failed.
const START_MAX: Duration = Duration::from_secs(60);

/// A process that ends with the test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Asks it to stop and waits; gives its exit status.
    pub(crate) fn terminate(self) -> Option<i32> {
        let pid = self.0.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(told.success());
        self.wait()
    }

    /// Waits for its own end; gives its exit status.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The quickstart on ports of its own.
pub(crate) struct World {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) ports: Ports,
    /// The origins, then what was started.
    pub(crate) processes: Vec<Process>,
}

pub(crate) struct Ports {
    pub(crate) dns: u16,
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) admin: u16,
    pub(crate) origin: u16,
}

pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    socket.local_addr().expect("bound").port()
}

impl World {
    /// Documents and origins, nothing of ours yet.
    pub(crate) fn prepare() -> Self {
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
        Self { directory, ports, processes }
    }

    /// The whole quickstart in one process, serving.
    pub(crate) fn start() -> Self {
        let mut world = Self::prepare();
        let arguments = world.run_arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = spawn(&arguments, &world.directory);
        world.processes.push(process);
        world.wait_until_served();
        world
    }

    /// The command line of `nearside run` on this world's ports.
    pub(crate) fn run_arguments(&self) -> Vec<String> {
        let Ports { dns, http, https, admin, .. } = self.ports;
        format!(
            "run examples/quickstart --state-dir .quickstart/state --dns 127.0.0.1:{dns} \
             --admin 127.0.0.1:{admin} --http-port {http} --https-port {https}"
        )
        .split_whitespace()
        .map(str::to_owned)
        .collect()
    }

    /// Starts another process of the binary in this world.
    pub(crate) fn spawn(&mut self, line: &str) -> usize {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let process = spawn(&arguments, &self.directory);
        self.processes.push(process);
        self.processes.len() - 1
    }

    /// Runs the binary to its end.
    pub(crate) fn command(&self, line: &str) -> Output {
        Command::new(BINARY)
            .args(line.split_whitespace())
            .current_dir(self.directory.path())
            .env("NEARSIDE_ADMIN", format!("127.0.0.1:{}", self.ports.admin))
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs")
    }

    /// The path of an example document in this world.
    pub(crate) fn document(&self, name: &str) -> PathBuf {
        self.directory.path().join("examples/quickstart").join(name)
    }

    /// Replaces a text in an example document, as an editor would save it.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let path = self.document(name);
        let text = fs::read_to_string(&path).expect("readable");
        assert!(text.contains(from), "`{from}` is not in {name}");
        fs::write(&path, text.replacen(from, to, 1)).expect("written");
    }

    /// Asks for A of a name for a client /24; the addresses answered, `None` when there is no answer.
    pub(crate) fn ask(&self, name: &str, client: [u8; 3]) -> Option<Vec<[u8; 4]>> {
        ask(SocketAddr::from(([127, 0, 0, 1], self.ports.dns)), name, client)
    }

    /// Asks until the answer is this one; how long that took.
    pub(crate) fn ask_until(
        &self,
        name: &str,
        client: [u8; 3],
        wanted: [u8; 4],
        within: Duration,
    ) -> Duration {
        let start = Instant::now();
        loop {
            let answer = self.ask(name, client);
            if answer.as_deref() == Some(&[wanted]) {
                return start.elapsed();
            }
            assert!(start.elapsed() < within, "{name}: {answer:?} instead of {wanted:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// A debug build on a busy machine takes its time to start; the session's own limits are about
    /// what happens after that.
    pub(crate) fn wait_until_served(&self) {
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.ports.dns)).is_err() {
            assert!(start.elapsed() < START_MAX, "DNS did not come up");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs one command line of the session and returns what it printed.
    pub(crate) fn shell(&self, line: &str) -> String {
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

pub(crate) fn example() -> PathBuf {
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

pub(crate) fn spawn(arguments: &[&str], directory: &tempfile::TempDir) -> Process {
    let child = Command::new(BINARY)
        .args(arguments)
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary starts");
    Process(child)
}

/// One query over UDP with a client /24, read by hand: the server's own parser must not judge itself.
pub(crate) fn ask(server: SocketAddr, name: &str, client: [u8; 3]) -> Option<Vec<[u8; 4]>> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let mut query = vec![0xab, 0xcd, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.') {
        query.push(u8::try_from(label.len()).expect("short"));
        query.extend(label.bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    // OPT: root, type 41, 1232 octets, no flags, then ECS family 1, source 24, scope 0.
    query.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
    query.extend(client);
    socket.send_to(&query, server).expect("sent");
    let mut packet = [0; 1500];
    let len = socket.recv(&mut packet).ok()?;
    let answer = &packet[..len];
    assert_eq!(answer[..2], [0xab, 0xcd], "another query's id");
    assert_eq!(answer[3] & 0x0f, 0, "rcode");
    let count = usize::from(u16::from_be_bytes([answer[6], answer[7]]));
    let mut at = query.len() - 22;
    let mut addresses = Vec::new();
    for _ in 0..count {
        let (kind, octets) = (answer[at + 3], usize::from(answer[at + 11]));
        assert_eq!(answer[at] & 0xc0, 0xc0, "a compressed owner");
        if kind == 1 {
            addresses.push([answer[at + 12], answer[at + 13], answer[at + 14], answer[at + 15]]);
        }
        at += 12 + octets;
    }
    Some(addresses)
}
