//! Starts from the disk while the API server is away.

use std::time::Duration;

use anyhow::ensure;
use benches::histogram::Histogram;

use crate::bench::{Bench, PATIENCE, clock, ms, record};
use crate::client::Client;
use crate::contender::{Contender, Kind, Load};
use crate::objects::{Backends, host};

pub(crate) fn run(bench: &Bench) -> anyhow::Result<()> {
    let (routes, starts) = (bench.size(5_000, 100), bench.size(10_u32, 2));
    let method = format!(
        "{routes} routes with a backend each from an API server, which then closes; {starts} starts \
         from the state directory; hosts are asked on new connections from the start of the process \
         on, and every answer is looked at"
    );
    let mut figures = record("gateway-cold", &method);
    let load = Load { routes, backends: Backends::Own };
    let mut contender = Contender::start(bench, Kind::NearsideApi, load)?;
    // What was watched is on disk a moment after it is served.
    std::thread::sleep(bench.size(Duration::from_secs(5), Duration::from_secs(2)));
    contender.stop()?;
    if let Some(sim) = &contender.sim {
        bench.close(sim);
    }
    let (mut times, mut wrong) = (Histogram::default(), 0);
    for at in 1..=starts {
        eprintln!("gateway-cold: start {at} of {starts}");
        let started = clock();
        let server = contender.spawn(bench)?;
        let mut asked = 0;
        loop {
            let number = asked * 7_919 % routes;
            let answer =
                Client::plain(contender.http).and_then(|mut client| client.get(&host(number)));
            match answer.map(|answer| answer.status) {
                Ok(200) => break,
                Ok(_) => wrong += 1,
                Err(_) => {}
            }
            asked += 1;
            ensure!(started.elapsed() < PATIENCE, "no right answer after a start");
            std::thread::sleep(Duration::from_millis(1));
        }
        times.record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
        // And everything is there, not the first host alone.
        let mut client = Client::plain(contender.http)?;
        for number in (0..routes).step_by(routes.div_ceil(100)) {
            wrong += u64::from(client.get(&host(number))?.status != 200);
        }
        server.stop()?;
    }
    figures.add("starts", u64::from(starts), "starts");
    let quantile = |permille| ms(Duration::from_nanos(times.quantile_ns(permille)));
    figures.add("p50", quantile(500), "ms to the first right answer");
    figures.add("max", quantile(1_000), "ms to the first right answer");
    figures.add("wrong", wrong, "answers");
    bench.finish(&figures)
}
