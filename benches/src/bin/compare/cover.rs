//! What one name costs a resolver's cache: the blocks that each server's scopes cut IPv4 into.

use std::process::Command;

use benches::cover;
use benches::figures::Figures;
use benches::query::{Dnssec, Shape, Template};
use benches::{snapshot, world};
use model::service::ServiceId;

use crate::Options;
use crate::dns::{contenders, questions, start};

/// Those that return a scope.
const STEERING: [&str; 4] = ["nearside", "gdnsd", "knot-geoip", "pdns-geoip"];

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let table = world::table();
    let asked = questions(&table, 1)?;
    let mut figures = Figures::new("cover", METHOD);
    figures.add("minimal", minimal(&table)?, "blocks");
    for contender in contenders(options, scratch.path(), &table)? {
        if !STEERING.contains(&contender.name) {
            continue;
        }
        eprintln!("cover: {}", contender.name);
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).current_dir(scratch.path());
        let server = start(options, &contender, &mut command, scratch.path(), &asked)?;
        let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
        let template = Template::new(&format!("h0.{}", world::ZONE), shape)?;
        let found = cover::walk(server.target, &template)?;
        for (what, count) in [
            ("blocks", found.blocks),
            ("overlapping", found.overlapping),
            ("everybody", found.everybody),
        ] {
            figures.add(&format!("{}-{what}", contender.name), count, "blocks");
        }
        server.stop()?;
    }
    println!("{}", figures.markdown());
    eprintln!("record: {}", figures.write(&options.runs)?.display());
    Ok(())
}

const METHOD: &str = "one name asked for each /24 that no scope returned so far covers, in 512 parts of \
                      the space at once; gdnsd by distance on the same table as ours, Knot's and \
                      PowerDNS's geoip by country; `minimal` is the least disjoint cover of our \
                      compiled map at /24, and `everybody` counts answers of scope 0";

/// Blocks of the least disjoint cover of the compiled map.
fn minimal(table: &geo_data::LocaleTable) -> anyhow::Result<u64> {
    let snapshot = snapshot::snapshot(table)?;
    let Some(map) = snapshot.map.service(ServiceId(0)) else { return Ok(0) };
    let mut blocks = 0;
    let mut next = Some(0_u32);
    while let Some(run) = next.and_then(|x| map.v4.find(x).map(|run| (x, run))) {
        let (x, run) = run;
        blocks += 1;
        let size = 1_u64 << (32 - u32::from(run.block_len(x).min(24)));
        next = u32::try_from(u64::from(x) + size).ok();
    }
    Ok(blocks)
}
