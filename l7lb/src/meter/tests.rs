//! What is counted, under which name, and what is forgotten.

use super::*;

fn site() -> SiteName {
    SiteName::new("s").unwrap()
}

fn ids(names: &[&str]) -> Vec<Arc<str>> {
    names.iter().map(|name| Arc::from(*name)).collect()
}

fn shown(meters: &RouteMeters) -> Vec<String> {
    let mut text = String::new();
    meters.write(&site(), &mut text);
    text.lines().filter(|line| !line.ends_with(" 0")).map(str::to_owned).collect()
}

#[test]
fn a_duration_is_in_the_bucket_of_its_bound_and_in_all_above() {
    let durations = Durations::default();
    for us in [0, 1_000, 1_001, 9_999_999, 10_000_001] {
        durations.observe(us);
    }
    let mut text = String::new();
    durations.write("d", &site(), &mut text);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "d_bucket{site=\"s\",le=\"0.001\"} 2");
    assert_eq!(lines[1], "d_bucket{site=\"s\",le=\"0.0025\"} 3");
    assert_eq!(lines[12], "d_bucket{site=\"s\",le=\"10\"} 4");
    assert_eq!(lines[13], "d_bucket{site=\"s\",le=\"+Inf\"} 5");
    assert_eq!(lines[14], "d_sum{site=\"s\"} 20.002001");
    assert_eq!(lines[15], "d_count{site=\"s\"} 5");
    assert_eq!(lines.len(), 16);
}

#[test]
fn a_route_has_five_series_and_those_above_the_limit_share_them() {
    let routes = ids(&["a", "b", "c", "d"]);
    let meters = RouteMeters::follow(routes.iter().map(Some), 2, &RouteMeters::default());
    for rule in 0..4 {
        meters.observe(rule, 200, Duration::from_millis(1));
    }
    meters.observe(0, 503, Duration::from_millis(2));
    // The client left, or the rule is of another view: neither is an answer.
    meters.observe(0, 0, Duration::from_secs(1));
    meters.observe(9, 200, Duration::from_secs(1));
    let mut text = String::new();
    meters.write(&site(), &mut text);
    assert_eq!(text.lines().count(), 15, "two routes and the rest:\n{text}");
    assert_eq!(
        shown(&meters),
        [
            "nearside_route_requests_total{site=\"s\",route=\"a\",class=\"2xx\"} 1",
            "nearside_route_requests_total{site=\"s\",route=\"a\",class=\"5xx\"} 1",
            "nearside_route_requests_total{site=\"s\",route=\"b\",class=\"2xx\"} 1",
            "nearside_route_requests_total{site=\"s\",route=\"other\",class=\"2xx\"} 2",
            "nearside_route_request_seconds_sum{site=\"s\",route=\"a\"} 0.003",
            "nearside_route_request_seconds_sum{site=\"s\",route=\"b\"} 0.001",
            "nearside_route_request_seconds_sum{site=\"s\",route=\"other\"} 0.002",
        ]
    );
}

#[test]
fn a_route_counts_on_over_reloads_and_is_forgotten_with_its_document() {
    let first = RouteMeters::follow(ids(&["a", "b"]).iter().map(Some), 9, &RouteMeters::default());
    first.observe(0, 204, Duration::ZERO);
    first.observe(1, 404, Duration::ZERO);
    let second = RouteMeters::follow(ids(&["b"]).iter().map(Some), 9, &first);
    second.observe(0, 404, Duration::ZERO);
    assert_eq!(
        shown(&second),
        ["nearside_route_requests_total{site=\"s\",route=\"b\",class=\"4xx\"} 2"]
    );
    let third = RouteMeters::follow(ids(&["a"]).iter().map(Some), 9, &second);
    assert_eq!(shown(&third), [""; 0], "a new document of an old name begins anew");
}

#[test]
fn several_rules_of_one_id_are_one_route() {
    let meters = RouteMeters::follow(ids(&["a", "a"]).iter().map(Some), 1, &RouteMeters::default());
    meters.observe(0, 200, Duration::ZERO);
    meters.observe(1, 200, Duration::ZERO);
    assert_eq!(
        shown(&meters),
        ["nearside_route_requests_total{site=\"s\",route=\"a\",class=\"2xx\"} 2"]
    );
}
