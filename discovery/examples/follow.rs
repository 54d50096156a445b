//! Follows the API server of a kubeconfig and prints what is held, when it was complete, and what
//! that costs: `follow KUBECONFIG [STATE-DIRECTORY]`. Ends when everything is known.
#![expect(clippy::print_stdout, reason = "the result of a measurement is what it prints")]

use std::path::PathBuf;
use std::time::Instant;

use discovery::{Access, Completeness, Config, Discovery, Known, Patience};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "this measures time")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let kubeconfig = arguments.next().ok_or("usage: follow KUBECONFIG [STATE-DIRECTORY]")?;
    let before_kib = resident_kib()?;
    let start = Instant::now();
    let config = Config {
        access: Access::Kubeconfig(kubeconfig),
        directory: arguments.next(),
        name: "follow".to_owned(),
        patience: Patience::default(),
    };
    let discovery = Discovery::start(config).await?;
    let mut pictures = discovery.pictures();
    let picture = pictures.wait_for(|now| now.complete == Completeness::Complete).await?.clone();
    let from_disk = picture.kinds.iter().filter(|(_, known)| *known == Known::FromDisk).count();
    println!("complete after {:.1?}, {from_disk} kinds from disk", start.elapsed());
    let objects = &picture.objects;
    println!(
        "{} services, {} endpoint slices, {} HTTP routes, {} secrets, {} put aside",
        objects.services.len(),
        objects.endpoint_slices.len(),
        objects.http_routes.len(),
        objects.secrets.len(),
        picture.quarantined.len(),
    );
    println!("resident: {before_kib} KiB before, {} KiB now", resident_kib()?);
    discovery.shutdown().await;
    Ok(())
}

fn resident_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
