//! A record of named figures: what does not come as slices against a reference (counts, sizes,
//! one-off times). JSON for whoever computes with it and a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::record::{self, Machine};

/// Figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Short name; part of the file's name.
    pub what: String,
    /// UTC.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// Of everything measured.
    pub versions: BTreeMap<String, String>,
    /// How, in words.
    pub method: String,
    /// By name.
    pub figures: BTreeMap<String, Figure>,
    /// Anything else worth keeping.
    pub notes: Vec<String>,
}

/// A number with its unit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// How many.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// A number that a figure can be; counts far below 2^52 stay exact.
pub trait Number {
    /// As a figure has it.
    fn to_figure(self) -> f64;
}

impl Number for f64 {
    fn to_figure(self) -> f64 {
        self
    }
}

impl Number for u64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn to_figure(self) -> f64 {
        self as f64
    }
}

impl Figures {
    /// None yet, of a run that begins now.
    pub fn new(what: &str, method: &str) -> Self {
        let package = |name: &str| record::package_version(name).map(|v| (name.to_owned(), v));
        let mut versions: BTreeMap<_, _> = package("valgrind").into_iter().collect();
        versions.insert("nearside".to_owned(), record::commit());
        if let Some(rustc) = record::output("rustc", &["--version"]) {
            versions.insert("rustc".to_owned(), rustc);
        }
        Self {
            what: what.to_owned(),
            date: record::now(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            machine: Machine::here(),
            versions,
            method: method.to_owned(),
            figures: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a figure.
    pub fn add(&mut self, name: &str, value: impl Number, unit: &str) {
        let figure = Figure { value: value.to_figure(), unit: unit.to_owned() };
        self.figures.insert(name.to_owned(), figure);
    }

    /// The table.
    pub fn markdown(&self) -> String {
        let Machine { cpu, cores, kernel, memory_kib, load_before } = &self.machine;
        let mut text = format!(
            "# {}\n\n- command: `{}`\n- date: {}\n- machine: {cpu}, {cores} cores, {} MiB, \
             Linux {kernel}, load before {load_before}\n- method: {}\n",
            self.what,
            self.command,
            self.date,
            memory_kib / 1024,
            self.method
        );
        for (name, version) in &self.versions {
            let _ = writeln!(text, "- {name}: {version}");
        }
        text.push_str("\n| figure | value | unit |\n|---|---|---|\n");
        for (name, Figure { value, unit }) in &self.figures {
            let digits = if value.fract() == 0.0 { 0 } else { 3 };
            let _ = writeln!(text, "| {name} | {value:.digits$} | {unit} |");
        }
        if !self.notes.is_empty() {
            text.push('\n');
        }
        for note in &self.notes {
            let _ = writeln!(text, "- {note}");
        }
        text
    }

    /// Writes `<date>-<what>.json` and `.md` into a directory.
    ///
    /// # Errors
    /// A file could not be written.
    pub fn write(&self, directory: &Path) -> anyhow::Result<PathBuf> {
        fs::create_dir_all(directory)?;
        let day = self.date.split('T').next().unwrap_or("undated");
        let path = directory.join(format!("{day}-{}.json", self.what));
        fs::write(&path, serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(path.with_extension("md"), self.markdown())?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
