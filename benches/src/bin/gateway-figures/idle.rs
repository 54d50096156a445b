//! Resident memory of connections that wait for their next request.

use benches::figures::Figures;

use crate::bench::{Bench, ms, record};
use crate::client::{Client, tls_config};
use crate::contender::{Contender, Kind, Load};
use crate::objects::{Backends, host};

/// What one process's descriptors allow on this kind of machine, with the origin's on the other side.
const CONNECTIONS: usize = 9_000;
/// A few requests have been made then, so that what is shared is there.
const WARM_UP: usize = 100;

pub(crate) fn run(bench: &Bench, connections: Option<usize>) -> anyhow::Result<()> {
    let connections = connections.unwrap_or_else(|| bench.size(CONNECTIONS, 200));
    let method = format!(
        "{connections} connections, one after the other, each makes one request and stays; VmRSS of \
         all processes {} s later, less what it was before, by connection; a server of its own for \
         plain and TLS (1.3, HTTP/1.1, no resumption)",
        bench.settle.as_secs()
    );
    let mut figures = record("gateway-idle", &method);
    figures.add("connections", connections as u64, "connections");
    for kind in bench.contenders([Kind::Nearside, Kind::Nginx, Kind::Haproxy]) {
        for over in [Over::Plain, Over::Tls] {
            one(bench, (kind, over), connections, &mut figures)?;
        }
    }
    bench.finish(&figures)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
}

fn one(
    bench: &Bench,
    (kind, over): (Kind, Over),
    connections: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let name = match over {
        Over::Plain => format!("{}-plain", kind.name()),
        Over::Tls => format!("{}-tls", kind.name()),
    };
    eprintln!("gateway-idle: {name}");
    let load = Load { routes: 1, backends: Backends::Shared };
    let mut contender = Contender::start(bench, kind, load)?;
    let (config, host) = (tls_config()?, host(0));
    let connect = || {
        let mut client = match over {
            Over::Plain => Client::plain(contender.http)?,
            Over::Tls => Client::tls(contender.https, &host, &config)?,
        };
        let answer = client.get(&host)?;
        anyhow::ensure!(answer.status == 200, "status {} from `{name}`", answer.status);
        anyhow::Ok(client)
    };
    drop((0..WARM_UP).map(|_| connect()).collect::<anyhow::Result<Vec<_>>>()?);
    std::thread::sleep(bench.settle);
    let before = contender.rss_kib()?;
    let mut all = (0..connections).map(|_| connect()).collect::<anyhow::Result<Vec<_>>>()?;
    let full = contender.rss_kib()?;
    std::thread::sleep(bench.settle);
    let after = contender.rss_kib()?;
    let each = |kib: u64| kib.saturating_sub(before) as f64 / connections.max(1) as f64;
    figures.add(&name, each(after), "KiB a connection");
    figures.add(&format!("{name}-at-once"), each(full), "KiB a connection, not settled");
    // They are all still there, and quick.
    let started = crate::bench::clock();
    for client in &mut all {
        anyhow::ensure!(client.get(&host)?.status == 200, "an idle connection of `{name}` is lost");
    }
    figures.add(&format!("{name}-again"), ms(started.elapsed()), "ms for one more request on each");
    drop(all);
    contender.stop()
}
