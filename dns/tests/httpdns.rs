//! HTTPDNS: what each form answers, whole; equal to the wire; and over real sockets.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dns::httpdns::{
    Answer, Asker, Config, Explain, Limits, Redirect, Request, Rules, Scheme, Secret, Server,
    Stats, Verb, answer,
};
use dns::{StartError, Transport, View};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::header::HeaderName;
use hyper_util::rt::TokioIo;
use model::geo::{Locale, Point};
use model::observe::{Client, Verdict};
use model::record::RecordType;
use proptest::prelude::*;
use serde_json::{Value, json};
use steering::{Generation, SnapshotCell, SteeringMap};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use world::{Ask, healthy, snapshot, verdicts, view, view_of};

/// Long enough for any machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// A phone of Guangdong Telecom, as the world's map has it.
const PHONE: &str = "1.2.3.4";

fn ask_as(view: &View, target: &str, asker: Asker, rules: &Rules) -> Answer {
    match Request::parse(target) {
        Ok(request) => answer(view, &request, asker, rules),
        Err(error) => Answer::from(error),
    }
}

fn reader(ip: &str) -> Asker {
    Asker { ip: ip.parse().expect("an address"), verb: Verb::Read }
}

/// Status and seconds to keep, then the place or the body.
fn told(answer: &Answer) -> String {
    let what = answer.location.as_ref().unwrap_or(&answer.body);
    format!("{} {} {what}", answer.status, answer.cache_s)
}

#[track_caller]
fn check(target: &str, wanted: &str) {
    assert_eq!(told(&ask_as(&view(), target, reader(PHONE), &Rules::default())), wanted);
}

const FLAGS: &str = r#""TC":false,"RD":false,"RA":false,"AD":false,"CD":false"#;

#[test]
fn our_own_form_answers_as_public_resolvers_do() {
    let hello = |ip: &str, address: &str, scope: &str| {
        format!(
            r#"{{"Status":0,{FLAGS},"Question":[{{"name":"hello.edge.example.","type":1}}],"Answer":[{{"name":"hello.edge.example.","type":1,"TTL":30,"data":"{address}"}}],"edns_client_subnet":"{ip}/{scope}","reason":"best"}}"#
        )
    };
    let kept = |body: String| format!("200 30 {body}");
    // The caller is the client, unless it says who is.
    check("/resolve?name=hello.edge.example", &kept(hello(PHONE, "198.51.100.2", "16")));
    check(
        "/resolve?name=HELLO.edge.example.&type=1&ip=1.3.9.9",
        &kept(hello("1.3.9.9", "198.51.100.3", "16")),
    );
    check(
        "/resolve?name=hello.edge.example&edns_client_subnet=8.8.8.0/24",
        &kept(hello("8.8.8.0", "198.51.100.1", "5")),
    );
    check(
        "/resolve?name=alias.edge.example&type=AAAA",
        &format!(
            r#"200 30 {{"Status":0,{FLAGS},"Question":[{{"name":"alias.edge.example.","type":28}}],"Answer":[{{"name":"alias.edge.example.","type":5,"TTL":300,"data":"hello.edge.example."}},{{"name":"hello.edge.example.","type":28,"TTL":30,"data":"2001:db8:2::1"}}],"edns_client_subnet":"1.2.3.4/16","reason":"best"}}"#
        ),
    );
    check(
        "/resolve?name=nobody.edge.example",
        &format!(
            r#"200 60 {{"Status":3,{FLAGS},"Question":[{{"name":"nobody.edge.example.","type":1}}],"Authority":[{{"name":"edge.example.","type":6,"TTL":60,"data":"ns1.edge.example. hostmaster.edge.example. 7 7200 900 1209600 60"}}],"edns_client_subnet":"1.2.3.4/0"}}"#
        ),
    );
    check(
        "/resolve?name=www.other.net",
        &format!(
            r#"200 0 {{"Status":5,{FLAGS},"Question":[{{"name":"www.other.net.","type":1}}],"edns_client_subnet":"1.2.3.4/0","extended_errors":[{{"code":20,"text":""}}]}}"#
        ),
    );
}

#[test]
fn alibaba_clouds_form() {
    check(
        "/100000/d?host=hello.edge.example",
        r#"200 30 {"host":"hello.edge.example","client_ip":"1.2.3.4","ips":["198.51.100.2"],"ipsv6":[],"ttl":30,"origin_ttl":30}"#,
    );
    check(
        "/100000/d?host=hello.edge.example&ip=1.3.0.1&query=4,6",
        r#"200 30 {"host":"hello.edge.example","client_ip":"1.3.0.1","ips":["198.51.100.3"],"ipsv6":["2001:db8:3::1"],"ttl":30,"origin_ttl":30}"#,
    );
    check(
        "/100000/d?host=www.edge.example",
        r#"200 300 {"host":"www.edge.example","client_ip":"1.2.3.4","ips":["192.0.2.1","192.0.2.2"],"ipsv6":[],"ttl":300,"origin_ttl":300}"#,
    );
    check(
        "/100000/d?host=nobody.edge.example&query=6",
        r#"200 60 {"host":"nobody.edge.example","client_ip":"1.2.3.4","ips":[],"ipsv6":[],"ttl":60,"origin_ttl":60}"#,
    );
    check(
        "/100000/d?host=www.other.net",
        r#"404 0 {"error":"`www.other.net.` is in no zone served here"}"#,
    );
    check(
        "/100000/resolve?host=hello.edge.example,www.other.net,www.edge.example&ip=1.2.0.9",
        r#"200 30 {"dns":[{"host":"hello.edge.example","client_ip":"1.2.0.9","ips":["198.51.100.2"],"type":1,"ttl":30,"origin_ttl":30},{"host":"www.edge.example","client_ip":"1.2.0.9","ips":["192.0.2.1","192.0.2.2"],"type":1,"ttl":300,"origin_ttl":300}]}"#,
    );
    check(
        "/100000/resolve?host=hello.edge.example&query=4,6",
        r#"200 30 {"dns":[{"host":"hello.edge.example","client_ip":"1.2.3.4","ips":["198.51.100.2"],"type":1,"ttl":30,"origin_ttl":30},{"host":"hello.edge.example","client_ip":"1.2.3.4","ips":["2001:db8:2::1"],"type":28,"ttl":30,"origin_ttl":30}]}"#,
    );
}

#[test]
fn tencent_clouds_form() {
    check("/d?dn=hello.edge.example", "200 30 198.51.100.2");
    check("/d?dn=hello.edge.example.&ip=1.3.0.1&ttl=1", "200 30 198.51.100.3,30");
    check("/d?dn=www.edge.example&ttl=1", "200 300 192.0.2.1;192.0.2.2,300");
    check("/d?dn=hello.edge.example&type=AAAA&ttl=1", "200 30 2001:db8:2::1,30");
    check("/d?dn=nobody.edge.example&ttl=1", "200 60 ");
    check("/d?dn=www.other.net", r#"404 0 {"error":"`www.other.net.` is in no zone served here"}"#);
}

#[test]
fn redirects_lead_to_the_callers_site() {
    check("/go/hello.edge.example/a/b?c=d", "302 0 http://198.51.100.2/a/b?c=d");
    check("/go/alias.edge.example", "302 0 http://198.51.100.2/");
    // What is not steered is nobody's site.
    check("/go/www.edge.example/", r#"404 0 {"error":"`www.edge.example.` is not steered here"}"#);
    check("/go/www.other.net/", r#"404 0 {"error":"`www.other.net.` is not steered here"}"#);
    check("/go/fenced.edge.example/", r#"503 0 {"error":"no site for this client: fenced"}"#);
    let redirect = Redirect { scheme: Scheme::Https, port: 8443 };
    let rules = Rules { redirect, ..Rules::default() };
    let go = |ip: &str, verb: Verb, target: &str| {
        let asker = Asker { verb, ..reader(ip) };
        told(&ask_as(&view(), target, asker, &rules))
    };
    let hello = "/go/hello.edge.example//x";
    assert_eq!(go("1.3.0.1", Verb::Write, hello), "307 0 https://198.51.100.3:8443//x");
    assert_eq!(go("::ffff:1.3.0.1", Verb::Read, hello), "302 0 https://198.51.100.3:8443//x");
    assert_eq!(go("2001:db8:ff00::1", Verb::Read, hello), "302 0 https://[2001:db8:2::1]:8443//x");
    // The core has no IPv6: better the other family than nowhere.
    assert_eq!(go("2001:db8::1", Verb::Read, hello), "302 0 https://198.51.100.1:8443//x");
}

#[test]
fn refusals_are_told_as_json() {
    check(
        "/resolve?name=a..b",
        r#"400 0 {"error":"`name` is not a domain name: the name has an empty label"}"#,
    );
    check(
        "/resolve?name=a&%22%0A=1",
        "400 0 {\"error\":\"unsupported parameter `\\\"\\n`; help: this form takes `name`, `type`, \
         `ip`, `edns_client_subnet`, `lat`, `lon`, `cell`, `area`, `country`, `subdivision`, `isp`, \
         `class`, `explain`, `t` and `s`\"}",
    );
    check(
        "/resolve?name=hello.edge.example&explain=1",
        r#"501 0 {"error":"this server explains nothing; help: leave `explain` out"}"#,
    );
    let writer = Asker { verb: Verb::Write, ..reader(PHONE) };
    let refused = ask_as(&view(), "/d?dn=hello.edge.example", writer, &Rules::default());
    assert_eq!(told(&refused), r#"405 0 {"error":"only GET and HEAD are answered here"}"#);
}

#[test]
fn health_and_its_reasons_are_those_of_the_wire() {
    let down = view_of(&snapshot(verdicts([Verdict::Up, Verdict::Down, Verdict::Failing])));
    let ask = |target: &str| told(&ask_as(&down, target, reader(PHONE), &Rules::default()));
    assert_eq!(ask("/d?dn=hello.edge.example&ttl=1"), "200 30 198.51.100.1,30");
    assert_eq!(ask("/d?dn=hello.edge.example&ttl=1&ip=1.3.0.1"), "200 15 198.51.100.3,15");
    assert_eq!(
        ask("/resolve?name=fenced.edge.example"),
        format!(
            r#"200 30 {{"Status":0,{FLAGS},"Question":[{{"name":"fenced.edge.example.","type":1}}],"Authority":[{{"name":"edge.example.","type":6,"TTL":30,"data":"ns1.edge.example. hostmaster.edge.example. 7 7200 900 1209600 60"}}],"edns_client_subnet":"1.2.3.4/16","reason":"fenced","extended_errors":[{{"code":18,"text":"no site may serve this client"}}]}}"#
        )
    );
}

/// Says what it was asked.
fn echo() -> Rules {
    let explain = Explain::new(|name, Client { ip, source_len }, place| {
        let is_service = name.to_string() == "hello.edge.example.";
        let place = place.and_then(|place| place.locale.point);
        is_service.then(|| match place {
            Some(point) => json!({ "ip": ip, "latCdeg": point.lat_cdeg }),
            None => json!({ "ip": ip, "sourceLen": source_len }),
        })
    });
    Rules { explain: Some(explain), ..Rules::default() }
}

#[test]
fn an_explanation_is_asked_for_the_client_and_the_name_that_were_decided_on() {
    let view = view();
    let ask = |query: &str| {
        let target = format!("/resolve?explain=1&{query}");
        let answer = ask_as(&view, &target, reader(PHONE), &echo());
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        body.get("explanation").cloned()
    };
    let phone = Some(json!({ "ip": PHONE, "sourceLen": 32 }));
    assert_eq!(ask("name=hello.edge.example"), phone);
    assert_eq!(ask("name=alias.edge.example"), phone);
    assert_eq!(
        ask("name=hello.edge.example&edns_client_subnet=1.3.0.0/16"),
        Some(json!({ "ip": "1.3.0.0", "sourceLen": 16 }))
    );
    assert_eq!(
        ask("name=hello.edge.example&edns_client_subnet=::/0"),
        Some(json!({ "ip": PHONE, "sourceLen": null }))
    );
    assert_eq!(ask("name=www.edge.example"), Some(Value::Null));
}

/// The world with its sites at three places and a cell at the third.
fn placed() -> View {
    let point = |lat_cdeg, lon_cdeg| Point { lat_cdeg, lon_cdeg };
    let points = [point(3990, 11641), point(2313, 11326), point(2254, 11406)];
    let cell = Locale { point: Some(points[2]), ..Locale::default() };
    let mut snapshot = snapshot(healthy());
    let mut map = SteeringMap::clone(&snapshot.map);
    map.atlas.site_points = points.map(Some).into();
    map.atlas.cells = vec![("460-00-1".into(), cell)];
    snapshot.map = Arc::new(map);
    view_of(&snapshot)
}

#[test]
fn a_place_goes_before_the_address() {
    let view = placed();
    let ask = |query: &str| {
        let target = format!("/resolve?name=hello.edge.example&{query}");
        let answer = ask_as(&view, &target, reader(PHONE), &echo());
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        let scope = body["edns_client_subnet"].clone();
        (answer.status, body["Answer"][0]["data"].clone(), scope)
    };
    let told = |address: &str| (200, Value::from(address), Value::from("1.2.3.4/32"));
    assert_eq!(ask("type=A"), (200, "198.51.100.2".into(), "1.2.3.4/16".into()));
    assert_eq!(ask("lat=39.9&lon=116.4"), told("198.51.100.1"));
    assert_eq!(ask("lat=23.1&lon=113.3"), told("198.51.100.2"));
    assert_eq!(ask("cell=460-00-1"), told("198.51.100.3"));
    assert_eq!(ask("cell=460-00-1&lat=39.9&lon=116.4"), told("198.51.100.1"));
    assert_eq!(ask("cell=460-00-1&ip=9.8.7.6"), (200, "198.51.100.3".into(), "9.8.7.6/32".into()));
    // All three are core: every class ends up with the nearest.
    assert_eq!(ask("cell=460-00-1&class=bulk"), told("198.51.100.3"));

    let refused = |query: &str| {
        let target = format!("/resolve?name=hello.edge.example&{query}");
        told_of(&ask_as(&view, &target, reader(PHONE), &Rules::default()))
    };
    assert_eq!(refused("cell=7"), r#"400 {"error":"no LocaleMap has the cell `7`"}"#);
    assert_eq!(refused("area=a"), r#"400 {"error":"no LocaleMap has the area `a`"}"#);
    assert_eq!(refused("lat=1"), r#"400 {"error":"`lon` is missing beside `lat`"}"#);

    let target = "/resolve?name=hello.edge.example&lat=23.1&lon=113.3&explain=1";
    let body: Value =
        serde_json::from_str(&ask_as(&view, target, reader(PHONE), &echo()).body).expect("JSON");
    assert_eq!(body["explanation"], json!({ "ip": PHONE, "latCdeg": 2310 }));
}

fn told_of(answer: &Answer) -> String {
    format!("{} {}", answer.status, answer.body)
}

#[tokio::test]
async fn a_proxy_says_who_calls_and_nothing_is_explained_to_them() {
    let limits = Limits { lookups_burst: 3, lookups_per_s: 1, ..Limits::default() };
    let any = vec!["127.0.0.1:0".parse().expect("an address")];
    let config = Config { behind_proxy: any, ..config(limits) };
    let server = Server::start(config, start_dns(cell())).expect("starts");
    let (direct, behind) = (server.local_addrs()[0], server.behind_proxy_addrs()[0]);
    let ask = async |address: SocketAddr, forwarded: &str, query: &str| {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let head = format!(
            "GET /resolve?name=hello.edge.example{query} HTTP/1.1\r\nhost: x\r\n\
             x-forwarded-for: {forwarded}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        let subnet = text.split("\"edns_client_subnet\":\"").nth(1).unwrap_or("");
        let status = text.split(' ').nth(1).expect("a status").to_owned();
        (status, subnet.split('"').next().expect("some").to_owned())
    };
    let ok = |subnet: &str| ("200".to_owned(), subnet.to_owned());
    // The last one named is whom the proxy saw.
    assert_eq!(ask(behind, "9.9.9.9, 1.3.0.1", "").await, ok("1.3.0.1/16"));
    assert_eq!(ask(behind, "1.2.3.4", "").await, ok("1.2.3.4/16"));
    assert_eq!(ask(behind, "1.2.3.5", "&explain=1").await.0, "501");
    assert_eq!(ask(behind, "nonsense", "").await.1.split('/').next(), Some("127.0.0.1"));
    // Each client of the proxy has its own rate.
    assert_eq!(ask(behind, "1.2.3.5", "").await.0, "429");
    assert_eq!(ask(behind, "1.3.0.1", "").await.0, "200");
    // Whoever connects directly is nobody else.
    assert_eq!(ask(direct, "1.2.3.4", "").await.1.split('/').next(), Some("127.0.0.1"));
    server.shutdown().await;
}

/// The wire's answer and the JSON's in the same words: code, records, scope.
fn of_wire(answer: &str) -> Vec<String> {
    let mut lines: Vec<String> = answer
        .lines()
        .filter(|line| !line.starts_with('+') && !line.starts_with("edns"))
        // hickory without its DNSSEC part gives the zone's one DS in Base64.
        .map(|line| line.replace("AAENAgECAwQ=", "1 13 2 01020304"))
        .map(|line| line.replace('"', "").to_lowercase())
        .collect();
    // The flags are not told over HTTP.
    lines[0] = lines[0].split(' ').next().unwrap_or_default().to_owned();
    let subnet = answer.split(' ').find_map(|word| word.strip_prefix("ecs="));
    let scope = subnet.and_then(|subnet| subnet.rsplit('/').next());
    lines.push(scope.unwrap_or("none").to_owned());
    lines
}

fn of_json(body: &str) -> Vec<String> {
    const RCODES: [&str; 6] = ["noerror", "formerr", "servfail", "nxdomain", "notimp", "refused"];
    let body: Value = serde_json::from_str(body).expect("JSON");
    let status = usize::try_from(body["Status"].as_u64().expect("a code")).expect("small");
    let mut lines = vec![RCODES[status].to_owned()];
    for (section, key) in [("", "Answer"), ("@", "Authority")] {
        for record in body[key].as_array().into_iter().flatten() {
            let number = u16::try_from(record["type"].as_u64().expect("a type")).expect("16 bits");
            let (name, ttl_s) = (record["name"].as_str().expect("a name"), &record["TTL"]);
            let data = record["data"].as_str().expect("text").replace('"', "");
            let line = format!("{section}{name} {ttl_s} {} {data}", RecordType(number));
            lines.push(line.to_lowercase());
        }
    }
    let subnet = body["edns_client_subnet"].as_str();
    let scope = subnet.and_then(|subnet| subnet.rsplit('/').next());
    lines.push(scope.unwrap_or("none").to_owned());
    lines
}

const NAMES: &[&str] = &[
    "hello",
    "HeLLo",
    "fenced",
    "none",
    "four",
    "x.fn",
    "a.b.fn",
    "www",
    "big",
    "alias",
    "alias2",
    "loop",
    "out",
    "dead",
    "old",
    "hello.old",
    "x.sub",
    "sub",
    "tosub",
    "empty",
    "deep.empty",
    "x.wild",
    "taken.wild",
    "nobody",
];
const TYPES: &[&str] =
    &["A", "AAAA", "CNAME", "NS", "SOA", "MX", "TXT", "HTTPS", "DS", "DNAME", "ANY", "AXFR"];

fn ips() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|ip| Ipv4Addr::from(ip).into()),
        any::<u16>().prop_map(|low| Ipv4Addr::from(0x0102_0000 | u32::from(low)).into()),
        any::<u16>().prop_map(|low| Ipv4Addr::from(0x0103_0000 | u32::from(low)).into()),
        any::<u128>().prop_map(|ip| Ipv6Addr::from(ip).into()),
        any::<u64>()
            .prop_map(|low| { Ipv6Addr::from(0x2001_0db8_ff00 << 80 | u128::from(low)).into() }),
    ]
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::Up, Verdict::Failing, Verdict::Down, Verdict::Unknown])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_equals_the_wires(
        name in prop::sample::select(NAMES),
        record_type in prop::sample::select(TYPES),
        ip in ips(),
        health in [verdict(), verdict(), verdict()],
        source_len in 0_u8..=128,
    ) {
        let view = view_of(&snapshot(verdicts(health)));
        let name = format!("{name}.edge.example");
        let number = RecordType::parse(record_type).expect("a type");
        // An address has full length; a prefix has its bits past the length cleared.
        let (full_len, cleared): (u8, IpAddr) = match ip {
            IpAddr::V4(ip) => {
                let len = source_len.min(32);
                (32, Ipv4Addr::from(u32::from(ip) & !u32::MAX.checked_shr(len.into()).unwrap_or(0)).into())
            }
            IpAddr::V6(ip) => {
                (128, Ipv6Addr::from(u128::from(ip) & !u128::MAX.checked_shr(source_len.into()).unwrap_or(0)).into())
            }
        };
        let prefix = format!("{cleared}/{}", source_len.min(full_len));
        for (parameter, subnet) in [
            (format!("ip={ip}"), format!("{ip}/{full_len}")),
            (format!("edns_client_subnet={prefix}"), prefix),
        ] {
            let target = format!("/resolve?name={name}&type={record_type}&{parameter}");
            let over_http = ask_as(&view, &target, reader("9.9.9.9"), &Rules::default());
            let over_dns =
                Ask::new(&name.to_lowercase(), number).subnet(&subnet).answer_over(&view, Transport::Tcp);
            prop_assert_eq!(over_http.status, 200, "{}", over_http.body);
            prop_assert_eq!(of_json(&over_http.body), of_wire(&over_dns), "{}", target);
        }
    }

    #[test]
    fn no_query_panics_and_every_answer_is_whole(
        form in prop::sample::select(vec![
            "/resolve?name=", "/resolve?ip=1.2.3.4&type=TXT&name=", "/resolve?name=.&type=",
            "/d?dn=", "/1/d?host=", "/1/resolve?query=4,6&host=", "/go/",
        ]),
        rest in "([a-z0-9.*,_-]|edge\\.example|%5C[0-9]{3}|%[0-9a-fA-F]{2}|[&=?/]|\\PC){0,40}",
    ) {
        let answer = ask_as(&view(), &format!("{form}{rest}"), reader("9.9.9.9"), &echo());
        prop_assert!([200, 302, 400, 404, 503].contains(&answer.status), "{:?}", answer);
        if answer.content_type == "application/json" {
            prop_assert!(serde_json::from_str::<Value>(&answer.body).is_ok());
        }
    }
}

fn cell() -> Arc<SnapshotCell> {
    Arc::new(SnapshotCell::new(snapshot(healthy())))
}

fn start_dns(cell: Arc<SnapshotCell>) -> Arc<dns::Server> {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    let config = dns::Config { listen, workers: Some(1), ..dns::Config::default() };
    Arc::new(dns::Server::start(config, cell).expect("DNS starts"))
}

fn config(limits: Limits) -> Config {
    let listen = vec!["127.0.0.1:0".parse().expect("an address")];
    Config { listen, limits, rules: echo(), ..Config::default() }
}

fn start(limits: Limits) -> (Server, SocketAddr) {
    let server = Server::start(config(limits), start_dns(cell())).expect("starts");
    let address = server.local_addrs()[0];
    (server, address)
}

struct Response {
    status: u16,
    headers: hyper::HeaderMap,
    body: String,
}

impl Response {
    fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }
}

/// One request on a connection of its own.
async fn send(address: SocketAddr, method: &str, target: &str) -> Response {
    let stream = TcpStream::connect(address).await.expect("connects");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    let driver = tokio::spawn(connection);
    let request = hyper::Request::builder()
        .method(method)
        .uri(target)
        .header("host", "httpdns")
        .body(Full::<Bytes>::default())
        .expect("a request");
    let response = sender.send_request(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    drop(sender);
    let _ended = driver.await;
    let body = String::from_utf8(body.to_vec()).expect("UTF-8");
    Response { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// Everything the server sends until it closes.
async fn read_all(mut stream: TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    let _reset_or_end = read.expect("the server closes it");
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_is_served_over_a_socket_and_counted() {
    let (server, address) = start(Limits::default());
    let hello = send(address, "GET", "/d?dn=hello.edge.example&ip=1.2.3.4&ttl=1").await;
    assert_eq!((hello.status, hello.body.as_str()), (200, "198.51.100.2,30"));
    assert_eq!(hello.header(hyper::header::CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(hello.header(hyper::header::CACHE_CONTROL), "private, max-age=30");
    // The caller is on loopback: the world's own site.
    let own = send(address, "GET", "/100000/d?host=hello.edge.example").await;
    assert_eq!(
        own.body,
        r#"{"host":"hello.edge.example","client_ip":"127.0.0.1","ips":["198.51.100.1"],"ipsv6":[],"ttl":30,"origin_ttl":30}"#
    );
    let head = send(address, "HEAD", "/d?dn=hello.edge.example&ip=1.2.3.4").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header(hyper::header::CONTENT_LENGTH), "12");
    let explained = send(address, "GET", "/resolve?name=hello.edge.example&explain=1").await;
    assert!(explained.body.ends_with(r#""explanation":{"ip":"127.0.0.1","sourceLen":32}}"#));
    let posted = send(address, "POST", "/d?dn=hello.edge.example").await;
    assert_eq!((posted.status, posted.header(hyper::header::ALLOW)), (405, "GET, HEAD"));
    let lost = send(address, "GET", "/").await;
    assert_eq!((lost.status, lost.header(hyper::header::CACHE_CONTROL)), (404, "no-store"));
    for (method, status) in [("GET", 302), ("HEAD", 302), ("POST", 307), ("PUT", 307)] {
        let go = send(address, method, "/go/hello.edge.example/a?b=c").await;
        let location = go.header(hyper::header::LOCATION);
        assert_eq!((go.status, location), (status, "http://198.51.100.1/a?b=c"), "{method}");
    }
    wait_for(|| server.stats().open == 0).await;
    let wanted = Stats { answered: 4, redirected: 4, refused: 2, ..Stats::default() };
    assert_eq!(server.stats(), wanted);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_over_its_rate_is_told_when_to_come_back() {
    let limits = Limits { lookups_per_s: 1, lookups_burst: 2, ..Limits::default() };
    let (server, address) = start(limits);
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // All in one write, so that they are there within a second on any machine.
    let one = "GET /d?dn=hello.edge.example HTTP/1.1\r\nhost: httpdns\r\n\r\n";
    let last = "GET /d?dn=hello.edge.example HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{}{last}", one.repeat(40)).as_bytes()).await.expect("writes");
    let answers = read_all(stream).await;
    let count = |text: &str| answers.matches(text).count();
    assert_eq!(count("HTTP/1.1 "), 41);
    assert!((2..41).contains(&count("HTTP/1.1 200 OK")), "{answers}");
    assert_eq!(count("HTTP/1.1 429 "), 41 - count("HTTP/1.1 200 OK"));
    assert_eq!(count("retry-after: 1\r\n"), count("HTTP/1.1 429 "));
    assert_eq!(count(r#"{"error":"too many requests"}"#), count("HTTP/1.1 429 "));
    let stats = server.stats();
    assert_eq!(stats.limited + stats.answered, 41);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_slow_and_old_connections_are_ended() {
    let idle = Limits { idle: Duration::from_millis(100), ..Limits::default() };
    let (server, address) = start(idle);
    let silent = TcpStream::connect(address).await.expect("connects");
    let mut half = TcpStream::connect(address).await.expect("connects");
    half.write_all(b"GET /d?dn=hello.edge.exa").await.expect("writes");
    let mut kept = TcpStream::connect(address).await.expect("connects");
    kept.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("writes");
    assert!(!read_all(silent).await.contains(" 200 "));
    assert!(!read_all(half).await.contains(" 200 "));
    assert!(read_all(kept).await.starts_with("HTTP/1.1 404 "));
    server.shutdown().await;

    let old = Limits { life: Duration::from_millis(100), idle: PATIENCE * 2, ..Limits::default() };
    let (server, address) = start(old);
    let mut kept = TcpStream::connect(address).await.expect("connects");
    kept.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await.expect("writes");
    assert!(read_all(kept).await.starts_with("HTTP/1.1 404 "));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_a_callers_limit_are_turned_away() {
    let limits = Limits { connections_per_caller_max: 1, ..Limits::default() };
    let (server, address) = start(limits);
    let first = TcpStream::connect(address).await.expect("connects");
    wait_for(|| server.stats().open == 1).await;
    let second = TcpStream::connect(address).await.expect("connects");
    assert_eq!(read_all(second).await, "");
    assert_eq!((server.stats().open, server.stats().turned_away), (1, 1));
    drop(first);
    wait_for(|| server.stats().open == 0).await;
    assert_eq!(send(address, "GET", "/d?dn=hello.edge.example").await.status, 200);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_too_long_or_no_http_are_refused() {
    let (server, address) = start(Limits::default());
    let long_path =
        format!("GET /d?dn={} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "a".repeat(3000));
    let long_head = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(20_000));
    for (sent, status) in [
        (long_path.as_str(), "HTTP/1.1 414 "),
        (long_head.as_str(), "HTTP/1.1 431 "),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n", "HTTP/1.1 400 "),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        let _cut_short = stream.write_all(sent.as_bytes()).await;
        let answer = read_all(stream).await;
        assert!(answer.starts_with(status), "{answer}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_follows_the_dns_servers_view_and_lets_go_of_it() {
    let cell = cell();
    let dns = start_dns(Arc::clone(&cell));
    let server = Server::start(config(Limits::default()), Arc::clone(&dns)).expect("starts");
    let address = server.local_addrs()[0];
    let target = "/d?dn=hello.edge.example&ip=1.2.3.4";
    assert_eq!(send(address, "GET", target).await.body, "198.51.100.2");
    let mut next = snapshot(verdicts([Verdict::Up, Verdict::Down, Verdict::Up]));
    next.health_generation = Generation { epoch: 0, counter: 8 };
    assert!(cell.publish(Arc::new(next)));
    wait_for(|| dns.stats().views == 2).await;
    assert_eq!(send(address, "GET", target).await.body, "198.51.100.1");
    // An idle connection does not hold the shutdown up.
    let idle = TcpStream::connect(address).await.expect("connects");
    wait_for(|| server.stats().open == 1).await;
    tokio::time::timeout(PATIENCE, server.shutdown()).await.expect("it stops");
    assert_eq!(read_all(idle).await, "");
    assert!(TcpStream::connect(address).await.is_err());
    Arc::into_inner(dns).expect("the only one left").shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_secret_only_signed_requests_are_answered() {
    let mut config = config(Limits::default());
    config.rules.secret = Secret::new(b"0123456789abcdef");
    assert!(config.rules.secret.is_some());
    let server = Server::start(config, start_dns(cell())).expect("starts");
    let address = server.local_addrs()[0];
    let bare = send(address, "GET", "/d?dn=hello.edge.example").await;
    let wanted = "this server answers signed requests only; help: send `t` and `s`";
    assert_eq!((bare.status, bare.body), (403, json!({ "error": wanted }).to_string()));
    let wrong = format!("/d?dn=hello.edge.example&t=4000000000&s={}", "0".repeat(64));
    assert_eq!(send(address, "GET", &wrong).await.status, 403);
    // Signed by hand for 2026-01-01: it was right and is past.
    let past = "/d?dn=hello.edge.example&t=1767225600&s=d736a85238bd254cdceca9fcd7dfaa42b82e7d8bcd1535b70095eac56c57385e";
    let refused = send(address, "GET", past).await;
    assert_eq!(refused.body, json!({ "error": "the signature's time `t` is past" }).to_string());
    assert_eq!(send(address, "GET", "/go/hello.edge.example/").await.status, 302);
    assert_eq!((server.stats().refused, server.stats().redirected), (3, 1));
    server.shutdown().await;
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let dns = start_dns(cell());
    let nothing = Server::start(Config::default(), Arc::clone(&dns));
    assert!(matches!(nothing, Err(StartError::NoAddress)));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("an address");
    let config = Config { listen: vec![address], ..Config::default() };
    let in_use = Server::start(config, dns);
    assert!(matches!(in_use, Err(StartError::InUse { address: named }) if named == address));
}

/// Looks again until it holds: counters and views change a moment after the answer.
async fn wait_for(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.expect("it comes to hold");
}
