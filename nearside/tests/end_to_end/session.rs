//! The README's session, run as a test: real processes, dig and curl, on free loopback ports.
//!
//! `examples/quickstart/session.console` holds commands (`$ ...`) with the output they must have. A
//! line of `...` in the output stands for any lines; `...` inside a line for any text. A comment
//! `# within N s` lets the next command be tried until its output is right or the time is over.

use std::fs;
use std::time::{Duration, Instant};

use super::world::{World, example};

/// One step of the session.
struct Step {
    number: usize,
    command: String,
    expected: Vec<String>,
    within: Duration,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut within = Duration::ZERO;
    for (index, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            let step = Step {
                number: index + 1,
                command: command.to_owned(),
                expected: Vec::new(),
                within: std::mem::take(&mut within),
            };
            steps.push(step);
        } else if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_whitespace().skip_while(|word| *word != "within").skip(1);
            if let Some(Ok(seconds)) = words.next().map(str::parse) {
                within = Duration::from_secs(seconds);
            }
        } else if !line.is_empty() {
            steps.last_mut().expect("output follows a command").expected.push(line.to_owned());
        }
    }
    steps
}

fn agrees(expected: &[String], printed: &[&str]) -> bool {
    let Some((wanted, rest)) = expected.split_first() else { return printed.is_empty() };
    if wanted == "..." {
        return (0..=printed.len()).any(|skip| agrees(rest, &printed[skip..]));
    }
    match printed.split_first() {
        Some((line, others)) => line_agrees(wanted, line) && agrees(rest, others),
        None => false,
    }
}

fn line_agrees(wanted: &str, line: &str) -> bool {
    let mut pieces = wanted.split("...");
    let Some(mut rest) = line.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut open = false;
    for piece in pieces {
        open = piece.is_empty();
        match rest.find(piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    open || rest.is_empty()
}

#[test]
fn a_line_pattern_must_cover_the_whole_line() {
    assert!(line_agrees("a ... c", "a b c"));
    assert!(line_agrees("a...", "a b c"));
    assert!(!line_agrees("a ... c", "a b c d"));
    assert!(!line_agrees("a", "a b"));
    assert!(agrees(&["...".into(), "x".into()], &["a", "b", "x"]));
    assert!(!agrees(&["x".into()], &[]));
    assert!(!agrees(&[], &["x"]));
}

#[test]
fn the_readme_session_holds() {
    let text = fs::read_to_string(example().join("session.console")).expect("the session");
    let steps = steps(&text);
    assert!(steps.len() > 8, "the session was not read");
    let world = World::start();
    for step in &steps {
        let start = Instant::now();
        loop {
            let printed = world.shell(&step.command);
            let lines: Vec<&str> = printed.lines().collect();
            if agrees(&step.expected, &lines) {
                break;
            }
            assert!(
                start.elapsed() < step.within,
                "session.console:{}: `{}`\nexpected:\n{}\nprinted:\n{printed}",
                step.number,
                step.command,
                step.expected.join("\n"),
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn the_readme_shows_the_session() {
    let session = fs::read_to_string(example().join("session.console")).expect("the session");
    let readme = fs::read_to_string(example().join("../../README.md")).expect("README.md");
    assert!(
        readme.contains(session.trim_end()),
        "README.md must hold session.console to the letter"
    );
}
