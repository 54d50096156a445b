use super::*;

fn assigned(rows: &[(&str, &str)]) -> Assigned {
    let one =
        |(name, ip): &(&str, &str)| (ObjectRef::new("infra", name), vec![ip.parse().unwrap()]);
    rows.iter().map(one).collect()
}

#[test]
fn what_was_kept_is_there_after_a_restart() {
    let state = tempfile::tempdir().unwrap();
    let site = SiteName::new("edge").unwrap();
    let kept = KeptAddresses::open(state.path(), &site);
    assert_eq!(kept.assigned(), Assigned::new());
    let first = assigned(&[("a", "192.0.2.1"), ("b", "2001:db8::2")]);
    kept.keep(first.clone());
    assert_eq!(KeptAddresses::open(state.path(), &site).assigned(), first);
    let second = assigned(&[("b", "2001:db8::2")]);
    kept.keep(second.clone());
    assert_eq!(KeptAddresses::open(state.path(), &site).assigned(), second);
    let other = SiteName::new("other").unwrap();
    assert_eq!(KeptAddresses::open(state.path(), &other).assigned(), Assigned::new());
}

#[test]
fn a_damaged_file_is_as_none_and_is_replaced() {
    let state = tempfile::tempdir().unwrap();
    let site = SiteName::new("edge").unwrap();
    let path = state.path().join("gateway-addresses/edge.json");
    std::fs::create_dir(path.parent().unwrap()).unwrap();
    for damaged in ["", "[[", "{}", "[[{\"namespace\":\"a\",\"name\":\"b\"},[\"no address\"]]]"] {
        std::fs::write(&path, damaged).unwrap();
        let kept = KeptAddresses::open(state.path(), &site);
        assert_eq!(kept.assigned(), Assigned::new(), "{damaged}");
        let one = assigned(&[("a", "192.0.2.1")]);
        kept.keep(one.clone());
        assert_eq!(KeptAddresses::open(state.path(), &site).assigned(), one);
    }
}
