//! Source lines for findings, looked up at the end of a run.

use std::sync::Arc;

use super::report::Span;
use super::{SourceFile, redact};

/// A source line as it may be shown.
#[derive(Debug, Clone)]
pub(super) struct Quoted {
    pub(super) line: Arc<str>,
    /// Whether the line is part of a Secret, so that values are left out.
    pub(super) hides: bool,
}

/// Walks forward through the lines of one file after another; findings come sorted.
#[derive(Debug)]
pub(super) struct Lines<'f> {
    file: Option<u32>,
    rest: &'f str,
    line: u32,
    secret_lines: Vec<std::ops::Range<u32>>,
    current: Quoted,
}

impl Default for Lines<'_> {
    fn default() -> Self {
        let current = Quoted { line: "".into(), hides: false };
        Self { file: None, rest: "", line: 0, secret_lines: Vec::new(), current }
    }
}

impl<'f> Lines<'f> {
    /// The line of a place that is not before the last one asked for.
    pub(super) fn find(&mut self, files: &'f [SourceFile], span: Span) -> Quoted {
        if self.file != Some(span.file) {
            let text = files.get(span.file as usize).map_or("", |file| &file.text);
            let secret_lines = redact::secret_lines(text);
            *self = Self { file: Some(span.file), rest: text, secret_lines, ..Self::default() };
        }
        if self.line < span.line {
            let mut line = "";
            while self.line < span.line && !self.rest.is_empty() {
                (line, self.rest) = split_line(self.rest);
                self.line += 1;
            }
            let line = if self.line == span.line { line } else { "" };
            let hides = self.secret_lines.iter().any(|lines| lines.contains(&span.line));
            let line = if hides { redact::line(line).into() } else { line.into() };
            self.current = Quoted { line, hides };
            self.line = span.line;
        }
        self.current.clone()
    }
}

/// The line and column, from 1 and in characters, of an octet's index.
pub(super) fn line_and_column(text: &str, at: usize) -> (u32, u32) {
    let (mut rest, mut line) = (text, 1_u32);
    loop {
        let start = text.len() - rest.len();
        let (current, tail) = split_line(rest);
        if at < text.len() - tail.len() || tail.is_empty() {
            let before = current.get(..at.saturating_sub(start)).unwrap_or(current);
            let column = u32::try_from(before.chars().count()).unwrap_or(u32::MAX);
            return (line, column.saturating_add(1));
        }
        (rest, line) = (tail, line.saturating_add(1));
    }
}

/// The first line without its end, and what follows. YAML ends lines with LF, CR LF or CR
/// (YAML 1.2.2, section 5.4).
pub(super) fn split_line(text: &str) -> (&str, &str) {
    let Some(end) = text.find(['\n', '\r']) else { return (text, "") };
    let (line, tail) = text.split_at(end);
    let end_octets = if tail.starts_with("\r\n") { 2 } else { 1 };
    (line, &tail[end_octets..])
}
