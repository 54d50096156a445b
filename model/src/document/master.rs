//! Words of RFC 1035 master-file text, with their places: what zone files and inline rdata share.
//!
//! The lexer knows quotes, escapes, parentheses and comments and nothing of records. It reads on
//! after a mistake, so that a file's mistakes are all found in one run.

use crate::name::{DnsName, NameError};

/// One word. `text` is as written, escapes included, quotes taken off when the whole word is quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'t> {
    pub(super) text: &'t str,
    pub(super) quoted: bool,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A logical line: parentheses join several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'t> {
    /// Whether it starts with white space, which repeats the last owner.
    pub(super) indented: bool,
    pub(super) words: Vec<Word<'t>>,
}

/// What a line cannot be read for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LexError {
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

/// The most words of a logical line: 64 KiB of rdata as single octets in hexadecimal, and some more.
const WORDS_MAX: usize = 70_000;
const HELP_PARENTHESIS: &str = "remove it, add `(` before, or write `\\)` for the character";
const HELP_ESCAPE: &str = "write `\\\\` for a backslash, or finish the escape";
const HELP_QUOTE: &str = "put the quotes around the whole word, or write `\\\"` for the character";

/// Cuts text into logical lines.
#[derive(Debug)]
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), at: 0, line: 1, column: 1 }
    }

    /// The next logical line that has words.
    pub(super) fn next_line(&mut self) -> Option<Result<Line<'t>, LexError>> {
        loop {
            self.peek()?;
            match self.read_line() {
                Ok(line) if line.words.is_empty() => {}
                Ok(line) => return Some(Ok(line)),
                Err(error) => {
                    self.skip_to_line_end();
                    return Some(Err(error));
                }
            }
        }
    }

    fn read_line(&mut self) -> Result<Line<'t>, LexError> {
        let indented = matches!(self.peek(), Some(' ' | '\t'));
        let mut words = Vec::new();
        let mut open: Option<(u32, u32)> = None;
        while let Some(c) = self.peek() {
            match c {
                '\n' | '\r' => {
                    self.bump();
                    if open.is_none() {
                        break;
                    }
                }
                ' ' | '\t' => self.bump(),
                ';' => self.skip_to_line_end(),
                '(' if open.is_none() => {
                    open = Some((self.line, self.column));
                    self.bump();
                }
                ')' if open.is_some() => {
                    open = None;
                    self.bump();
                }
                '(' => {
                    return Err(self.error(
                        "parentheses cannot nest",
                        "close the first one, or quote this one",
                    ));
                }
                ')' => {
                    return Err(self.error("this parenthesis was never opened", HELP_PARENTHESIS));
                }
                _ if words.len() >= WORDS_MAX => {
                    let message = "this record has too many words";
                    return Err(self.error(message, "close the parenthesis where the record ends"));
                }
                _ => words.push(self.read_word()?),
            }
        }
        match open {
            Some((line, column)) => {
                let message = "this parenthesis is never closed";
                Err(LexError { line, column, message, help: "add `)` where the record ends" })
            }
            None => Ok(Line { indented, words }),
        }
    }

    fn read_word(&mut self) -> Result<Word<'t>, LexError> {
        let (line, column, start) = (self.line, self.column, self.at);
        if self.peek() == Some('"') {
            self.read_quoted()?;
            let text = &self.text[start + 1..self.at - 1];
            return Ok(Word { text, quoted: true, line, column });
        }
        let mut previous = ' ';
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\n' | '\r' | ';' | '(' | ')' => break,
                '\\' => {
                    self.bump();
                    if matches!(self.peek(), None | Some('\n' | '\r')) {
                        return Err(self.error("an escape is cut off", HELP_ESCAPE));
                    }
                    self.bump();
                }
                // `alpn="h2,h3"`: a service parameter quotes its value alone (RFC 9460, section 2.1).
                '"' if previous == '=' => self.read_quoted()?,
                '"' => return Err(self.error("a quote within a word", HELP_QUOTE)),
                _ => self.bump(),
            }
            previous = c;
        }
        Ok(Word { text: &self.text[start..self.at], quoted: false, line, column })
    }

    /// From one quote to the next, on one line: a quote that is not closed should not hide the rest.
    fn read_quoted(&mut self) -> Result<(), LexError> {
        let (line, column) = (self.line, self.column);
        self.bump();
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.bump();
                    return Ok(());
                }
                '\n' | '\r' => break,
                '\\' => {
                    self.bump();
                    self.bump();
                }
                _ => self.bump(),
            }
        }
        let (message, help) =
            ("this quote is never closed", "add `\"` where the text ends, on the same line");
        Err(LexError { line, column, message, help })
    }

    fn skip_to_line_end(&mut self) {
        while !matches!(self.peek(), None | Some('\n' | '\r')) {
            self.bump();
        }
    }

    fn error(&self, message: &'static str, help: &'static str) -> LexError {
        LexError { line: self.line, column: self.column, message, help }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) {
        let Some(c) = self.peek() else { return };
        self.at += c.len_utf8();
        let ends_line = c == '\n' || (c == '\r' && self.peek() != Some('\n'));
        if ends_line {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }
}

/// A word's octets with `\X` and `\DDD` resolved (RFC 1035, section 5.1).
pub(super) fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        let first = rest.next()?;
        if !first.is_ascii_digit() {
            octets.push(first);
            continue;
        }
        let mut value = u16::from(first - b'0');
        for _ in 0..2 {
            let digit = rest.next().filter(u8::is_ascii_digit)?;
            value = value * 10 + u16::from(digit - b'0');
        }
        octets.push(u8::try_from(value).ok()?);
    }
    Some(octets)
}

/// A name as master files write it: `@` is the origin, a name without a last dot is below it.
pub(super) fn name_under(text: &str, origin: &DnsName) -> Result<DnsName, NameError> {
    if text == "@" {
        return Ok(origin.clone());
    }
    let escaped_dot = text.ends_with('.') && {
        let before = &text[..text.len() - 1];
        (before.len() - before.trim_end_matches('\\').len()) % 2 == 1
    };
    let absolute = text.ends_with('.') && !escaped_dot;
    let name = DnsName::parse(text)?;
    if absolute {
        return Ok(name);
    }
    let wire = name.as_wire();
    let mut joined = wire[..wire.len() - 1].to_vec();
    joined.extend_from_slice(origin.as_wire());
    DnsName::from_wire(&joined)
}

#[cfg(test)]
mod tests;
