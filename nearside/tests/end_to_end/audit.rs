//! `check --audit`: what people and machines read of it.

use std::fs;

use super::world::World;

const TABLE: &str = "\
network,country_code
0.0.0.0/1,US
14.0.0.0/8,CN
116.31.0.0/16,CN
128.0.0.0/2,DE
2400::/12,CN
";

/// The documents of the quickstart over a small table: the audit of the whole world takes longer
/// than a test may.
fn world() -> World {
    let world = World::prepare();
    fs::write(world.directory.path().join("small.csv"), TABLE).expect("written");
    let built = world.command("geo build small.csv -o small.geo");
    assert!(built.status.success(), "{built:?}");
    world
}

#[test]
fn an_audit_is_a_table_for_people_and_json_for_machines() {
    let world = world();
    let audit = "check examples/quickstart --geo small.geo --audit hello.edge.example";
    let output = world.command(audit);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines[0],
        "default/hello: scopes are disjoint, right and minimal in 24 states of health"
    );
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        words(lines[1]),
        ["entries", "minimal", "ratio", "runs", "lists", "answers", "scopes", "decisions"]
    );
    let v4 = words(lines[2]);
    assert_eq!((v4[0].as_str(), v4[1] == v4[2], v4[3].as_str()), ("IPv4", true, "1.00"), "{said}");
    assert_eq!(words(lines[3])[0], "IPv6");

    let output = world.command(&format!("{audit} --type AAAA --json"));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&told["ok"], &told["type"]), (&true.into(), &"AAAA".into()), "{told}");
    assert_eq!(told["nodataForAll"], true, "no site of the quickstart has IPv6");
    assert_eq!(told["report"]["states"], 24);
    assert_eq!(told["report"]["families"][0]["entries"].to_string(), v4[1]);
}

#[test]
fn a_name_that_is_not_steered_cannot_be_audited() {
    let world = world();
    let output =
        world.command("check examples/quickstart --geo small.geo --audit ns1.edge.example");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("`ns1.edge.example` is not a steered name"), "{said}");
    let output = world.command("check examples/quickstart --type AAAA");
    assert_eq!(output.status.code(), Some(2), "a type without an audit: {output:?}");
}
