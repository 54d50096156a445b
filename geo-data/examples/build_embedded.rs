//! Builds the table that ships in the repository: `build_embedded OUT LABEL NAME@VERSION=PATH…`.
//!
//! `scripts/rebuild-geo` calls it with the packages the table is made of.

use std::error::Error;
use std::io::Write;

use geo_data::build::{self, Detail, Input, Progress};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (out, label) = args.next().zip(args.next()).ok_or("usage: OUT LABEL NAME@VERSION=PATH…")?;
    let mut files = Vec::new();
    for arg in args {
        let (named, path) = arg.split_once('=').ok_or("an input is NAME@VERSION=PATH")?;
        let (name, version) = named.split_once('@').unwrap_or((named, ""));
        files.push((name.to_owned(), version.to_owned(), std::fs::read(path)?));
    }
    let inputs: Vec<_> = files
        .iter()
        .map(|(name, version, bytes)| Input { name, version, bytes, fields: None })
        .collect();
    let mut last = String::new();
    let mut show = |progress: Progress<'_>| {
        if progress.stage != last {
            progress.stage.clone_into(&mut last);
            // Progress is a courtesy: a closed stderr is no reason to stop.
            let _ = writeln!(std::io::stderr(), "{last}");
        }
    };
    let bytes = build::file(&inputs, Detail::Subdivision, &label, &mut show)?;
    std::fs::write(out, bytes)?;
    Ok(())
}
