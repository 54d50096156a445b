//! Resident memory by number of routes, one host name each.

use benches::figures::Figures;

use crate::Options;
use crate::bench::{Bench, ms, record};
use crate::contender::{Contender, Kind, Load};
use crate::objects::Backends;

/// As goals and published figures of others have them.
const ROUTES: [usize; 3] = [0, 5_000, 40_000];
/// Peers with a backend for each host grow past a gigabyte beyond this.
const OWN_ROUTES_MAX: usize = 5_000;

pub(crate) fn run(bench: &Bench, options: &Options) -> anyhow::Result<()> {
    let mut figures = record("gateway-rss", &method(bench));
    let sizes = match options.routes.as_slice() {
        [] if bench.quick => &[0, 200],
        [] => &ROUTES[..],
        given => given,
    };
    let all = [Kind::Nearside, Kind::NearsideApi, Kind::Nginx, Kind::Haproxy];
    for kind in bench.contenders(all) {
        for &routes in sizes {
            // A peer's least is one host; that is measured with the first size beyond it.
            if routes == 0 && !kind.is_nearside() {
                one(bench, (kind, Load { routes: 1, backends: Backends::Shared }), &mut figures)?;
                continue;
            }
            one(bench, (kind, Load { routes, backends: Backends::Shared }), &mut figures)?;
            if routes > 0 && routes <= OWN_ROUTES_MAX {
                one(bench, (kind, Load { routes, backends: Backends::Own }), &mut figures)?;
            }
        }
    }
    bench.finish(&figures)
}

fn method(bench: &Bench) -> String {
    format!(
        "each server alone on core {} with so many hosts, one route each, to one backend (shared) or \
         one each (own); VmRSS of all its processes {} s after the last host was answered, and the VmHWM by then",
        bench.cores.server,
        bench.settle.as_secs()
    )
}

fn one(bench: &Bench, (kind, load): (Kind, Load), figures: &mut Figures) -> anyhow::Result<()> {
    let Load { routes, backends } = load;
    let name = format!("{}-{}-{routes}", kind.name(), backends.name());
    eprintln!("gateway-rss: {name}");
    let mut contender = Contender::start(bench, kind, load)?;
    figures.add(&format!("{name}-start"), ms(contender.start), "ms to the last host's answer");
    std::thread::sleep(bench.settle);
    figures.add(&name, contender.rss_kib()?, "KiB");
    figures.add(&format!("{name}-peak"), contender.peak_kib()?, "KiB");
    contender.stop()
}
