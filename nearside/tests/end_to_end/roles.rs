//! The roles apart: controller, DNS and gateway as processes, then DNS alone from its disk.

use std::time::Duration;

use super::world::{World, free_port};

const GUANGDONG_TELECOM: [u8; 3] = [116, 31, 45];
const NAME: &str = "hello.edge.example";

#[test]
fn dns_is_fed_by_a_controller_and_outlives_it() {
    let mut world = World::prepare();
    let (courier, dns_admin) = (free_port(), free_port());
    let (dns_port, admin) = (world.ports.dns, world.ports.admin);
    let controller = world.spawn(&format!(
        "controller examples/quickstart --state-dir controller --courier 127.0.0.1:{courier} \
         --admin 127.0.0.1:{admin}"
    ));
    for (site, last) in [("gd-ct-1", 1), ("gd-agg-1", 4)] {
        let (http, https, own_admin) = (world.ports.http, world.ports.https, free_port());
        world.spawn(&format!(
            "lb --site {site} examples/quickstart --listen 127.0.1.{last} --http-port {http} \
             --https-port {https} --admin 127.0.0.1:{own_admin} --controller 127.0.0.1:{courier}"
        ));
    }
    let dns_line = format!(
        "dns --state-dir node --controller 127.0.0.1:{courier} --dns 127.0.0.1:{dns_port} \
         --admin 127.0.0.1:{dns_admin}"
    );
    let dns = world.spawn(&dns_line);
    world.wait_until_served();
    world.ask_until(NAME, GUANGDONG_TELECOM, [127, 0, 1, 1], Duration::from_secs(30));

    let drained = world.command("drain gd-ct-1 --reason test");
    assert!(drained.status.success(), "{drained:?}");
    world.ask_until(NAME, GUANGDONG_TELECOM, [127, 0, 1, 4], Duration::from_secs(10));

    // The controller dies without a word; DNS restarts with its disk alone.
    let mut gone = world.processes.remove(controller);
    gone.0.kill().expect("killed");
    gone.0.wait().expect("ended");
    assert_eq!(world.ask(NAME, GUANGDONG_TELECOM), Some(vec![[127, 0, 1, 4]]));
    let dns = world.processes.remove(dns - 1);
    assert_eq!(dns.terminate(), Some(0));
    std::fs::remove_dir_all(world.document("")).expect("the documents are gone");
    world.spawn(&dns_line);
    world.wait_until_served();
    let answer = world.ask(NAME, GUANGDONG_TELECOM);
    assert_eq!(answer, Some(vec![[127, 0, 1, 4]]), "the drain must hold across the restart");
}
