//! `dns-instructions`: the walk from packet to answer in process: nanoseconds, allocations, and,
//! under callgrind, instructions.
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*answer_all*' dns-instructions --passes 1
//! ```
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use benches::account::Account;
use benches::counting::Counting;
use benches::query::{self, Dnssec, Expectation, Shape, Template};
use benches::random::{Choice, Random};
use benches::slices::median;
use benches::{snapshot, world};
use clap::Parser;
use dns::{Settings, Transport, View, respond};

#[global_allocator]
static ALLOCATOR: Counting = Counting::new();

/// Times, counts and checks answers made in process, without sockets.
#[derive(Debug, Parser)]
struct Options {
    /// Different packets: names evenly, clients at random
    #[arg(long, default_value_t = 50_000)]
    packets: usize,
    /// Times that all packets are answered; the median time is printed
    #[arg(long, default_value_t = 9)]
    passes: usize,
    /// Send no client subnet: the resolver's address decides
    #[arg(long)]
    no_ecs: bool,
}

/// Whom packets come from when they carry a client subnet.
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Room for one answer over UDP.
const OUT_OCTETS: usize = 4096;

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    anyhow::ensure!(options.packets > 0 && options.passes > 0, "nothing to answer");
    let table = world::table();
    let started = clock();
    let snapshot = snapshot::snapshot(&table)?;
    println!("policy compiled in {} ms", started.elapsed().as_millis());
    let started = clock();
    let view = View::build(&snapshot, Settings::default(), &RandomState::new())?;
    println!("view built in {} us", started.elapsed().as_micros());
    let maps = &snapshot.map.maps;
    let octets: usize = maps.iter().map(|map| map.memory_octets()).sum();
    println!("{} distinct policies, {} KiB of maps", maps.len(), octets >> 10);

    let packets = Packets::new(&options, &table)?;
    let mut out = vec![0; OUT_OCTETS];
    let wrong = packets.wrong(&view, &mut out);
    anyhow::ensure!(wrong == 0, "{wrong} of {} answers are wrong", packets.len());

    let before = ALLOCATOR.allocations();
    let sum = answer_all(&view, &packets, &mut out);
    let allocations = ALLOCATOR.allocations() - before;
    let mut times_ns = Vec::new();
    for _ in 1..options.passes {
        let before = Account::of(std::process::id())?;
        anyhow::ensure!(answer_all(&view, &packets, &mut out) == sum, "answers change by pass");
        let spent = Account::of(std::process::id())?.since(&before);
        times_ns.push(nanoseconds_each(spent, packets.len()));
    }
    println!("{} answers, {sum} octets, {allocations} allocations", packets.len());
    if !times_ns.is_empty() {
        let least = times_ns.iter().copied().fold(f64::INFINITY, f64::min);
        let middle = median(&times_ns);
        println!(
            "{middle:.1} ns of CPU per answer (median of {}), least {least:.1}",
            times_ns.len()
        );
    }
    Ok(())
}

/// Packets one after the other in memory, as a server's receive buffer has them: what is measured is
/// the walk and not the fetching of packets from all over the heap.
struct Packets {
    octets: Vec<u8>,
    /// Where each ends, and whom it comes from.
    ends: Vec<(usize, SocketAddr)>,
    /// The name of each, for the checks.
    names: Vec<usize>,
    templates: Vec<Template>,
}

impl Packets {
    fn new(options: &Options, table: &geo_data::LocaleTable) -> anyhow::Result<Self> {
        let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
        let names = world::names();
        let templates = names.iter().map(|name| Template::new(name, shape));
        let templates = templates.collect::<anyhow::Result<Vec<_>>>()?;
        let clients = world::clients(table, 1);
        anyhow::ensure!(!clients.is_empty(), "the table knows no client");
        let choice = Choice::new(templates.len(), 0.0);
        let mut random = Random::new(2);
        let mut packets =
            Self { octets: Vec::new(), ends: Vec::new(), names: Vec::new(), templates };
        for at in 0..options.packets {
            let name = choice.pick(&mut random);
            let client = clients[random.below(clients.len())];
            let subnet = if options.no_ecs { query::Subnet::Absent } else { client };
            let start = packets.octets.len();
            packets.octets.extend_from_slice(packets.templates[name].form(subnet));
            query::finish(&mut packets.octets[start..], at.to_le_bytes()[0].into(), subnet);
            let resolver = client.address().filter(|_| options.no_ecs);
            let from = SocketAddr::new(resolver.unwrap_or(LOCALHOST), 53);
            packets.ends.push((packets.octets.len(), from));
            packets.names.push(name);
        }
        Ok(packets)
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.ends.iter().scan(0, |start, &(end, from)| {
            let packet = &self.octets[*start..end];
            *start = end;
            Some((packet, from))
        })
    }

    /// How many answers are not what they must be.
    fn wrong(&self, view: &View, out: &mut [u8]) -> usize {
        let wanted = Expectation { rcode: 0, answers_min: 1 };
        let is_wrong = |((packet, from), name): &((&[u8], SocketAddr), &usize)| {
            let template = &self.templates[**name];
            let octets = respond(view, packet, *from, Transport::Udp, out);
            let answer = octets.and_then(|octets| out.get(..octets));
            !answer.is_some_and(|answer| {
                query::check(answer, template, wanted).is_ok()
                    && query::first_address(answer, template).is_some()
                    && query::id_of(answer) == query::id_of(packet)
            })
        };
        self.iter().zip(&self.names).filter(is_wrong).count()
    }
}

/// What is measured. Not inlined, so that callgrind can be told to count it alone.
#[inline(never)]
fn answer_all(view: &View, packets: &Packets, out: &mut [u8]) -> usize {
    packets.iter().fold(0, |sum, (packet, from)| {
        sum + respond(view, packet, from, Transport::Udp, out).unwrap_or(0)
    })
}

#[expect(clippy::cast_precision_loss, reason = "durations far below 2^52 ns")]
fn nanoseconds_each(spent: Account, operations: usize) -> f64 {
    spent.run.as_nanos() as f64 / operations as f64
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn clock() -> Instant {
    Instant::now()
}
