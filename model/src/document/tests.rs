//! What documents mean once loaded. What they say when they are wrong is in `tests/golden/`.

use super::*;
use crate::gateway::{
    HostPattern, HttpFilter, HttpMatch, HttpRule, Ingress, IngressBackend, IngressPath, PathMatch,
    PathRewrite, PortRef, RouteBackend, ValueMatch,
};
use crate::name::{DnsName, ObjectRef};
use crate::policy::{Effect, Match, Window};
use crate::record::RecordType;
use crate::service::{Fallback, GlobalService, ProbeKind, TierStep};
use crate::site::{SiteId, Tier};

/// One zone and three sites, before whatever a test adds.
const WORLD: &str = "
apiVersion: nearside.dev/v1alpha1
kind: Zone
metadata: {name: edge-example}
spec: {apex: edge.example, nameServers: [{name: ns1.edge.example, addresses: [127.0.0.1]}]}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: c, labels: {region: north}}
spec: {tier: core, location: {country: DE}, addresses: [127.0.1.3]}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: a, labels: {region: south}}
spec: {tier: access, location: {country: CN}, addresses: [127.0.1.1]}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: b, labels: {region: south}}
spec: {tier: aggregation, location: {country: CN}, addresses: [127.0.1.2]}
---
";

fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

#[track_caller]
fn check(text: &str) -> Documents {
    match load(&[file("world.yaml", WORLD), file("test.yaml", text)]) {
        Ok(documents) => documents,
        Err(diagnostics) => {
            let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n"));
        }
    }
}

#[track_caller]
fn service(spec: &str) -> GlobalService {
    let text = format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {{name: s}}\n\
         spec: {{hostnames: [s.edge.example], {spec}}}\n"
    );
    check(&text).policy.services.remove(0)
}

fn messages(files: &[SourceFile]) -> Vec<String> {
    load(files).unwrap_err().into_iter().map(|found| found.message).collect()
}

#[test]
fn sites_are_sorted_and_ids_follow() {
    let policy = check("").policy;
    let names: Vec<&str> = policy.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(policy.site_id("b"), Some(SiteId(1)));
    assert_eq!(policy.site(SiteId(2)).tier, Tier::Core);
}

#[test]
fn a_pool_holds_the_sites_that_match_everything_given() {
    let pool = |spec: &str| -> Vec<u16> { service(spec).pool.iter().map(|id| id.0).collect() };
    assert_eq!(pool("protected: false"), [0, 1, 2]);
    assert_eq!(pool("sites: {names: [c, a]}"), [0, 2]);
    assert_eq!(pool("sites: {matchLabels: {region: south}}"), [0, 1]);
    assert_eq!(pool("sites: {matchLabels: {region: south}, tiers: [access, core]}"), [0]);
    assert_eq!(pool("sites: {names: [a, c], matchLabels: {region: south}}"), [0]);
    assert_eq!(pool("sites: {names: []}"), [0_u16; 0]);
}

#[test]
fn a_class_stands_for_tiers_with_budgets() {
    let tiers = |spec: &str| service(spec).tiers;
    let step = |tier, budget_us| TierStep { tier, budget_us };
    assert_eq!(
        tiers("class: realtime"),
        [
            step(Tier::Access, Some(15_000)),
            step(Tier::Aggregation, Some(30_000)),
            step(Tier::Core, None),
        ]
    );
    assert_eq!(tiers("protected: true"), tiers("class: interactive"));
    assert_eq!(
        tiers("tiers: [{tier: core, budgetMs: 0.5}, {tier: access}]"),
        [step(Tier::Core, Some(500)), step(Tier::Access, None)]
    );
}

#[test]
fn defaults_are_the_designs() {
    let service = service("backend: {name: hello, port: 80}");
    assert_eq!(service.object, ObjectRef::new("default", "s"));
    assert_eq!(service.backends[0].object, ObjectRef::new("default", "hello"));
    let answers = service.answers;
    assert_eq!((answers.sites_max, answers.ttl_s, answers.ttl_min_s), (1, 30, 5));
    let steering = service.steering;
    assert_eq!((steering.sticky.v4_len, steering.sticky.v6_len), (24, 56));
    assert_eq!((steering.carrier_penalty_us, steering.border_penalty_us), (20_000, 10_000));
    assert_eq!(service.fallback, Fallback::AnswerAll);
    assert!(service.health.is_none() && service.fence.is_none() && service.rules.is_empty());
}

#[test]
fn a_floor_of_the_ttl_is_never_above_it() {
    assert_eq!(service("answers: {ttl: 3}").answers.ttl_min_s, 3);
}

#[test]
fn a_probe_has_its_timeout_within_its_interval() {
    let probe =
        service("health: {http: {path: /up, status: 204}, intervalMs: 200}").health.unwrap();
    assert_eq!((probe.port, probe.interval_ms, probe.timeout_ms), (80, 200, 200));
    assert_eq!((probe.failures, probe.successes), (3, 2));
    let ProbeKind::Http { path, host, status_min, status_max } = probe.kind else { panic!() };
    assert_eq!((&*path, host, status_min, status_max), ("/up", None, 204, 204));
}

/// GEP-713: a Zone's overrides, the service's, its rules, its defaults, the Zone's rules.
#[test]
fn rules_come_in_order_of_precedence() {
    let policy = |name: &str, created: &str, target: &str| {
        let rule = |block: &str| format!("{{name: {block}, pin: {{sites: [a]}}}}");
        format!(
            "apiVersion: nearside.dev/v1alpha1\nkind: TrafficPolicy\n\
             metadata: {{name: {name}, creationTimestamp: \"{created}\"}}\n\
             spec:\n  targetRefs: [{target}]\n  rules: [{}]\n  defaults: {{rules: [{}]}}\n\
             \x20 overrides: {{rules: [{}]}}\n---\n",
            rule("r"),
            rule("d"),
            rule("o"),
        )
    };
    let zone = "{kind: Zone, name: edge-example}";
    let own = "{kind: GlobalService, name: s}";
    let text = [
        policy("young", "2026-02-01T00:00:00Z", own),
        policy("old", "2026-01-01T00:00:00Z", own),
        policy("old-too", "2026-01-01T00:00:00Z", own),
        policy("zone", "2026-03-01T00:00:00Z", zone),
        "apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {name: s}\n\
         spec: {hostnames: [s.edge.example], canary: {site: c, percent: 0.25}}\n---\n\
         apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {name: other}\n\
         spec: {hostnames: [other.edge.example]}\n"
            .to_owned(),
    ]
    .concat();
    let services = check(&text).policy.services;
    let origins = |service: &GlobalService| -> Vec<String> {
        service.rules.iter().map(|rule| rule.origin.replace("default/", "")).collect()
    };
    assert_eq!(origins(&services[0]), ["zone/o", "zone/r", "zone/d"]);
    assert_eq!(
        origins(&services[1]),
        [
            "zone/o",
            "old/o",
            "old-too/o",
            "young/o",
            "s/canary",
            "old/r",
            "old-too/r",
            "young/r",
            "old/d",
            "old-too/d",
            "young/d",
            "zone/r",
            "zone/d",
        ]
    );
    assert_eq!(services[1].rules[4].effect, Effect::Shift { to: SiteId(2), share_bp: 25 });
    assert_eq!(services[1].rules[0].effect, Effect::Pin(vec![SiteId(0)]));
}

#[test]
fn a_window_may_run_past_midnight() {
    let window = |text: &str| {
        let spec = format!("canary: {{site: a, percent: 1, match: {{window: {text}}}}}");
        service(&spec).rules[0].matches.window.clone().unwrap()
    };
    assert_eq!(
        window("{days: [fri, sun], from: '22:30', to: '02:00'}"),
        Window { days: 0b101_0000, start_min: 1350, length_min: 210 }
    );
    assert_eq!(
        window("{from: '00:00', to: '24:00'}"),
        Window { days: 0x7f, start_min: 0, length_min: 1440 }
    );
}

#[test]
fn a_match_takes_one_value_or_many() {
    let spec = "canary: {site: a, percent: 1, match: {asns: [AS4134], \
                locale: {country: [CN, hk], isp: 电信, subdivision: cn-gd}}}";
    let found = service(spec).rules[0].matches.clone();
    let expected = Match {
        countries: vec![crate::Country(*b"CN"), crate::Country(*b"HK")],
        isps: vec![crate::Isp::parse("cn-ct").unwrap()],
        subdivisions: vec![crate::Subdivision::parse("CN-GD").unwrap()],
        asns: vec![4134],
        ..Match::default()
    };
    assert_eq!(found, expected);
}

#[test]
fn a_zone_file_gives_what_the_document_leaves_out() {
    let document = "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {name: z}\n\
                    spec: {apex: z.example, zoneFile: ../zones/z.zone, soa: {retry: 7}}\n";
    let zone_file = "$TTL 60\n@ SOA ns1 admin 9 1h 2h 3h 90\n@ NS ns1\n@ NS ns.other.example.\n\
                     ns1 A 192.0.2.1\nns1 AAAA 2001:db8::1\nns1 TXT kept\nb A 192.0.2.2\na A 192.0.2.3\n";
    let files = [file("etc/documents/z.yaml", document), file("etc/zones/z.zone", zone_file)];
    let zone = load(&files).unwrap().policy.zones.remove(0);
    let name = |text: &str| DnsName::parse(text).unwrap();
    let soa = &zone.soa;
    assert_eq!((&soa.mname, &soa.rname), (&name("ns1.z.example"), &name("admin.z.example")));
    assert_eq!((soa.refresh_s, soa.retry_s, soa.expire_s), (3600, 7, 10_800));
    assert_eq!((soa.negative_ttl_s, soa.ttl_s, zone.ns_ttl_s), (90, 60, 60));
    assert_eq!(zone.name_servers[0].name, name("ns1.z.example"));
    assert_eq!(zone.name_servers[1].name, name("ns.other.example"));
    // The addresses are among the records, with their own TTL.
    assert!(zone.name_servers.iter().all(|server| server.addresses.is_empty()));
    let records: Vec<(String, RecordType, u32)> = zone
        .records
        .iter()
        .map(|set| (set.owner.to_string(), set.record_type, set.ttl_s))
        .collect();
    let expected = [
        ("a.z.example.", RecordType::A),
        ("b.z.example.", RecordType::A),
        ("ns1.z.example.", RecordType::A),
        ("ns1.z.example.", RecordType::TXT),
        ("ns1.z.example.", RecordType::AAAA),
    ];
    assert_eq!(records, expected.map(|(owner, record_type)| (owner.into(), record_type, 60)));
}

#[test]
fn a_set_that_fits_into_no_answer_is_refused_once() {
    let document = "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {name: z}\n\
                    spec: {apex: z.example, zoneFile: z.zone, nameServers: [{name: ns.other.}]}\n";
    let check = |zone_file: &str, expected: &[&str]| {
        let files = [file("z.yaml", document), file("z.zone", zone_file)];
        let found = load(&files).map_or_else(
            |found| found.into_iter().map(|found| found.message).collect(),
            |_| Vec::new(),
        );
        assert_eq!(found, expected);
    };
    // 12 octets, the length and the text, 250 times.
    let text = "x".repeat(222);
    check(&format!("$GENERATE 100-349 a TXT {text}$$${{0,4}}\n"), &[]);
    let over = "the TXT of `a.z.example.` fit into no answer";
    check(&format!("$GENERATE 100-500 a TXT {text}$$${{0,4}}\n"), &[over]);
    let one = format!("a TYPE65280 \\# 60000 {}\n", "00".repeat(60_000));
    check(&one, &["this TYPE65280 of `a.z.example.` fits into no answer"]);
}

#[test]
fn records_of_a_service_are_at_each_of_its_hostnames() {
    let text = "apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {name: s}\n\
                spec: {hostnames: [s.edge.example, \"*.s.edge.example\"], \
                records: [{type: HTTPS, data: [\"1 alt\"]}, {type: TXT, ttl: 9, data: x}]}\n";
    let service = check(text).policy.services.remove(0);
    let found: Vec<String> = service
        .records
        .iter()
        .map(|set| format!("{} {} {} {:?}", set.owner, set.record_type, set.ttl_s, set.rdata))
        .collect();
    let https = "[[0, 1, 3, 97, 108, 116, 4, 101, 100, 103, 101, 7, 101, 120, 97, 109, 112, 108, \
                 101, 0]]";
    assert_eq!(
        found,
        [
            "*.s.edge.example. TXT 9 [[1, 120]]".to_owned(),
            format!("*.s.edge.example. HTTPS 300 {https}"),
            "s.edge.example. TXT 9 [[1, 120]]".to_owned(),
            format!("s.edge.example. HTTPS 300 {https}"),
        ]
    );
}

#[test]
fn an_ingress_is_flattened() {
    let text = "apiVersion: networking.k8s.io/v1\nkind: Ingress\n\
                metadata: {name: i, namespace: shop, labels: {nearside.dev/site: a}}\n\
                spec:\n  rules:\n  - host: \"*.Shop.example\"\n    http:\n      paths:\n\
                \x20     - {path: /a/, pathType: Prefix, backend: {service: {name: x, port: {name: web}}}}\n\
                \x20     - {pathType: ImplementationSpecific, backend: {service: {name: y, port: {number: 80}}}}\n";
    let ingress = check(text).gateway.ingresses[0].clone();
    let path = |path: &str, name: &str, port| IngressPath {
        host: Some(HostPattern::Suffix("shop.example".into())),
        path: PathMatch::Prefix(path.into()),
        backend: IngressBackend { service: ObjectRef::new("shop", name), port },
    };
    let expected = Ingress {
        meta: ingress.meta.clone(),
        class: None,
        default_backend: None,
        tls: Vec::new(),
        paths: vec![
            path("/a", "x", PortRef::Name("web".into())),
            path("/", "y", PortRef::Number(80)),
        ],
        ..Ingress::default()
    };
    assert_eq!(ingress, expected);
    assert_eq!(ingress.meta.site.as_ref().map(crate::SiteName::as_str), Some("a"));
    assert_eq!(&*ingress.meta.origin, "test.yaml:1");
}

#[test]
fn a_route_keeps_its_order_and_lower_cases_its_headers() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\n\
                spec:\n  rules:\n  - matches:\n    - path: {value: /x/}\n      method: GET\n\
                \x20     headers: [{name: X-Env, value: A}, {name: x-env, value: B}]\n\
                \x20   filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: \"\"}}}]\n\
                \x20   backendRefs: [{name: s, port: 80}, {name: t, namespace: u, port: 81, weight: 0}]\n\
                \x20   timeouts: {request: 0s}\n  - {}\n";
    let route = check(text).gateway.http_routes[0].clone();
    let backend = |namespace: &str, name: &str, port, weight| {
        RouteBackend::service(ObjectRef::new(namespace, name), port, weight)
    };
    let first = HttpRule {
        matches: vec![HttpMatch {
            path: PathMatch::Prefix("/x".into()),
            method: Some("GET".into()),
            headers: vec![("x-env".into(), ValueMatch::Exact("A".into()))],
            query: Vec::new(),
        }],
        filters: vec![HttpFilter::Rewrite {
            hostname: None,
            path: Some(PathRewrite::ReplacePrefix("/".into())),
        }],
        backends: vec![backend("default", "s", 80, 1), backend("u", "t", 81, 0)],
        request_timeout_ms: Some(0),
        backend_timeout_ms: None,
        ..HttpRule::default()
    };
    assert_eq!(route.rules[0], first);
    assert_eq!(route.rules[1].matches[0].path, PathMatch::Prefix("/".into()));
    assert!(route.rules[1].backends.is_empty());
}

#[test]
fn a_tls_secret_is_decoded_and_plain_text_wins() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: t}\ntype: kubernetes.io/tls\n\
                data: {tls.crt: LS0tLS1CRUdJTiBYLS0tLS0K, tls.key: '!'}\n\
                stringData: {tls.key: \"-----BEGIN Y-----\"}\n";
    let secret = check(text).gateway.secrets[0].clone();
    let (certificate, key) = secret.certificate_and_key().unwrap();
    assert_eq!(certificate, b"-----BEGIN X-----\n");
    assert_eq!(key, b"-----BEGIN Y-----");
    assert!(!format!("{secret:?}").contains("BEGIN"));
}

#[test]
fn a_broken_object_does_not_make_references_to_it_wrong() {
    let text = "apiVersion: nearside.dev/v1alpha1\nkind: Site\nmetadata: {name: broken}\n\
                spec: {tier: core}\n---\n\
                apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {name: s}\n\
                spec: {hostnames: [s.edge.example], sites: {names: [broken]}}\n";
    let found = messages(&[file("world.yaml", WORLD), file("test.yaml", text)]);
    assert_eq!(
        found,
        ["`spec` of the Site has no `location`", "`spec` of the Site has no `addresses`"]
    );
}

#[test]
fn references_are_not_judged_when_a_document_could_not_be_named() {
    let text = "apiVersion: nearside.dev/v1alpha1\nkind: GlobalService\nmetadata: {name: s}\n\
                spec: {hostnames: [s.nowhere.example], sites: {names: [lost]}}\n---\n\
                kind: Site\nmetadata: {name: [lost\n";
    let found = messages(&[file("world.yaml", WORLD), file("test.yaml", text)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("bad YAML"), "{found:?}");
}

#[test]
fn limits_are_errors_with_their_number() {
    let large = "#".repeat(FILE_OCTETS_MAX + 1);
    assert_eq!(messages(&[file("a.yaml", &large)]), ["the file is larger than 16777216 octets"]);
    let many = "---\nkind: x\n".repeat(FINDINGS_MAX + 5);
    let found = messages(&[file("a.yaml", &many)]);
    assert_eq!(found.len(), FINDINGS_MAX + 1);
    assert!(found.contains(&"5 more errors are not shown".to_owned()));
    let namespaces = "---\n{apiVersion: v1, kind: Pod}\n".repeat(FINDINGS_MAX + 5);
    let warnings = load(&[file("a.yaml", &namespaces)]).unwrap().warnings;
    assert!(warnings.iter().any(|found| found.message == "5 more warnings are not shown"));
    assert_eq!(
        messages(&[file("a.yaml", "a: 1\0\n")]),
        ["the file has a NUL character: it is not text"]
    );
    let broken = "---\n]\n".repeat(1 << 20);
    let found = messages(&[file("a.yaml", &broken)]);
    assert_eq!(found.len(), SYNTAX_ERRORS_MAX + 1);
    assert!(found[SYNTAX_ERRORS_MAX].starts_with("100 syntax errors"), "{found:?}");
    let item = "{apiVersion: v1, kind: Pod},";
    let list = format!("apiVersion: v1\nkind: List\nitems: [{}]", item.repeat(DOCUMENTS_MAX));
    let found = messages(&[file("a.yaml", &list)]);
    assert!(found.contains(&"there are more than 100000 documents".to_owned()));
}

#[test]
fn no_documents_are_an_empty_policy() {
    let mut empty = Documents::default();
    empty.policy.guard.window_s = 300;
    assert_eq!(load(&[]), Ok(empty.clone()));
    assert_eq!(load(&[file("a.yaml", "# nothing\n")]), Ok(empty));
}

#[test]
fn the_guard_knows_a_zone_by_its_apex() {
    let text = "
apiVersion: nearside.dev/v1alpha1
kind: GuardPolicy
metadata: {name: limits}
spec: {protected: [Zone/edge-example, Site/a, GlobalService/s]}
---
apiVersion: nearside.dev/v1alpha1
kind: GlobalService
metadata: {name: s}
spec: {hostnames: [s.edge.example]}
";
    let protected: Vec<String> =
        check(text).policy.guard.protected.iter().map(ToString::to_string).collect();
    assert_eq!(protected, ["Zone/edge.example", "Site/a", "GlobalService/default/s"]);
}
