//! Instruction counts by callgrind: what its files say, and one run of a program that counts a
//! function's calls apart.
//!
//! Counts repeat to about a thousandth on one machine (hash keys are drawn anew in each run) and do
//! not depend on what else runs there, which is why CI holds limits on them and not on times.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;

/// A program's standard output, and the instructions of each call of the counted function in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// What the program printed.
    pub output: String,
    /// User-mode instructions of each call with all that it called.
    pub calls: Vec<u64>,
}

/// Runs a program under callgrind and counts the calls of a function, named by a callgrind pattern,
/// each by itself. The function must not be inlined.
///
/// # Errors
/// There is no valgrind, or the program failed.
pub fn count_calls(
    program: &Path,
    arguments: &[&str],
    function: &str,
    directory: &Path,
) -> anyhow::Result<Counted> {
    let file = directory.join("out").display().to_string();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--toggle-collect={function}"))
        .arg(format!("--dump-after={function}"))
        .arg(format!("--callgrind-out-file={file}"))
        .arg(program)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run `valgrind`\nhelp: apt-get install valgrind")?;
    anyhow::ensure!(output.status.success(), "`{}` failed under valgrind", program.display());
    let mut calls = Vec::new();
    // Dumps are numbered from 1; the unnumbered file holds what came after the last call: nothing.
    while let Ok(text) = fs::read_to_string(format!("{file}.{}", calls.len() + 1)) {
        calls.push(total(&text).context("a callgrind file without a total")?);
    }
    Ok(Counted { output: String::from_utf8_lossy(&output.stdout).into_owned(), calls })
}

/// The `totals:` line of a callgrind file, or its `summary:` line when there is none.
pub fn total(text: &str) -> Option<u64> {
    let line = |key| text.lines().rev().find_map(|line| line.strip_prefix(key));
    line("totals:").or_else(|| line("summary:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
