//! HTTPRoutes that copy requests to further backends.

use std::time::Duration;

use super::client::ask;
use super::echo::{self, Record};
use super::http_route::attach;
use super::stage::{HTTP, Stage};
use super::world::eventually;

const CHANGES: &str = "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: one}, {name: X-Append, value: two}], remove: [X-Remove]}}";

/// A backend of `INFRA` that keeps what it is asked.
fn recorded(stage: &Stage, name: &str) -> Record {
    let (port, record) = echo::start_recorded(name);
    stage.backend(name, "INFRA", ("TCP", port));
    record
}

fn mirror(backend: &str, share: &str) -> String {
    format!(
        "{{type: RequestMirror, requestMirror: {{backendRef: {{name: {backend}, namespace: INFRA, port: 8080}}{share}}}}}"
    )
}

fn rule(path: &str, filters: &[String]) -> String {
    format!(
        "\n  - {{matches: [{{path: {{value: {path}}}}}], filters: [{}], backendRefs: [{{name: infra-v1, port: 8080, namespace: INFRA}}]}}",
        filters.join(", ")
    )
}

/// Sends a request and waits until each record has one copy of it, changed as the answer says.
fn copied(stage: &Stage, request: &str, records: &[&Record]) {
    let to = stage.address("same", HTTP);
    let reply = Stage::until(to, request, |reply| {
        if reply.brief() == "200 infra-v1" { Ok(()) } else { Err(reply.brief()) }
    });
    let path = reply.asked["path"].clone();
    for record in records {
        let mut copies = Vec::new();
        eventually(request, || {
            copies.extend(record.take());
            let wanted = copies.iter().filter(|copy| copy["path"] == path).count();
            if wanted >= 3 { Ok(()) } else { Err(format!("{copies:?}")) }
        });
        for copy in &copies {
            for name in ["x-set", "x-add", "x-append", "x-remove", "host"] {
                assert_eq!(copy["headers"][name], reply.asked["headers"][name], "{name}");
            }
        }
    }
}

#[test]
fn http_route_request_mirror() {
    let stage = Stage::new("mirror");
    let copy = recorded(&stage, "copy");
    let rules = [
        rule("/mirror", &[mirror("copy", "")]),
        rule("/mirror-and-modify", &[CHANGES.to_owned(), mirror("copy", "")]),
    ];
    attach(&stage, "mirror", "same", &format!("\n  rules:{}", rules.concat()));
    copied(&stage, "a.test/mirror", &[&copy]);
    copied(&stage, "a.test/mirror-and-modify X-Remove:gone X-Append:one", &[&copy]);
}

#[test]
fn http_route_request_multiple_mirrors() {
    let stage = Stage::new("mirrors");
    let (first, second) = (recorded(&stage, "copy-1"), recorded(&stage, "copy-2"));
    let both = [mirror("copy-1", ""), mirror("copy-2", "")];
    let changed = [CHANGES.to_owned(), both[0].clone(), both[1].clone()];
    let rules = [rule("/multi", &both), rule("/multi-and-modify", &changed)];
    attach(&stage, "mirrors", "same", &format!("\n  rules:{}", rules.concat()));
    copied(&stage, "a.test/multi", &[&first, &second]);
    copied(&stage, "a.test/multi-and-modify X-Remove:gone X-Append:one", &[&first, &second]);
}

/// 500 requests, ten at a time: the copies must be within a twentieth of their share.
#[test]
fn http_route_request_percentage_mirror() {
    let stage = Stage::new("mirror-share");
    let copy = recorded(&stage, "copy");
    let fraction = ", fraction: {numerator: 25, denominator: 50}";
    let rows = [("/percent", ", percent: 20", 100), ("/fraction", fraction, 250)];
    let mut rules: Vec<String> =
        rows.iter().map(|(path, share, _)| rule(path, &[mirror("copy", share)])).collect();
    let changed = [CHANGES.to_owned(), mirror("copy", ", percent: 35")];
    rules.push(rule("/percent-and-modify", &changed));
    attach(&stage, "mirror-share", "same", &format!("\n  rules:{}", rules.concat()));
    let to = stage.address("same", HTTP);
    let last = ("/percent-and-modify", "", 175);
    for (path, _, wanted) in rows.into_iter().chain([last]) {
        let request = format!("a.test{path}");
        stage.answers("same", &[(&request, "200 infra-v1")]);
        settled(&copy);
        std::thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let reply = ask(to, &request).expect("an answer");
                        assert_eq!(reply.brief(), "200 infra-v1");
                    }
                });
            }
        });
        let copies = settled(&copy);
        let tolerance = wanted / 20;
        assert!(copies.abs_diff(wanted) <= tolerance, "{path}: {copies} of {wanted}");
    }
}

/// The copies that came, once none comes any more.
fn settled(record: &Record) -> usize {
    let (mut all, mut quiet) = (0, 0);
    while quiet < 10 {
        std::thread::sleep(Duration::from_millis(20));
        let more = record.take().len();
        quiet = if more == 0 { quiet + 1 } else { 0 };
        all += more;
    }
    all
}
