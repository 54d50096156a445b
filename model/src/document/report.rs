//! What a run found, while it is under way: places are small and copied; texts are looked up last.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::diagnostic::{Diagnostic, Severity};
use super::object::Kind;
use super::quote::{Lines, Quoted};
use super::{FINDINGS_MAX, SourceFile, redact};

/// A place in one of the files: line and column from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) file: u32,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value with the place it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

#[derive(Debug)]
struct Finding {
    span: Span,
    severity: Severity,
    message: String,
    help: String,
}

/// What could not be read, so that what refers to it must not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lost {
    /// A document of which not even the kind is known.
    Document,
    /// The name of an object of this kind.
    Name(Kind),
    /// The apex of a zone.
    Apex,
}

/// The findings of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    paths: Vec<Arc<str>>,
    findings: Vec<Finding>,
    errors: usize,
    warnings: usize,
    lost: BTreeSet<Lost>,
    /// Whether fields that nobody asked for are taken: the API server has its own schema.
    is_lenient: bool,
}

impl Report {
    /// An empty report about these files.
    pub(super) fn new(files: &[SourceFile]) -> Self {
        let paths = files.iter().map(|file| Arc::clone(&file.path)).collect();
        Self { paths, ..Self::default() }
    }

    /// An empty report about an object of an API server, which may have fields of a newer schema.
    pub(super) fn lenient() -> Self {
        Self { is_lenient: true, ..Self::default() }
    }

    /// Whether unknown fields are taken.
    pub(super) fn is_lenient(&self) -> bool {
        self.is_lenient
    }

    /// The findings by severity, each with its place, message and help.
    pub(super) fn into_findings(self) -> impl Iterator<Item = (Severity, Span, String, String)> {
        self.findings.into_iter().map(|one| (one.severity, one.span, one.message, one.help))
    }

    /// A place as helps name it, `path:line`.
    pub(super) fn place(&self, span: Span) -> String {
        let path = self.paths.get(span.file as usize).map_or("?", |path| &**path);
        format!("{path}:{}", span.line)
    }

    /// Reports what stops the load; `help` says what to do next.
    pub(super) fn error(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push(span, Severity::Error, message.into(), help.into());
    }

    /// Reports what is odd but taken; `help` says what follows from it or what to do.
    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.push(span, Severity::Warning, message.into(), help.into());
    }

    fn push(&mut self, span: Span, severity: Severity, message: String, help: String) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count <= FINDINGS_MAX {
            self.findings.push(Finding { span, severity, message, help });
        }
    }

    /// Says that something could not be read.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.lost.insert(lost);
    }

    /// Whether an object of this kind may be among what could not be read.
    pub(super) fn may_have_lost(&self, kind: Kind) -> bool {
        self.lost.contains(&Lost::Document) || self.lost.contains(&Lost::Name(kind))
    }

    /// Whether a zone may be among what could not be read.
    pub(super) fn may_have_lost_zone(&self) -> bool {
        self.may_have_lost(Kind::Zone) || self.lost.contains(&Lost::Apex)
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether another error would only be counted; callers may then skip making a costly help.
    pub(super) fn is_full(&self) -> bool {
        self.errors >= FINDINGS_MAX
    }

    /// Says how many findings of each severity were only counted.
    fn push_rest(&mut self) {
        let Some(span) = self.findings.last().map(|finding| finding.span) else { return };
        for (severity, count) in
            [(Severity::Error, self.errors), (Severity::Warning, self.warnings)]
        {
            if count > FINDINGS_MAX {
                let message = format!("{} more {severity}s are not shown", count - FINDINGS_MAX);
                let help = "correct those above, then check again".into();
                self.findings.push(Finding { span, severity, message, help });
            }
        }
    }

    /// The findings with their source lines, in order of file, line and column.
    pub(super) fn into_diagnostics(mut self, files: &[SourceFile]) -> Vec<Diagnostic> {
        let path = |span: Span| files.get(span.file as usize).map(|file| Arc::clone(&file.path));
        self.push_rest();
        let mut diagnostics = Vec::with_capacity(self.findings.len());
        self.findings.sort_by_cached_key(|finding| (path(finding.span), finding.span));
        let mut lines = Lines::default();
        for Finding { span, severity, message, help } in self.findings {
            let Quoted { line, hides } = lines.find(files, span);
            diagnostics.push(Diagnostic {
                path: path(span).unwrap_or_else(|| "?".into()),
                line: span.line,
                column: span.column,
                severity,
                message: if hides { redact::message(&message) } else { message },
                source_line: line,
                help: if hides { redact::message(&help) } else { help },
            });
        }
        diagnostics.dedup();
        diagnostics
    }
}
