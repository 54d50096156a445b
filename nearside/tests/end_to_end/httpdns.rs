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

const PLACES: &str = "\
apiVersion: nearside.dev/v1alpha1
kind: LocaleMap
metadata: {name: places}
spec:
  cells:
    - ids: [460-11-2817]
      locale: {subdivision: CN-GS, isp: ct, coordinates: {lat: 36.06, lon: 103.83}, area: lanzhou}
";

/// Asks with curl for a name at a gateway's address, as from `from`.
fn through_gateway(world: &World, from: &str, path: &str) -> String {
    let url = format!("http://127.0.1.1:{}{path}", world.ports.http);
    let arguments =
        ["-si", "--max-time", "5", "--interface", from, "-H", "Host: httpdns.edge.example"];
    let output = Command::new("curl").args(arguments).arg(url).output();
    String::from_utf8_lossy(&output.expect("curl runs").stdout).into_owned()
}

#[test]
fn a_place_over_http_through_the_gateway_and_in_an_explanation() {
    let mut world = World::prepare();
    let documents = world.directory.path().join("examples/quickstart");
    std::fs::write(documents.join("places.yaml"), PLACES).expect("written");
    let line = world.run_arguments().join(" ");
    world.spawn(&format!("{line} --httpdns-host HTTPDNS.edge.example"));
    world.wait_until_served();
    let wire = Duration::from_secs(10);
    world.ask_until("hello.edge.example", [116, 31, 45], [127, 0, 1, 1], wire);

    let resolve = "/resolve?name=hello.edge.example";
    let ask = |place: &str| through_gateway(&world, "127.0.0.1", &format!("{resolve}&{place}"));
    // Guangzhou's telecom room, Guangzhou's unicom room, and Lanzhou's.
    let data = |address: &str| format!("\"data\":\"{address}\"");
    let guangzhou = "lat=23.13&lon=113.26&subdivision=CN-GD";
    assert!(ask(&format!("{guangzhou}&isp=ct")).contains(&data("127.0.1.1")));
    assert!(ask(&format!("{guangzhou}&isp=cu")).contains(&data("127.0.1.2")));
    assert!(ask("cell=460-11-2817").contains(&data("127.0.1.3")));
    assert!(ask("area=lanzhou").contains(&data("127.0.1.3")));
    let refused = ask("cell=7");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.ends_with("{\"error\":\"no LocaleMap has the cell `7`\"}"), "{refused}");

    // The gateway says who called, and nothing is explained to the world.
    let own = through_gateway(&world, "127.0.0.9", resolve);
    assert!(own.contains("\"edns_client_subnet\":\"127.0.0.9/"), "{own}");
    let explained = through_gateway(&world, "127.0.0.9", &format!("{resolve}&explain=1"));
    assert!(explained.starts_with("HTTP/1.1 501 "), "{explained}");
    let other = curl(&format!("http://127.0.1.1:{}{resolve}", world.ports.http));
    assert!(other.starts_with("HTTP/1.1 404 "), "only under its own hostname: {other}");

    // An edit of the documents leaves the route as it is.
    let edited =
        format!("{PLACES}    - {{ids: [460-11-9], locale: {{subdivision: CN-GD, isp: cu}}}}\n");
    std::fs::write(documents.join("places.yaml"), edited).expect("written");
    let patience = std::time::Instant::now() + wire;
    while !ask("cell=460-11-9").contains(&data("127.0.1.2")) {
        assert!(std::time::Instant::now() < patience, "{}", ask("cell=460-11-9"));
        std::thread::sleep(Duration::from_millis(100));
    }

    let admin = world.ports.admin;
    let line = format!(
        "explain hello.edge.example --cell 460-11-2817 --class bulk --admin 127.0.0.1:{admin}"
    );
    let told = world.command(&line);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    // The ladder goes before the class's tiers: its carrier's room in its province is the first.
    assert!(text.starts_with("default/hello -> gs-ct-1 (best)\n"), "{text}");
    assert!(text.contains(" *  1     gs-ct-1    access       tier 3 "), "{text}");
    assert!(text.contains("    2     bj-core-1  core         rung 2 tier 1 "), "{text}");
    assert!(text.contains("  client  0.0.0.0 (by its place, bulk)\n"), "{text}");
    assert!(text.contains("  locale  CN-GS, cn-ct, area lanzhou, 36.06 103.83\n"), "{text}");
    let offline =
        "explain hello.edge.example --policy examples/quickstart --lat 36.06 --lon 103.83";
    let told = world.command(&format!("{offline} --subdivision CN-GS --isp ct"));
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(text.starts_with("default/hello -> gs-ct-1 (best)\n"), "{text}");
    let told = world
        .command(&format!("explain hello.edge.example --lat 91 --lon 0 --admin 127.0.0.1:{admin}"));
    assert_eq!(told.status.code(), Some(2));
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(said.contains("`lat` is not a latitude in degrees, from -90 to 90"), "{said}");
}
