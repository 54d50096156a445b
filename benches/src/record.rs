//! The raw record of a run: everything needed to judge it, as JSON, and a table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use crate::slices::{Round, Verdict};

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// From `/proc/cpuinfo`.
    pub cpu: String,
    /// Cores online.
    pub cores: usize,
    /// Release of the running kernel.
    pub kernel: String,
    /// Memory, KiB.
    pub memory_kib: u64,
    /// Load average over a minute when the run began: whoever else was at work.
    pub load_before: f64,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, key: &str| {
            let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
            line.split_once(':').map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let cpu = read("/proc/cpuinfo");
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let load = read("/proc/loadavg");
        Self {
            cores: cpu.lines().filter(|line| line.starts_with("processor")).count(),
            cpu: field(&cpu, "model name"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_kib: memory.trim_end_matches(" kB").parse().unwrap_or(0),
            load_before: load.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN),
        }
    }
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Record {
    /// Short name; part of the file's name.
    pub what: String,
    /// UTC, `2026-01-31T12:00:00Z`.
    pub date: String,
    /// The command line.
    pub command: String,
    /// Where.
    pub machine: Machine,
    /// Versions of everything compared.
    pub versions: BTreeMap<String, String>,
    /// What the slices were like, in words.
    pub method: String,
    /// Who the ratios are against.
    pub reference: String,
    /// By contender.
    pub verdicts: BTreeMap<String, Verdict>,
    /// Resident memory at the end, KiB, by contender.
    pub rss_kib: BTreeMap<String, u64>,
    /// Anything else worth keeping.
    pub notes: Vec<String>,
    /// Every slice.
    pub rounds: Vec<Round>,
}

impl Record {
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
        let _ = writeln!(
            text,
            "\n| server | CPU ratio to {} (median) | range | CPU us each | user us each | per s | \
             operations | failed | wrong | RSS MiB |\n|---|---|---|---|---|---|---|---|---|---|",
            self.reference
        );
        for (name, verdict) in &self.verdicts {
            let rss = self.rss_kib.get(name).copied().unwrap_or(0);
            let (least, most) = verdict.ratio_range;
            let _ = writeln!(
                text,
                "| {name} | {:.3} | {least:.3}-{most:.3} | {:.2} | {:.2} | {:.0} | {} | {} | {} | {} |",
                verdict.ratio,
                verdict.cpu_ns_each / 1000.0,
                verdict.user_ns_each / 1000.0,
                verdict.per_second,
                verdict.operations,
                verdict.failed,
                verdict.wrong,
                rss / 1024
            );
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

/// The time, from the system's `date`.
pub fn now() -> String {
    output("date", &["-u", "+%Y-%m-%dT%H:%M:%SZ"]).unwrap_or_else(|| "undated".to_owned())
}

/// The version of a Debian package, if it is installed.
pub fn package_version(package: &str) -> Option<String> {
    output("dpkg-query", &["-W", "-f", "${Version}", package])
}

/// The commit that was measured, with a mark when the tree differs from it.
pub fn commit() -> String {
    output("git", &["describe", "--always", "--dirty", "--abbrev=12"])
        .unwrap_or_else(|| "unknown".to_owned())
}

/// A command's standard output, trimmed; `None` when it fails or says nothing.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
