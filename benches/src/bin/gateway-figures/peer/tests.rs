//! The peers' files for three hosts.

use super::*;

fn hosts(backends: Backends) -> Hosts {
    Hosts {
        http: "127.0.0.1:1".parse().unwrap(),
        https: "127.0.0.1:2".parse().unwrap(),
        origin: "127.0.0.1:3".parse().unwrap(),
        routes: 3,
        backends,
        version: 7,
    }
}

#[test]
fn every_host_leads_to_its_backend_and_the_first_tells_its_version() {
    let directory = tempfile::tempdir().unwrap();
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    for (backends, services) in [(Backends::Own, 3), (Backends::Shared, 1)] {
        write_nginx(directory.path(), &hosts(backends)).unwrap();
        let nginx = read("nginx.conf");
        assert_eq!(nginx.matches("server_name h").count(), 3);
        assert_eq!(nginx.matches("\nupstream s").count(), services);
        assert_eq!(nginx.matches("add_header x-version 7;").count(), 1);
        write_haproxy(directory.path(), &hosts(backends)).unwrap();
        assert_eq!(read("haproxy.cfg").matches("\nbackend s").count(), services);
        assert!(
            read("haproxy.cfg").contains("x-version 7 if { var(txn.host) -m str h0.bench.test }")
        );
        let last = format!("h2.bench.test {}\n", backends.service(2));
        assert!(read("hosts.map").ends_with(&last) && read("hosts.map").lines().count() == 3);
    }
}
