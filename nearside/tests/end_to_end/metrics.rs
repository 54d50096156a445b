//! What `/metrics` says of routes: five series each, and none of a route that is gone.

use super::world::World;

#[test]
fn routes_are_counted_when_asked_and_forgotten_when_gone() {
    let mut world = World::prepare();
    let mut arguments = world.run_arguments();
    arguments.extend(["--route-metrics".to_owned(), "100".to_owned()]);
    world.spawn(&arguments.join(" "));
    world.wait_until_served();
    let answer = world.shell(
        "curl -s --resolve hello.edge.example:8080:127.0.1.1 http://hello.edge.example:8080/",
    );
    assert!(answer.contains("served by"), "{answer}");
    let scrape = || world.shell("curl -s http://$NEARSIDE_ADMIN/metrics");
    let text = scrape();
    let of_route = |text: &str, name: &str| {
        let of = |line: &&str| line.starts_with("nearside_route_") && line.contains(name);
        text.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
    };
    let hello = of_route(&text, "site=\"gd-ct-1\",route=\"ingress/default/hello#0\"");
    assert_eq!(hello.len(), 5, "{text}");
    // Probes of the site come through the same route.
    let value = |line: &String| line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok());
    let answered: f64 =
        hello.iter().filter(|l| l.contains("class=\"2xx\"")).filter_map(value).sum();
    assert!(answered >= 1.0, "{hello:?}");
    let count = text
        .lines()
        .find(|line| line.starts_with("nearside_gateway_request_seconds_count{site=\"gd-ct-1\"}"));
    assert!(count.is_some_and(|line| !line.ends_with(" 0")), "{text}");

    world.edit(
        "gateway.yaml",
        "metadata: {name: hello, namespace",
        "metadata: {name: hola, namespace",
    );
    let start = std::time::Instant::now();
    let text = loop {
        let text = scrape();
        if of_route(&text, "route=\"ingress/default/hola#0\"").len() >= 5 {
            break text;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{text}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    assert!(of_route(&text, "ingress/default/hello#").is_empty(), "{text}");
}
