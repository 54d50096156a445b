//! `TrafficPolicy` from the document to the wire: what each match and effect does to an answer and its
//! scope, who goes before whom, and that nobody but the matched is touched.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::hash::RandomState;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dns::{Settings, Transport, View, respond};
use geo_data::LocaleTable;
use geo_data::centre::Centres;
use ipnet::IpNet;
use model::document::{SourceFile, load};
use model::geo::{Country, Isp, Locale, Point, Subdivision};
use model::{DnsName, Policy};
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Health, Snapshot};

const SITES: &str = "\
apiVersion: nearside.dev/v1alpha1
kind: Zone
metadata: {name: edge}
spec:
  apex: edge.example
  nameServers: [{name: ns1.edge.example, addresses: [192.0.2.53]}]
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: bj}
spec: {tier: core, location: {country: CN, subdivision: CN-BJ, coordinates: {lat: 39.9, lon: 116.4}}, addresses: [192.0.2.1]}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: gz}
spec: {tier: core, location: {country: CN, subdivision: CN-GD, coordinates: {lat: 23.1, lon: 113.3}}, addresses: [192.0.2.2]}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: fra}
spec: {tier: core, location: {country: DE, coordinates: {lat: 50.1, lon: 8.7}}, addresses: [192.0.2.3]}
---
apiVersion: nearside.dev/v1alpha1
kind: GlobalService
metadata: {name: hello, namespace: shop}
spec:
  hostnames: [hello.edge.example]
";

/// Two documents' rest: what a policy is about, and its rules.
fn policy(name: &str, kind: &str, body: &str) -> String {
    let target = if kind == "Zone" { "edge" } else { "hello" };
    format!(
        "---\napiVersion: nearside.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: {name}, \
         namespace: shop}}\nspec:\n  targetRefs: [{{kind: {kind}, name: {target}}}]\n{body}"
    )
}

/// Guangdong in 14.0/16 (telecom) and 14.1/16 (unicom), Germany in 15.0/16, nobody elsewhere.
fn locales() -> LocaleTable {
    let place =
        |country: &str, subdivision: Option<&str>, isp: &str, (lat_cdeg, lon_cdeg)| Locale {
            country: Country::parse(country),
            subdivision: subdivision.map(|text| Subdivision::parse(text).expect("one")),
            isp: Some(Isp::parse(isp).expect("an ISP")),
            asn: Some(if isp == "cn-ct" { 4134 } else { 3320 }),
            point: Some(Point { lat_cdeg, lon_cdeg }),
            ..Locale::default()
        };
    let net = |text: &str| text.parse::<IpNet>().expect("a prefix");
    let rows = [
        (net("14.0.0.0/16"), place("CN", Some("CN-GD"), "cn-ct", (2254, 11406))),
        (net("14.1.0.0/16"), place("CN", Some("CN-GD"), "cn-cu", (2254, 11406))),
        (net("15.0.0.0/16"), place("DE", None, "as3320", (5252, 1340))),
    ];
    LocaleTable::from_prefixes(&rows, Centres::default())
}

fn documents(policies: &[String]) -> (Policy, Vec<String>) {
    let text = format!("{SITES}{}", policies.concat());
    let file = SourceFile { path: "all.yaml".into(), text: text.into() };
    let documents = load(&[file]).expect("the documents are in order");
    let warnings = documents.warnings.iter().map(|warning| warning.message.clone()).collect();
    (documents.policy, warnings)
}

/// What a node answers by, at a minute of the week.
fn view_at(policies: &[String], minute_of_week: u16) -> View {
    let (policy, _) = documents(policies);
    let locales = locales().with_overrides(&policy.locale_overrides);
    let (latency, drained) = (LatencyMap::default(), vec![false; policy.sites.len()]);
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: 0,
        locales: &locales,
        latency: &latency,
        drained: &drained,
        long_out: &[],
        minute_of_week,
    });
    let snapshot = Snapshot {
        policy: Arc::new(policy),
        map: Arc::new(map),
        health: Arc::new(Health { drained, ..Health::default() }),
        ..Snapshot::default()
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

fn view(policies: &[String]) -> View {
    view_at(policies, 0)
}

/// The first site's name and the scope, as `gz/16`; `nobody` when there is no address.
fn answer(view: &View, client: &str) -> String {
    let client: ipnet::Ipv4Net = client.parse().expect("a prefix");
    let len = client.prefix_len();
    let octets = usize::from(len.div_ceil(8));
    let octets_len = u8::try_from(octets).expect("small");
    let name = DnsName::parse("hello.edge.example").expect("a name");
    let mut query = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(name.as_wire());
    query.extend([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    query.extend([0, octets_len + 8, 0, 8, 0, octets_len + 4, 0, 1, len, 0]);
    query.extend(&client.network().octets()[..octets]);
    let mut out = [0; 1232];
    let from = SocketAddr::from(([9, 9, 9, 9], 53));
    let end = respond(view, &query, from, Transport::Udp, &mut out).expect("an answer");
    let (head, rest) = out[..end].split_at(12);
    let answers = u16::from_be_bytes([head[6], head[7]]);
    let first = name.as_wire().len() + 4;
    let site = if answers == 0 {
        "nobody"
    } else {
        let octets = <[u8; 4]>::try_from(&rest[first + 12..first + 16]).expect("four");
        match Ipv4Addr::from(octets).octets()[3] {
            1 => "bj",
            2 => "gz",
            _ => "fra",
        }
    };
    // The client subnet comes back with its scope before the address.
    let option = [0, 8, 0, octets_len + 4, 0, 1, len];
    let at = rest.windows(option.len()).position(|window| window == option).expect("the option");
    format!("{site}/{}", rest[at + option.len()])
}

#[track_caller]
fn check(view: &View, answers: &[(&str, &str)]) {
    for (client, wanted) in answers {
        assert_eq!(answer(view, client), *wanted, "{client}");
    }
}

const TELECOM: &str = "14.0.9.0/24";
const UNICOM: &str = "14.1.9.0/24";
const GERMAN: &str = "15.0.9.0/24";

#[test]
fn without_a_policy_the_nearest_answers() {
    check(&view(&[]), &[(TELECOM, "gz/15"), (UNICOM, "gz/15"), (GERMAN, "fra/16")]);
}

#[test]
fn every_match_touches_its_clients_alone() {
    let pin = |matches: &str| {
        let body = format!("  rules: [{{name: a, match: {matches}, pin: {{sites: [bj]}}}}]\n");
        view(&[policy("p", "GlobalService", &body)])
    };
    for matches in
        ["{locale: {isp: ct}}", "{asns: [AS4134]}", "{locale: {isp: ct, subdivision: CN-GD}}"]
    {
        check(&pin(matches), &[(TELECOM, "bj/16"), (UNICOM, "gz/16"), (GERMAN, "fra/16")]);
    }
    for matches in ["{locale: {subdivision: CN-GD}}", "{locale: {country: CN}}"] {
        check(&pin(matches), &[(TELECOM, "bj/15"), (UNICOM, "bj/15"), (GERMAN, "fra/16")]);
    }
    // As it happens their list is now that of clients of unknown place, and so is their scope.
    check(&pin("{locale: {continent: EU}}"), &[(TELECOM, "gz/15"), (GERMAN, "bj/8")]);
    let campus = pin("{cidrs: [14.0.8.0/21]}");
    check(&campus, &[(TELECOM, "bj/21"), ("14.0.16.0/24", "gz/20"), (UNICOM, "gz/16")]);
}

#[test]
fn an_area_of_a_locale_map_can_be_matched() {
    let map = "---\napiVersion: nearside.dev/v1alpha1\nkind: LocaleMap\nmetadata: {name: ours}\nspec:\n  \
               clients: [{cidrs: [14.0.9.0/24], locale: {area: campus}}]\n";
    let body = "  rules: [{name: a, match: {locale: {area: campus}}, pin: {sites: [fra]}}]\n";
    let view = view(&[map.to_owned(), policy("p", "GlobalService", body)]);
    check(&view, &[(TELECOM, "fra/24"), ("14.0.8.0/24", "gz/24"), (UNICOM, "gz/16")]);
}

#[test]
fn a_prefix_finer_than_what_resolvers_send_folds_and_is_warned_of() {
    let rule = |cidrs: &str| {
        let body =
            format!("  rules: [{{name: a, match: {{cidrs: [{cidrs}]}}, pin: {{sites: [bj]}}}}]\n");
        policy("p", "GlobalService", &body)
    };
    // A quarter of the block is too little, three quarters are it.
    let (_, warnings) = documents(&[rule("14.0.9.0/26")]);
    assert_eq!(warnings, ["`14.0.9.0/26` is finer than steering keeps clients apart"]);
    check(&view(&[rule("14.0.9.0/26")]), &[(TELECOM, "gz/15"), ("14.0.9.1/32", "gz/15")]);
    let most = rule("14.0.9.0/25, 14.0.9.128/26");
    check(&view(&[most]), &[(TELECOM, "bj/24"), ("14.0.9.255/32", "bj/24"), (UNICOM, "gz/16")]);
}

#[test]
fn a_fence_is_final_and_a_drain_of_all_inside_leaves_nobody() {
    let body = "  rules: [{name: a, match: {locale: {country: CN}}, fence: {match: [country]}}, \
                {name: b, match: {locale: {continent: EU}}, fence: {sites: [gz]}}]\n";
    let fenced = view(&[policy("p", "GlobalService", body)]);
    check(&fenced, &[(TELECOM, "gz/15"), (GERMAN, "gz/16")]);
    let nowhere = "  rules: [{name: a, fence: {match: [subdivision]}}]\n";
    let fenced = view(&[policy("p", "GlobalService", nowhere)]);
    // The German client's subdivision is unknown, and an unknown field agrees with nothing.
    check(&fenced, &[(TELECOM, "gz/15"), (GERMAN, "nobody/8")]);
}

#[test]
fn levels_go_before_age_and_age_before_names() {
    let pin = |name: &str, kind: &str, part: &str, site: &str| {
        let rule = format!("[{{name: a, pin: {{sites: [{site}]}}}}]");
        let body = match part {
            "rules" => format!("  rules: {rule}\n"),
            nested => format!("  {nested}: {{rules: {rule}}}\n"),
        };
        policy(name, kind, &body)
    };
    let first = |policies: &[String]| answer(&view(policies), TELECOM);
    // From the least to the highest; each one more takes over.
    let levels = [
        ("Zone", "defaults", "bj"),
        ("Zone", "rules", "fra"),
        ("GlobalService", "defaults", "bj"),
        ("GlobalService", "rules", "fra"),
        ("GlobalService", "overrides", "bj"),
        ("Zone", "overrides", "fra"),
    ];
    let mut policies = Vec::new();
    for (at, (kind, part, site)) in levels.into_iter().enumerate() {
        policies.push(pin(&format!("p{at}"), kind, part, site));
        assert_eq!(first(&policies), format!("{site}/15"), "{kind} {part}");
    }
    let aged = |name: &str, created: &str, site: &str| {
        let text = pin(name, "GlobalService", "rules", site);
        text.replace("namespace: shop", &format!("namespace: shop, creationTimestamp: {created}"))
    };
    let old = aged("z", "\"2024-01-01T00:00:00Z\"", "bj");
    let young = aged("a", "\"2025-01-01T00:00:00Z\"", "fra");
    assert_eq!(first(&[young.clone(), old]), "bj/15");
    let twin = aged("b", "\"2025-01-01T00:00:00Z\"", "bj");
    assert_eq!(first(&[twin, young]), "fra/15");
}

#[test]
fn a_window_opens_and_closes_on_its_minute() {
    let body = "  rules: [{name: a, match: {window: {days: [mon], from: \"22:00\", to: \"02:00\"}}, \
                pin: {sites: [bj]}}]\n";
    let at = |minute: u16| {
        let view = view_at(&[policy("p", "GlobalService", body)], minute);
        answer(&view, TELECOM)
    };
    let day = 24 * 60;
    let told = [22 * 60 - 1, 22 * 60, day + 119, day + 120, 8 * 60].map(at);
    assert_eq!(told, ["gz/15", "bj/15", "bj/15", "gz/15", "gz/15"]);
}

#[test]
fn the_clients_of_a_small_canary_are_among_those_of_a_larger_one() {
    let canary = |percent: u8| {
        let body = format!(
            "  rules: [{{name: a, match: {{locale: {{isp: ct}}}}, shift: {{to: bj, percent: {percent}}}}}]\n"
        );
        view(&[policy("p", "GlobalService", &body)])
    };
    let shifted = |percent: u8| -> Vec<u8> {
        let view = canary(percent);
        check(&view, &[(UNICOM, "gz/16"), (GERMAN, "fra/16")]);
        let clients = (0..=255_u8).filter(|third| {
            let told = answer(&view, &format!("14.0.{third}.0/24"));
            assert!(told.ends_with("/24"), "{told}");
            told == "bj/24"
        });
        clients.collect()
    };
    let shares: Vec<Vec<u8>> = [1, 10, 20, 50, 100].map(shifted).into();
    for pair in shares.windows(2) {
        assert!(pair[0].iter().all(|client| pair[1].contains(client)));
    }
    let counts: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert_eq!(counts[4], 256);
    for (count, percent) in counts.iter().zip([1, 10, 20, 50, 100]) {
        assert!(count.abs_diff(256 * percent / 100) <= 20, "{counts:?}");
    }
    // Two nodes that never talked agree.
    assert_eq!(shares[2], shifted(20));
}

#[test]
fn weights_lead_the_sharing_clients_of_the_rule_and_nobody_else() {
    let text = policy(
        "p",
        "GlobalService",
        "  rules: [{name: a, match: {locale: {isp: ct}}, weights: {gz: 0, bj: 100}}]\n",
    );
    let spread = format!("{SITES}  steering: {{spreadWithinMs: 60}}\n{text}");
    let file = SourceFile { path: "all.yaml".into(), text: spread.into() };
    let policy = load(&[file]).expect("loads").policy;
    let (locales, latency) = (locales(), LatencyMap::default());
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: 0,
        locales: &locales,
        latency: &latency,
        drained: &[],
        long_out: &[],
        minute_of_week: 0,
    });
    let snapshot = Snapshot { policy: Arc::new(policy), map: Arc::new(map), ..Snapshot::default() };
    let view = View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view");
    let count = |second: u8| {
        let gz = (0..=255_u8)
            .filter(|third| answer(&view, &format!("14.{second}.{third}.0/24")).starts_with("gz"));
        gz.count()
    };
    assert_eq!(count(0), 0, "one of weight 0 takes nobody while another shares");
    assert!((96..=160).contains(&count(1)), "{} of unicom's", count(1));
}
