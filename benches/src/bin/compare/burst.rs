//! Bursts: queries lost at a steady rate that a receive buffer of the usual 208 KiB does not stand.
//!
//! The echo is asked with the system's default buffer and with ours, so that a record shows whether
//! the machine was in a state in which the buffer matters at all.

use std::process::Command;
use std::time::Duration;

use benches::dns_load::{self, Outcome, Pace};
use benches::figures::Figures;
use benches::server::free_address;
use benches::world;

use crate::Options;
use crate::dns::{contenders, pace, questions, start};
use crate::number::microseconds;

/// How long each is asked, as often as there are rounds.
const DURATION: Duration = Duration::from_secs(2);

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let table = world::table();
    let (echo, real) = (questions(&table, 0)?, questions(&table, 1)?);
    let paced = Pace {
        window: dns_load::WINDOW_MAX,
        per_second: options.burst_rate,
        duration: DURATION,
        ..pace(options)
    };
    let mut subjects = Vec::new();
    for contender in contenders(options, scratch.path(), &table)? {
        if !["udp-echo", "nearside"].contains(&contender.name) {
            continue;
        }
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).current_dir(scratch.path());
        subjects.push(start(options, &contender, &mut command, scratch.path(), &echo)?);
        if contender.name == "udp-echo" {
            let target = free_address()?;
            let mut command = Command::new(&contender.program);
            command.args([&target.to_string(), "--receive-octets", "0"]);
            let small = crate::dns::Contender { name: "udp-echo-default", target, ..contender };
            subjects.push(start(options, &small, &mut command, scratch.path(), &echo)?);
        }
    }
    let mut outcomes: Vec<Outcome> = vec![Outcome::default(); subjects.len()];
    for at in 1..=options.rounds {
        eprintln!("burst: round {at} of {}", options.rounds);
        for (subject, outcome) in subjects.iter().zip(&mut outcomes) {
            let asked = if subject.name == "nearside" { &real } else { &echo };
            outcome.merge(&dns_load::run(subject.target, asked, paced)?);
        }
    }
    let mut figures = Figures::new("burst", &method(options));
    for (subject, outcome) in subjects.iter().zip(&outcomes) {
        let name = &subject.name;
        figures.add(&format!("{name}-sent"), outcome.sent, "queries");
        figures.add(&format!("{name}-lost"), outcome.lost, "queries");
        figures.add(&format!("{name}-wrong"), outcome.wrong(), "answers");
        let us = microseconds(outcome.latency.quantile_ns(999));
        figures.add(&format!("{name}-p99.9"), us, "us");
    }
    println!("{}", figures.markdown());
    eprintln!("record: {}", figures.write(&options.runs)?.display());
    for subject in subjects {
        subject.stop()?;
    }
    Ok(())
}

fn method(options: &Options) -> String {
    format!(
        "{} rounds of {} s at {} queries a second each, window {}; one server thread on core {}, the \
         generator on core {}",
        options.rounds,
        DURATION.as_secs(),
        options.burst_rate,
        dns_load::WINDOW_MAX,
        options.server_core,
        options.load_core
    )
}
