//! `answer-instructions`: instructions of one answer by its kind, under callgrind, against limits.
//!
//! Exits 0 when every count holds its limit, 1 when one is over, 2 when it could not run. A count
//! that fell tells to lower its limit. `--write` takes the counts as limits.
#![expect(clippy::print_stdout, reason = "the counts are what it is for")]
#![expect(clippy::print_stderr, reason = "what could not run is said to a person")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use benches::callgrind;
use benches::cases::{Case, OUT_OCTETS, cases};
use benches::figures::Figures;
use benches::limits::{Limits, TOLERANCE_PERMILLE, Verdict};
use clap::Parser;
use dns::{Transport, respond};

/// Counts instructions an answer and holds them to their limits.
#[derive(Debug, Parser)]
struct Options {
    /// The limits
    #[arg(long, default_value = "benches/limits/answers.txt")]
    limits: PathBuf,
    /// Take the counts as limits
    #[arg(long)]
    write: bool,
    /// Where to keep a record; without it none is kept
    #[arg(long)]
    runs: Option<PathBuf>,
    /// Only answer, once each case: what is run under callgrind
    #[arg(long, hide = true)]
    inside: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let done = if options.inside { inside().map(|()| ExitCode::SUCCESS) } else { judge(&options) };
    done.unwrap_or_else(|error| {
        eprintln!("answer-instructions: {error:#}");
        ExitCode::from(2)
    })
}

/// Answers every packet of every case; prints what the calls were.
fn inside() -> anyhow::Result<()> {
    let mut out = vec![0; OUT_OCTETS];
    for case in cases()? {
        let wrong = case.wrong();
        anyhow::ensure!(wrong == 0, "{wrong} answers of `{}` are wrong", case.name);
        let octets = answer_case(&case, &mut out);
        println!("{} {} {octets}", case.name, case.packets().count());
    }
    Ok(())
}

/// What is counted, with all that it calls. A loop and not a fold: a closure would bear this name too
/// and turn the count off.
#[inline(never)]
fn answer_case(case: &Case, out: &mut [u8]) -> usize {
    let mut octets = 0;
    for (packet, from) in case.packets() {
        octets += respond(case.view(), packet, from, Transport::Udp, out).unwrap_or(0);
    }
    octets
}

fn judge(options: &Options) -> anyhow::Result<ExitCode> {
    let counts = count()?;
    let known = fs::read_to_string(&options.limits).unwrap_or_default();
    let limits = Limits::parse(&known).with_context(|| options.limits.display().to_string())?;
    let (text, holds) = table(&limits, &counts);
    print!("{text}");
    if let Some(runs) = &options.runs {
        let mut figures = Figures::new("answer-instructions", METHOD);
        counts.iter().for_each(|(name, count)| figures.add(name, *count, "instructions"));
        figures.write(runs)?;
    }
    if options.write {
        fs::write(&options.limits, Limits::rewrite(&known, &counts))
            .with_context(|| format!("cannot write `{}`", options.limits.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !holds {
        eprintln!(
            "help: make the answer cheaper, or say in the commit why it costs more and run \
             scripts/instructions --write"
        );
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// As callgrind names it; a pattern that begins with `*` would dump nothing.
const COUNTED: &str = "answer_instructions::answer_case";
const METHOD: &str = "callgrind, user-mode instructions of `dns::respond` from packet to answer, \
                      mean of 2,000 packets a case over a generated world (benches/src/cases.rs)";

/// Instructions an answer, by case.
fn count() -> anyhow::Result<Vec<(String, u64)>> {
    let scratch = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    let counted = callgrind::count_calls(&program, &["--inside"], COUNTED, scratch.path())?;
    let lines: Vec<&str> = counted.output.lines().collect();
    let (named, calls) = (lines.len(), counted.calls.len());
    anyhow::ensure!(named == calls, "{calls} calls were counted of {named} cases");
    let each = |(line, &call): (&&str, &u64)| {
        let mut words = line.split(' ');
        let (name, packets) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        Some((name.to_owned(), (call + packets / 2).checked_div(packets)?))
    };
    let counts: Option<Vec<_>> = lines.iter().zip(&counted.calls).map(each).collect();
    counts.context("the cases' own output is not as it should be")
}

/// The counts as a table, and whether all hold.
fn table(limits: &Limits, counts: &[(String, u64)]) -> (String, bool) {
    let mut text = String::new();
    let mut holds = true;
    for (name, count) in counts {
        let limit = limits.limit(name).map_or_else(|| "-".to_owned(), |limit| limit.to_string());
        let told = match limits.judge(name, *count) {
            Verdict::Holds => "",
            Verdict::Over => "  OVER the limit",
            Verdict::Loose => "  lower the limit: scripts/instructions --write",
            Verdict::Missing => "  has NO LIMIT",
        };
        holds &= !matches!(limits.judge(name, *count), Verdict::Over | Verdict::Missing);
        let _ = writeln!(text, "{name:18} {count:6}  limit {limit:>6}{told}");
    }
    for name in limits.unused(counts) {
        let _ = writeln!(text, "{name:18}      -  is a limit of no case");
        holds = false;
    }
    let _ = writeln!(text, "tolerance {}.{} %", TOLERANCE_PERMILLE / 10, TOLERANCE_PERMILLE % 10);
    (text, holds)
}
