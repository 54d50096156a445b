use super::*;
use crate::fixture;

#[test]
fn equal_checks_are_one_target_and_a_site_is_probed_at_its_first_ipv4_address() {
    let mut policy = fixture::policy(&["a", "b"], &["x.edge.example", "y.edge.example"]);
    let probe = fixture::http_probe(8080);
    for service in &mut policy.services {
        service.health = Some(fixture::http_probe(8080));
    }
    policy.sites[0].health = Some(Probe { kind: ProbeKind::Tcp, ..probe });
    let targets = Targets::of(&policy);
    let address = |last: u8| SocketAddr::from(([127, 0, 1, last], 8080));
    // x and y name different hosts: two checks at each of two sites, and one TCP check at `a`.
    assert_eq!(targets.all.len(), 5);
    assert_eq!(targets.of_site, [Some(TargetId(0)), None]);
    assert_eq!(targets.all[0].check, Check::Tcp);
    let hosts = |service: usize| -> Vec<(SocketAddr, Arc<str>)> {
        let all = targets.of_service[service].iter().flatten();
        all.map(|id| &targets.all[id.0 as usize])
            .map(|target| match &target.check {
                Check::Http { host, .. } => (target.address, Arc::clone(host)),
                Check::Tcp => panic!("an HTTP check was asked for"),
            })
            .collect()
    };
    assert_eq!(
        hosts(0),
        [(address(1), "x.edge.example".into()), (address(2), "x.edge.example".into())]
    );
    assert_eq!(hosts(1)[0].1, "y.edge.example".into());

    // The same host: the services share their targets.
    for service in &mut policy.services {
        let ProbeKind::Http { host, .. } = &mut service.health.as_mut().unwrap().kind else {
            panic!("an HTTP check was asked for")
        };
        *host = Some("probe.example".into());
    }
    let targets = Targets::of(&policy);
    assert_eq!(targets.all.len(), 3);
    assert_eq!(targets.of_service[0], targets.of_service[1]);
}

#[test]
fn a_service_without_a_check_has_no_targets() {
    let policy = fixture::policy(&["a"], &["x.edge.example"]);
    let targets = Targets::of(&policy);
    assert_eq!(targets, Targets { of_site: vec![None], of_service: vec![vec![]], all: vec![] });
}
