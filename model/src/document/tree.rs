//! YAML text -> trees with spans, one per document.
//!
//! saphyr-parser gives events; the tree over them is ours because serde forgets places. The walk is
//! a loop with its own stack, so that depth costs heap and has a limit. After a syntax error reading
//! goes on at the next line that starts a document, so that one typing error hides nothing else.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput, Tag};

use super::quote::split_line;
use super::report::{Lost, Report, Span};
use super::syntax;
use super::{ALIAS_NODES_MAX, DEPTH_MAX, NODES_MAX, SYNTAX_ERRORS_MAX};

/// Up to this many keys a mapping is searched for repeats without an index.
const SEARCHED_KEYS_MAX: usize = 16;

/// A value and where it starts.
#[derive(Debug, Clone)]
pub(super) struct Node<'t> {
    pub(super) span: Span,
    pub(super) value: Value<'t>,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub(super) enum Value<'t> {
    Scalar(Scalar<'t>),
    List(Vec<Node<'t>>),
    Map(Vec<Entry<'t>>),
}

/// A scalar; only a plain one can be a number, a boolean or null.
#[derive(Debug, Clone)]
pub(super) struct Scalar<'t> {
    pub(super) text: Cow<'t, str>,
    pub(super) plain: bool,
}

/// A key with its value. Invariant: no two entries of a mapping have the same key.
#[derive(Debug, Clone)]
pub(super) struct Entry<'t> {
    pub(super) key: Cow<'t, str>,
    pub(super) key_span: Span,
    pub(super) value: Node<'t>,
}

impl Node<'_> {
    /// Whether this is YAML's null.
    pub(super) fn is_null(&self) -> bool {
        let null = |text: &str| matches!(text, "" | "~" | "null" | "Null" | "NULL");
        matches!(&self.value, Value::Scalar(scalar) if scalar.plain && null(&scalar.text))
    }

    /// What the node is, for messages.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a mapping".into(),
            Value::Scalar(_) if self.is_null() => "nothing".into(),
            Value::Scalar(scalar) => {
                let shown: String = scalar.text.chars().take(40).collect();
                match scalar.kind() {
                    ScalarKind::Text => format!("the text `{shown}`"),
                    ScalarKind::Number => format!("the number `{shown}`"),
                    ScalarKind::Boolean => format!("the boolean `{shown}`"),
                }
            }
        }
    }

    fn count(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(items) => 1 + items.iter().map(Node::count).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|e| e.value.count()).sum::<usize>(),
        }
    }

    fn depth(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 0,
            Value::List(items) => 1 + items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => {
                1 + entries.iter().map(|entry| entry.value.depth()).max().unwrap_or(0)
            }
        }
    }
}

/// What a scalar resolves to (YAML 1.2.2 core schema, section 10.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarKind {
    Text,
    Number,
    Boolean,
}

impl Scalar<'_> {
    pub(super) fn kind(&self) -> ScalarKind {
        let text: &str = &self.text;
        match text {
            _ if !self.plain => ScalarKind::Text,
            "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => ScalarKind::Boolean,
            _ if is_number(text) => ScalarKind::Number,
            _ => ScalarKind::Text,
        }
    }
}

fn is_number(text: &str) -> bool {
    if let Some(hex) = text.strip_prefix("0x") {
        return !hex.is_empty() && hex.bytes().all(|octet| octet.is_ascii_hexdigit());
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return !octal.is_empty() && octal.bytes().all(|octet| matches!(octet, b'0'..=b'7'));
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)))
        }
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    !(whole.is_empty() && fraction.is_empty())
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// Reads every document of one file and hands each to `each`; syntax errors go to the report.
pub(super) fn read<'t>(
    file: u32,
    text: &'t str,
    report: &mut Report,
    mut each: impl FnMut(Node<'t>, &mut Report),
) {
    let mut start = Segment { text: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut stops = 0;
    loop {
        let place = |marker: &Marker| Span {
            file,
            line: start.line.saturating_add(to_u32(marker.line())).saturating_sub(1).max(1),
            column: to_u32(marker.col()).saturating_add(1),
        };
        let mut builder = Builder::new(&place);
        let Err(stop) = builder.run(start.text, report, &mut each) else { return };
        report.lose(Lost::Document);
        report.error(start.within(stop.span), stop.message, stop.help);
        stops += 1;
        if stops == SYNTAX_ERRORS_MAX {
            let message =
                format!("{SYNTAX_ERRORS_MAX} syntax errors: the rest of the file is not read");
            report.error(start.within(stop.span), message, "correct those above, then check again");
            return;
        }
        let Some(next) = start.after(stop.span.line) else { return };
        start = next;
    }
}

/// The text from some line on.
#[derive(Debug, Clone, Copy)]
struct Segment<'t> {
    text: &'t str,
    line: u32,
}

impl Segment<'_> {
    /// The scanner's end of file may lie on a line that is not there; the last one that is will do.
    fn within(self, span: Span) -> Span {
        let (mut rest, mut line, mut last) = (self.text, self.line.saturating_sub(1), "");
        while !rest.is_empty() && line < span.line {
            (last, rest) = split_line(rest);
            line += 1;
        }
        if line >= span.line || line == 0 {
            return span;
        }
        Span { line, column: to_u32(last.chars().count()).saturating_add(1), ..span }
    }

    /// From the first document mark after `line`.
    fn after(self, line: u32) -> Option<Self> {
        let mut next = self;
        while !next.text.is_empty() {
            let is_mark = next.line > line
                && next.line > self.line
                && next
                    .text
                    .strip_prefix("---")
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
            if is_mark {
                return Some(next);
            }
            next = Self { text: split_line(next.text).1, line: next.line.saturating_add(1) };
        }
        None
    }
}

fn to_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// Why reading stopped before the end of the file.
struct Stop {
    span: Span,
    message: String,
    help: &'static str,
}

enum Shape<'t> {
    List(Vec<Node<'t>>),
    /// The key is `None` when it was no text.
    Map {
        entries: Vec<Entry<'t>>,
        key: Option<(Option<Cow<'t, str>>, Span)>,
    },
}

/// A list or mapping whose end has not come yet.
struct Frame<'t> {
    span: Span,
    anchor: usize,
    shape: Shape<'t>,
}

/// Puts events together. Anchors hold for one document.
struct Builder<'t, 'p> {
    place: &'p dyn Fn(&Marker) -> Span,
    stack: Vec<Frame<'t>>,
    root: Option<Node<'t>>,
    anchors: BTreeMap<usize, Node<'t>>,
    nodes: usize,
    alias_nodes: usize,
}

impl<'t, 'p> Builder<'t, 'p> {
    fn new(place: &'p dyn Fn(&Marker) -> Span) -> Self {
        Self {
            place,
            stack: Vec::new(),
            root: None,
            anchors: BTreeMap::new(),
            nodes: 0,
            alias_nodes: 0,
        }
    }

    fn run(
        &mut self,
        text: &'t str,
        report: &mut Report,
        each: &mut impl FnMut(Node<'t>, &mut Report),
    ) -> Result<(), Stop> {
        let mut parser = Parser::new(StrInput::new(text));
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.stop_at(&error))?;
            match event {
                Event::DocumentEnd => match self.root.take() {
                    Some(root) if !root.is_null() => each(root, report),
                    _ => {}
                },
                Event::StreamEnd => break,
                event => self.take(event, (self.place)(&span.start), report)?,
            }
        }
        Ok(())
    }

    fn stop_at(&self, error: &ScanError) -> Stop {
        let (info, span) = (error.info(), (self.place)(error.marker()));
        Stop { span, message: format!("bad YAML: {info}"), help: syntax::help(info) }
    }

    fn take(&mut self, event: Event<'t>, span: Span, report: &mut Report) -> Result<(), Stop> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                *self = Self::new(self.place);
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain
                    && !Self::is_tagged_text(tag.as_deref(), span, report);
                let value = Value::Scalar(Scalar { text, plain });
                self.close(Node { span, value }, anchor, report)
            }
            Event::SequenceStart(anchor, _) => {
                self.open(Frame { span, anchor, shape: Shape::List(Vec::new()) })
            }
            Event::MappingStart(anchor, _) => {
                let shape = Shape::Map { entries: Vec::new(), key: None };
                self.open(Frame { span, anchor, shape })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Frame { span, anchor, shape }) = self.stack.pop() else { return Ok(()) };
                let value = match shape {
                    Shape::List(items) => Value::List(items),
                    Shape::Map { entries, .. } => Value::Map(without_repeats(entries, report)),
                };
                self.close(Node { span, value }, anchor, report)
            }
            Event::Alias(anchor) => self.alias(anchor, span, report),
        }
    }

    /// Whether a tag makes text of a plain scalar; other tags than the core schema's are errors.
    fn is_tagged_text(tag: Option<&Tag>, span: Span, report: &mut Report) -> bool {
        let Some(tag) = tag else { return false };
        if !tag.is_yaml_core_schema() {
            let message = format!("the tag `{tag}` has no meaning in documents");
            report.error(span, message, "remove the tag, the word that begins with `!`");
        }
        tag.suffix == "str"
    }

    fn open(&mut self, frame: Frame<'t>) -> Result<(), Stop> {
        if self.stack.len() >= DEPTH_MAX {
            let message = format!("this is nested deeper than {DEPTH_MAX} levels");
            return Err(Stop {
                span: frame.span,
                message,
                help: "documents need less than 20: close brackets earlier",
            });
        }
        self.stack.push(frame);
        Ok(())
    }

    /// Adds a finished node to whatever is open.
    fn close(&mut self, node: Node<'t>, anchor: usize, report: &mut Report) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            let message = format!("a document has more than {NODES_MAX} values");
            return Err(Stop { span: node.span, message, help: "split it into several documents" });
        }
        if anchor != 0 {
            self.count_alias(&node)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.shape) {
            None => self.root = Some(node),
            Some(Shape::List(items)) => items.push(node),
            Some(Shape::Map { entries, key }) => match (key.take(), node) {
                (Some((Some(key), key_span)), value) => {
                    entries.push(Entry { key, key_span, value });
                }
                // The key is reported; its value has no place to go.
                (Some((None, _)), _) => {}
                (None, Node { span, value: Value::Scalar(scalar) }) => {
                    *key = Some((Some(scalar.text), span));
                }
                (None, node) => {
                    let message = format!("a key must be text, this is {}", node.describe());
                    report.error(
                        node.span,
                        message,
                        "write `key: value`; `{` or `[` here may need quotes",
                    );
                    *key = Some((None, node.span));
                }
            },
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, span: Span, report: &mut Report) -> Result<(), Stop> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            let message = "this alias names an anchor of another document or one it is part of";
            let help = "write the value out in place of the alias";
            return Err(Stop { span, message: message.into(), help });
        };
        self.count_alias(&node)?;
        if self.stack.len() + node.depth() > DEPTH_MAX {
            let message = format!("this alias nests deeper than {DEPTH_MAX} levels");
            let help = "write the value out in place of the alias";
            return Err(Stop { span, message, help });
        }
        self.close(node, 0, report)
    }

    /// Invariant: copies made for anchors and aliases stay under a limit, however they nest.
    fn count_alias(&mut self, node: &Node<'t>) -> Result<(), Stop> {
        self.alias_nodes += node.count();
        if self.alias_nodes > ALIAS_NODES_MAX {
            let message =
                format!("anchors and aliases expand to more than {ALIAS_NODES_MAX} values");
            let help = "write the values out instead of using aliases";
            return Err(Stop { span: node.span, message, help });
        }
        Ok(())
    }
}

/// Reports keys given twice and keeps the first of each.
fn without_repeats<'t>(mut entries: Vec<Entry<'t>>, report: &mut Report) -> Vec<Entry<'t>> {
    if let Some(merge) = entries.iter().find(|entry| entry.key == "<<") {
        report.error(
            merge.key_span,
            "merge keys (`<<`) are not supported",
            "write the merged fields out here",
        );
    }
    let mut repeated = vec![false; entries.len()];
    if entries.len() <= SEARCHED_KEYS_MAX {
        for at in 1..entries.len() {
            let key = &entries[at].key;
            if let Some(first) = entries[..at].iter().find(|entry| entry.key == *key) {
                repeated[at] = true;
                report_repeat(first, &entries[at], report);
            }
        }
    } else {
        let mut firsts: HashMap<&str, &Entry<'_>> = HashMap::with_capacity(entries.len());
        for (at, entry) in entries.iter().enumerate() {
            if let Some(first) = firsts.insert(&entry.key, entry) {
                firsts.insert(&entry.key, first);
                repeated[at] = true;
                report_repeat(first, entry, report);
            }
        }
    }
    let mut repeated = repeated.into_iter();
    entries.retain(|_| !repeated.next().unwrap_or(false));
    entries
}

fn report_repeat(first: &Entry<'_>, again: &Entry<'_>, report: &mut Report) {
    let message = format!("`{}` is given twice", again.key);
    let at = report.place(first.key_span);
    let help = format!("remove one of the two: the first is at {at}");
    report.error(again.key_span, message, help);
}

#[cfg(test)]
mod tests;
