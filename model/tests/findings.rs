//! No error hides another: in good documents every field is broken with every other of its document,
//! and what each break says alone is said of both together.
//!
//! A line `key: GOOD #! BAD` of `findings/base.yaml` is a field and a way to break it; `-` takes it
//! out.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::collections::BTreeSet;

use model::document::{self, Diagnostic, Severity, SourceFile};

const BASE: &str = include_str!("findings/base.yaml");
const ZONE: &str = include_str!("findings/base.zone");
const MARK: &str = " #! ";

/// A line of the documents.
struct Line {
    good: String,
    bad: Option<String>,
    /// Which document it is of.
    document: usize,
}

fn lines() -> Vec<Line> {
    let mut document = 0;
    let line = |text: &'static str| {
        document += usize::from(text == "---");
        let Some((good, bad)) = text.split_once(MARK) else {
            return Line { good: text.into(), bad: None, document };
        };
        let key = &good[..=good.find(':').unwrap()];
        let bad = if bad == "-" { String::new() } else { format!("{key} {bad}") };
        Line { good: good.into(), bad: Some(bad), document }
    };
    BASE.lines().map(line).collect()
}

/// What a run with these lines broken says.
fn errors(lines: &[Line], broken: &[usize]) -> Vec<Diagnostic> {
    let text = |(at, line): (usize, &Line)| match &line.bad {
        Some(bad) if broken.contains(&at) => format!("{bad}\n"),
        _ => format!("{}\n", line.good),
    };
    let text: String = lines.iter().enumerate().map(text).collect();
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let files = [file("base.yaml", &text), file("base.zone", ZONE)];
    let mut found = document::load(&files).map_or_else(|found| found, |_| Vec::new());
    found.retain(|found| found.severity == Severity::Error);
    found
}

fn breakable(lines: &[Line]) -> Vec<usize> {
    (0..lines.len()).filter(|at| lines[*at].bad.is_some()).collect()
}

/// Columns move when another part of a line is broken; lines do not.
fn told(errors: &[Diagnostic]) -> BTreeSet<(u32, String)> {
    errors.iter().map(|found| (found.line, found.message.clone())).collect()
}

#[test]
fn the_base_is_good_and_every_break_is_told_with_its_place_and_a_help() {
    let lines = lines();
    assert!(errors(&lines, &[]).is_empty(), "{:?}", errors(&lines, &[]));
    let breakable = breakable(&lines);
    assert!(breakable.len() > 100, "the base has lost its breaks");
    for at in breakable {
        let found = errors(&lines, &[at]);
        let is_removed = lines[at].bad.as_deref() == Some("");
        let here = |found: &Diagnostic| is_removed || found.line as usize == at + 1;
        assert!(found.iter().any(here), "{}: {found:?}", lines[at].good);
        for found in &found {
            assert!(!found.help.is_empty() && found.column > 0, "{found}");
        }
    }
}

#[test]
fn no_broken_field_hides_another() {
    let lines = lines();
    let breakable = breakable(&lines);
    let mut hidden = Vec::new();
    for &first in &breakable {
        let alone = told(&errors(&lines, &[first]));
        for &second in breakable.iter().filter(|at| **at > first) {
            if lines[first].document != lines[second].document {
                continue;
            }
            let both = told(&errors(&lines, &[first, second]));
            let expected: BTreeSet<_> =
                alone.union(&told(&errors(&lines, &[second]))).cloned().collect();
            let missing: Vec<_> = expected.difference(&both).collect();
            if !missing.is_empty() {
                hidden.push(format!("{} + {}: {missing:?}", lines[first].good, lines[second].good));
            }
        }
    }
    assert!(hidden.is_empty(), "{} hidden:\n{}", hidden.len(), hidden.join("\n"));
}
