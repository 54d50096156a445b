//! One finding as people read it: the place, the message, the line with a caret, what to do next.

use std::fmt;
use std::sync::Arc;

/// The most characters of a source line shown; a longer line is cut around the caret.
const SHOWN_CHARS_MAX: usize = 120;
/// Characters shown before the caret when the line is cut.
const SHOWN_BEFORE_CHARS: usize = 60;

/// One finding: `path:line:column: error: message`, the line, a caret, `help: ...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub path: Arc<str>,
    /// 1-based.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
    /// Whether it stops the load.
    pub severity: Severity,
    /// Lower case, no full stop, the thing in backticks.
    pub message: String,
    /// The source line, without its end.
    pub source_line: Arc<str>,
    /// What to do next.
    pub help: String,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Taken, but odd.
    Warning,
    /// The whole set is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, severity, message, source_line, help } = self;
        write!(f, "{path}:{line}:{column}: {severity}: {}", Printable(message))?;
        if !source_line.trim().is_empty() {
            write_source(f, source_line, *column as usize)?;
        }
        write!(f, "\n  help: {}", Printable(help))
    }
}

fn write_source(f: &mut fmt::Formatter<'_>, line: &str, column: usize) -> fmt::Result {
    let before = column.saturating_sub(1);
    let skip = match line.chars().nth(SHOWN_CHARS_MAX) {
        Some(_) => before.saturating_sub(SHOWN_BEFORE_CHARS),
        None => 0,
    };
    let shown: String = line.chars().skip(skip).take(SHOWN_CHARS_MAX).collect();
    write!(f, "\n  | {}\n  | ", Printable(shown.trim_end()))?;
    // A line of a Secret is shown without its values, and the caret may fall behind its end.
    for c in shown.chars().take(before - skip) {
        f.write_str(match c {
            '\t' => "\t",
            c if is_wide(c) => "  ",
            _ => " ",
        })?;
    }
    f.write_str("^")
}

/// Text from a document, safe for a terminal: control characters are replaced.
struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(|c: char| c.is_control() && c != '\t') {
            write!(f, "{}\u{fffd}", &rest[..at])?;
            rest = &rest[at + rest[at..].chars().next().map_or(1, char::len_utf8)..];
        }
        f.write_str(rest)
    }
}

/// Whether terminals give the character two cells: the East Asian wide blocks and emoji
/// (Unicode UAX #11, by block; combining marks are not treated).
fn is_wide(c: char) -> bool {
    matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff | 0x20000..=0x3fffd)
}
