//! What cannot run says so, says what to do next, and exits with 2.

use std::fs;
use std::net::TcpListener;

use super::world::World;

fn refused(world: &World, line: &str) -> String {
    let output = world.command(line);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "`{line}` said: {said}");
    assert!(said.contains("help: "), "`{line}` does not say what to do next: {said}");
    said
}

#[test]
fn what_cannot_run_says_why_and_what_to_do() {
    let world = World::prepare();
    let empty = world.directory.path().join("empty");
    fs::create_dir(&empty).expect("created");
    assert!(refused(&world, "run empty").contains("no documents in `empty`"));
    assert!(refused(&world, "check empty").contains("no documents in `empty`"));
    refused(&world, "explain hello.edge.example --policy examples/quickstart");
    assert!(refused(&world, "status").contains("cannot reach a running nearside"));
    assert!(
        refused(&world, "lb --site nowhere examples/quickstart")
            .contains("there is no Site `nowhere`")
    );
    assert!(refused(&world, "dns --state-dir none").contains("nothing to serve"));
}

#[test]
fn a_broken_geo_table_is_refused() {
    let world = World::prepare();
    let path = world.directory.path().join("cut.geo");
    fs::write(&path, b"NEARGEO\n\x01\x00 and then nothing").expect("written");
    assert!(refused(&world, "geo lookup 8.8.8.8 --geo cut.geo").contains("damaged or cut short"));
    fs::write(&path, b"not a table at all").expect("written");
    assert!(
        refused(&world, "geo lookup 8.8.8.8 --geo cut.geo").contains("not a compiled geo table")
    );
    refused(&world, "run examples/quickstart --geo cut.geo");
    let output = world.command("geo build cut.geo -o out.geo");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!world.directory.path().join("out.geo").exists(), "half a table was left behind");
}

#[test]
fn a_port_in_use_is_named() {
    let world = World::prepare();
    for port in [world.ports.dns, world.ports.admin] {
        let _taken = TcpListener::bind(("127.0.0.1", port)).expect("free until now");
        let said = refused(&world, &world.run_arguments().join(" "));
        assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    }
    let _taken = TcpListener::bind(("127.0.1.3", world.ports.http)).expect("free until now");
    let said = refused(&world, &world.run_arguments().join(" "));
    assert!(said.contains(&format!("127.0.1.3:{}", world.ports.http)), "{said}");
}
