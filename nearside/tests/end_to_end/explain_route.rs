//! `explain-route` against a gateway that runs, and against the documents alone.

use std::process::Output;

use super::world::World;

fn said(output: &Output) -> (Option<i32>, String) {
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    (output.status.code(), String::from_utf8_lossy(text).into_owned())
}

const SERVED: &str = "http://hello.edge.example:8080/a";
const NOBODY: &str = "http://nobody.example:8080/";

#[test]
fn a_running_gateway_and_its_documents_explain_alike() {
    let world = World::start();
    let live = |rest: &str| said(&world.command(&format!("explain-route {rest}")));

    let (code, text) = live(&format!("{SERVED} --site gd-ct-1"));
    assert_eq!(code, Some(0), "{text}");
    let origin = format!("127.0.2.1:{}", world.ports.origin);
    assert!(text.contains(" > hello.edge.example  /  ingress/default/hello#0  taken\n"), "{text}");
    assert!(text.contains(&format!("\n    {origin} healthy, breaker 0 missed 0 failed")), "{text}");
    assert!(text.ends_with("served: forwarded (a backend answers)\n"), "{text}");

    // The documents say the same but for what only a running gateway knows.
    let alone = format!("{SERVED} --site gd-ct-1 --documents examples/quickstart");
    let (code, alone) = live(&alone);
    assert_eq!(code, Some(0), "{alone}");
    let known = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("    "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(known(&text), known(&alone));

    let (code, text) = live(&format!("{NOBODY} --site gd-ct-1"));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("not served: 404 no-route (no rule is for the host"), "{text}");
    let answer = world.shell(
        "curl -s -o /dev/null -w %{http_code} --resolve nobody.example:8080:127.0.1.1 \
         http://nobody.example:8080/",
    );
    assert_eq!(answer, "404");

    // Six gateways in one process: whose is asked must be said, and each has its own endpoints.
    let (code, text) = live(SERVED);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("help: name it with --site; there are bj-core-1, gd-agg-1"), "{text}");
    let (code, text) = live("ftp://x/ --site gd-ct-1");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("help: write a method and an address"), "{text}");
    let (code, text) = live(&format!("{SERVED} --site gd-ct-1 --json"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("\"is_served\": true"), "{text}");

    // A web page in the operator's browser sees nothing of it.
    let rebound = world.shell(
        "curl -s -o /dev/null -w %{http_code} -H 'Host: rebound.example' \
         \"http://$NEARSIDE_ADMIN/v1/routes/explain?request=http://a/&site=gd-ct-1\"",
    );
    assert_eq!(rebound, "421");

    let dump = world.shell("curl -s http://$NEARSIDE_ADMIN/v1/gateways/gd-ct-1");
    for part in [
        "\"place\":\"shared http\",\"address\":\"127.0.1.1:8080\"",
        "{\"host\":\"hello.edge.example\",\"path\":\"/\",\"rule\":\"ingress/default/hello#0\"}",
        "\"backends\":[\"default/hello:80*1\"]",
        &format!("\"address\":\"{origin}\",\"state\":\"healthy\""),
    ] {
        assert!(dump.contains(part), "`{part}` is not in {dump}");
    }
    let none = world.shell("curl -s http://$NEARSIDE_ADMIN/v1/gateways/nowhere");
    assert!(none.contains("no gateway of site `nowhere` here"), "{none}");
}
