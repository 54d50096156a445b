//! `nearside geo`: build a table from databases, look an address up; and loading for every role.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use geo_data::build::{Detail, Input, Progress};
use geo_data::{LocaleTable, build, report};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Outcome;
use crate::cli::{GeoArgs, GeoBuildArgs, GeoCommand, GeoDetail, GeoLookupArgs, GeoSource};
use crate::log::{to_stderr, to_stdout};

/// The largest database read, in octets: the whole of a commercial city database is under 1 GiB.
const DATABASE_OCTETS_MAX: u64 = 4 << 30;

/// Runs a `geo` command.
pub(crate) fn geo(args: &GeoArgs) -> anyhow::Result<Outcome> {
    match &args.command {
        GeoCommand::Build(args) => build_table(args),
        GeoCommand::Lookup(args) => lookup(args),
    }
}

/// The table of `--geo`, or the built-in one.
pub(crate) fn load(source: &GeoSource) -> anyhow::Result<LocaleTable> {
    let Some(path) = &source.geo else {
        return Ok(LocaleTable::embedded());
    };
    let octets = read(path)?;
    LocaleTable::from_bytes(&octets).with_context(|| format!("cannot use `{}`", path.display()))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let octets = std::fs::metadata(path).with_context(|| format!("cannot read `{shown}`"))?.len();
    if octets > DATABASE_OCTETS_MAX {
        bail!("`{shown}` is {octets} octets, more than the {DATABASE_OCTETS_MAX} that are read");
    }
    std::fs::read(path).with_context(|| format!("cannot read `{shown}`"))
}

fn lookup(args: &GeoLookupArgs) -> anyhow::Result<Outcome> {
    let table = load(&args.geo)?;
    let found = report::describe(&table, args.ip);
    if args.json {
        to_stdout(&serde_json::to_string_pretty(&found)?);
    } else {
        to_stdout(found.to_string().trim_end());
    }
    Ok(Outcome::Yes)
}

fn build_table(args: &GeoBuildArgs) -> anyhow::Result<Outcome> {
    let files: Vec<(String, Vec<u8>)> = args
        .databases
        .iter()
        .map(|path| Ok((name(path), read(path)?)))
        .collect::<anyhow::Result<_>>()?;
    let versions = args.versions.iter().map(String::as_str).chain(std::iter::repeat(""));
    let inputs: Vec<Input<'_>> = files
        .iter()
        .zip(versions)
        .map(|((name, bytes), version)| Input { name, version, bytes, fields: None })
        .collect();
    let detail = match args.detail {
        GeoDetail::City => Detail::City,
        GeoDetail::Subdivision => Detail::Subdivision,
    };
    let bar = ProgressBar::new(1).with_style(
        ProgressStyle::with_template("{wide_bar} {percent:>3} % {msg}")
            .context("the bar's form")?,
    );
    let mut show = |step: Progress<'_>| {
        bar.set_length(step.total.max(1));
        bar.set_position(step.done.min(step.total));
        bar.set_message(step.stage.to_owned());
    };
    let octets = build::file(&inputs, detail, &args.label, &mut show)?;
    bar.finish_and_clear();
    write_whole(&args.output, &octets)?;
    to_stderr(&format!("wrote `{}`, {} octets", args.output.display(), octets.len()));
    Ok(Outcome::Yes)
}

fn name(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

/// Writes beside and renames, so that nobody ever reads half a table.
fn write_whole(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, octets)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write `{}`", path.display()))
}
