//! HTTPDNS of the running binary: the answers of the wire over HTTP, with curl.

use std::process::Command;
use std::time::Duration;

use super::world::{World, free_port};

fn curl(url: &str) -> String {
    let output = Command::new("curl").args(["-si", "--max-time", "5", url]).output();
    String::from_utf8_lossy(&output.expect("curl runs").stdout).into_owned()
}

#[test]
fn the_same_site_over_http_as_on_the_wire() {
    let mut world = World::prepare();
    let port = free_port();
    let line = world.run_arguments().join(" ");
    world.spawn(&format!("{line} --httpdns 127.0.0.1:{port} --httpdns-redirect-port 8088"));
    world.wait_until_served();
    let wire = Duration::from_secs(10);
    world.ask_until("hello.edge.example", [116, 31, 45], [127, 0, 1, 1], wire);

    let base = format!("http://127.0.0.1:{port}");
    let ours =
        curl(&format!("{base}/resolve?name=hello.edge.example&type=A&ip=116.31.45.9&explain=1"));
    assert!(ours.contains("\"data\":\"127.0.1.1\""), "{ours}");
    assert!(ours.contains("\"explanation\":{"), "{ours}");
    let short = curl(&format!("{base}/d?dn=hello.edge.example&ip=120.85.100.9"));
    assert!(short.ends_with("\r\n\r\n127.0.1.2"), "{short}");
    let gone = curl(&format!("{base}/go/hello.edge.example/a?b=c"));
    assert!(gone.starts_with("HTTP/1.1 302 "), "{gone}");
    assert!(gone.contains(":8088/a?b=c\r\n"), "{gone}");
    let refused = curl(&format!("{base}/resolve?name=hello.edge.example&ip=300.1.1.1"));
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    let metrics = curl(&format!("http://127.0.0.1:{}/metrics", world.ports.admin));
    assert!(
        metrics.contains("nearside_httpdns_requests_total{outcome=\"redirected\"} 1"),
        "{metrics}"
    );
}
