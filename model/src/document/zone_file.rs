//! A zone file: RFC 1035 master-file text to records, every mistake with its line and column.
//!
//! `$ORIGIN`, `$TTL` (RFC 2308), `$INCLUDE`, `$GENERATE`, parentheses, quotes, repeated owners and
//! RFC 3597 types are taken. Included files lie beside the file that names them or deeper, never
//! outside its directory, and what they set ends with them: origin, owner and TTL of the including
//! file go on as they were. Everything that one file can multiply has a limit.

mod generate;

use super::files::Files;
use super::master::{Lexer, Line, Word, name_under};
use super::rdata;
use super::records::StaticRecord;
use super::report::{Report, Span, Spanned};
use super::{ZONE_FILE_OCTETS_MAX, ZONE_RECORDS_MAX, suggest, value};
use crate::name::DnsName;
use crate::record::{MNEMONICS, RecordType};
use generate::{Range, Template};

/// How deep files may include files. People need one or two; a file that includes itself ends here.
const INCLUDE_DEPTH_MAX: usize = 8;
/// How often one zone may include a file.
const INCLUDES_MAX: usize = 1_000;
/// What a TTL is, for whoever wrote something else.
const HELP_TTL: &str = "write seconds or units, up to 2147483647 seconds: `300` or `1h30m`";
/// The class, by name and by number (RFC 3597, section 5).
const CLASS_IN: [&str; 2] = ["IN", "CLASS1"];
const HELP_INCLUDE: &str =
    "name a file that ends in `.zone`, beside this one or deeper: `$INCLUDE hosts.zone`";
const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];

/// Reads the whole file and those it includes; what cannot be read is reported and left out.
pub(super) fn read(
    file: u32,
    text: &str,
    defaults: Defaults<'_>,
    files: &mut Files<'_>,
    report: &mut Report,
) -> Vec<StaticRecord> {
    let Defaults { apex, ttl_s } = defaults;
    let mut reader = Reader {
        apex,
        files,
        ttl_default_s: ttl_s,
        records: Vec::new(),
        includes: 0,
        octets: 0,
        is_full: false,
    };
    let mut source = Source::new(file, apex.clone());
    reader.read_source(&mut source, text, report);
    reader.records
}

/// What holds until the file says otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// The first origin, and what every owner must be within.
    pub(super) apex: &'a DnsName,
    /// TTL of records before any that is given.
    pub(super) ttl_s: u32,
}

/// What all files of a zone share.
struct Reader<'a, 'f> {
    apex: &'a DnsName,
    files: &'a mut Files<'f>,
    ttl_default_s: u32,
    records: Vec<StaticRecord>,
    /// Files included so far, and octets read, the first file's too.
    includes: usize,
    octets: usize,
    /// Whether a limit ended the reading.
    is_full: bool,
}

/// One file under way.
struct Source {
    file: u32,
    depth: usize,
    /// Where it is included, as `path:line`.
    included_at: Option<String>,
    origin: DnsName,
    owner: Option<DnsName>,
    /// The last `$TTL`.
    ttl_s: Option<u32>,
    /// The last TTL that a record gave, for those that give none (RFC 1035, section 5.1).
    ttl_last_s: Option<u32>,
}

impl Source {
    fn new(file: u32, origin: DnsName) -> Self {
        Self {
            file,
            depth: 0,
            included_at: None,
            origin,
            owner: None,
            ttl_s: None,
            ttl_last_s: None,
        }
    }

    fn span(&self, word: &Word<'_>) -> Span {
        Span { file: self.file, line: word.line, column: word.column }
    }

    /// Reports a mistake of this file, and where the file is included.
    fn error(
        &self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
        report: &mut Report,
    ) {
        let mut message = message.into();
        if let Some(place) = &self.included_at {
            message = format!("{message} (included at `{place}`)");
        }
        report.error(span, message, help);
    }

    fn read_name(&self, word: &Word<'_>, report: &mut Report) -> Option<DnsName> {
        let name = name_under(word.text, &self.origin);
        let bad = |error| {
            let message = format!("`{}` is not a name: {error}", word.text);
            self.error(self.span(word), message, value::HELP_DOMAIN_NAME, report);
        };
        name.map_err(bad).ok()
    }

    /// TTL and class in either order, then the type.
    fn read_middle<'w, 't>(
        &self,
        first: &Word<'t>,
        words: &'w [Word<'t>],
        report: &mut Report,
    ) -> Option<Middle<'w, 't>> {
        let (mut ttl_s, mut class) = (None, false);
        for (at, word) in words.iter().enumerate() {
            let text = word.text;
            let is_number = text.starts_with(|c: char| c.is_ascii_digit());
            if ttl_s.is_none() && is_number {
                ttl_s = rdata::parse_ttl_s(text);
                if ttl_s.is_none() {
                    let message = format!("`{text}` is not a TTL");
                    self.error(self.span(word), message, HELP_TTL, report);
                    return None;
                }
            } else if !class && CLASS_IN.iter().any(|class| text.eq_ignore_ascii_case(class)) {
                class = true;
            } else if is_other_class(text) {
                let message = format!("class `{text}` is not supported");
                self.error(self.span(word), message, "write `IN`, or leave the class out", report);
                return None;
            } else if let Some(record_type) = RecordType::parse(text) {
                return Some(Middle { ttl_s, record_type, rdata: &words[at + 1..] });
            } else {
                let known = MNEMONICS.iter().map(|(name, _)| *name);
                let message = format!("unknown record type `{text}`");
                let help = suggest::help_for(text, "types are", known);
                self.error(self.span(word), message, help, report);
                return None;
            }
        }
        let help = "write name, type and data, for example `www A 192.0.2.1`";
        self.error(self.span(first), "this line has no record type", help, report);
        None
    }
}

/// What stands between a line's owner and its rdata.
struct Middle<'w, 't> {
    ttl_s: Option<u32>,
    record_type: RecordType,
    rdata: &'w [Word<'t>],
}

impl Reader<'_, '_> {
    fn read_source(&mut self, source: &mut Source, text: &str, report: &mut Report) {
        self.octets = self.octets.saturating_add(text.len());
        if self.octets > ZONE_FILE_OCTETS_MAX {
            let span = Span { file: source.file, line: 1, column: 1 };
            let message =
                format!("the files of a zone have more than {ZONE_FILE_OCTETS_MAX} octets");
            source.error(span, message, "delegate a part of the zone to a zone of its own", report);
            self.is_full = true;
        }
        let mut lexer = Lexer::new(text);
        while !self.is_full
            && let Some(line) = lexer.next_line()
        {
            match line {
                Ok(line) => self.read_line(source, &line, report),
                Err(error) => {
                    let span = Span { file: source.file, line: error.line, column: error.column };
                    source.error(span, error.message, error.help, report);
                }
            }
        }
    }

    fn read_line(&mut self, source: &mut Source, line: &Line<'_>, report: &mut Report) {
        match line.words.split_first() {
            Some((first, rest)) if !first.quoted && first.text.starts_with('$') => {
                self.read_directive(source, first, rest, report);
            }
            Some(_) => {
                let _reported = self.read_record(source, line, report);
            }
            None => {}
        }
    }

    /// Reads one record. `None` after a mistake, which is reported.
    fn read_record(
        &mut self,
        source: &mut Source,
        line: &Line<'_>,
        report: &mut Report,
    ) -> Option<()> {
        let (first, rest) = line.words.split_first()?;
        let span = source.span(first);
        let middle_words = if line.indented { &line.words[..] } else { rest };
        if !line.indented {
            source.owner = Some(source.read_name(first, report)?);
        }
        let Some(owner) = source.owner.clone() else {
            let message = "this record has no owner, and there is none before it to repeat";
            let help = "begin the line with a name, or with `@` for the origin";
            source.error(span, message, help, report);
            return None;
        };
        let middle = source.read_middle(first, middle_words, report)?;
        source.ttl_last_s = middle.ttl_s.or(source.ttl_last_s);
        if !owner.is_within(self.apex) {
            let message = format!("`{owner}` is not in the zone `{}`", self.apex);
            let help = format!("write a name below `{}`, or one without a last dot", self.apex);
            source.error(span, message, help, report);
            return None;
        }
        let record_type = middle.record_type;
        let encoded = rdata::encode(record_type, middle.rdata, &source.origin);
        let bad = |error: rdata::RdataError| {
            let word = error.word.and_then(|at| middle.rdata.get(at));
            let place = source.span(word.unwrap_or(first));
            source.error(place, error.message, rdata::help(record_type), report);
        };
        let rdata = encoded.map_err(bad).ok()?;
        let ttl_s = middle.ttl_s.or(source.ttl_s).or(source.ttl_last_s);
        let ttl_s = ttl_s.unwrap_or(self.ttl_default_s);
        self.records.push(StaticRecord { owner, record_type, ttl_s, rdata, span });
        if self.records.len() > ZONE_RECORDS_MAX {
            let message = format!("a zone file has more than {ZONE_RECORDS_MAX} records");
            source.error(span, message, "delegate a part of the zone to a zone of its own", report);
            self.is_full = true;
        }
        Some(())
    }

    fn read_directive(
        &mut self,
        source: &mut Source,
        first: &Word<'_>,
        rest: &[Word<'_>],
        report: &mut Report,
    ) {
        let span = source.span(first);
        let name = first.text.to_ascii_uppercase();
        let help = match (&*name, rest) {
            ("$ORIGIN", [origin]) => {
                if let Some(origin) = source.read_name(origin, report) {
                    source.origin = origin;
                }
                return;
            }
            ("$TTL", [ttl]) => {
                source.ttl_s = rdata::parse_ttl_s(ttl.text).or(source.ttl_s);
                if rdata::parse_ttl_s(ttl.text).is_none() {
                    let message = format!("`{}` is not a TTL", ttl.text);
                    source.error(source.span(ttl), message, HELP_TTL, report);
                }
                return;
            }
            ("$INCLUDE", [path]) => return self.include(source, path, None, report),
            ("$INCLUDE", [path, origin]) => {
                return self.include(source, path, Some(origin), report);
            }
            ("$GENERATE", [range, template @ ..]) if template.len() > 2 => {
                return self.generate(source, range, template, report);
            }
            ("$ORIGIN", _) => "write one name, for example `$ORIGIN edge.example.`",
            ("$TTL", _) => "write one number of seconds, for example `$TTL 300`",
            ("$INCLUDE", _) => HELP_INCLUDE,
            ("$GENERATE", _) => generate::HELP,
            _ => {
                let help = suggest::help_for(first.text, "directives are", DIRECTIVES);
                let message = format!("unknown directive `{}`", first.text);
                return source.error(span, message, help, report);
            }
        };
        let wanted = match &*name {
            "$INCLUDE" => "a path, and perhaps an origin",
            "$GENERATE" => "a range, an owner, a type and data",
            _ => "one value",
        };
        source.error(span, format!("`{name}` takes {wanted}"), help, report);
    }

    /// Reads another file in this place.
    fn include(
        &mut self,
        source: &Source,
        path: &Word<'_>,
        origin: Option<&Word<'_>>,
        report: &mut Report,
    ) {
        let span = source.span(path);
        let origin = match origin {
            Some(origin) => match source.read_name(origin, report) {
                Some(origin) => origin,
                None => return,
            },
            None => source.origin.clone(),
        };
        self.includes += 1;
        let past = match source.depth {
            INCLUDE_DEPTH_MAX.. => {
                Some(format!("files are included more than {INCLUDE_DEPTH_MAX} deep"))
            }
            _ if self.includes > INCLUDES_MAX => {
                Some(format!("more than {INCLUDES_MAX} files are included"))
            }
            _ => None,
        };
        if let Some(message) = past {
            self.is_full = true;
            let help = "does a file include itself? If not, put some files together";
            return source.error(span, message, help, report);
        }
        let wanted = Spanned { value: path.text, span };
        match self.files.include(&wanted) {
            Ok((file, text)) => {
                let place = report.place(span);
                let mut included = Source {
                    depth: source.depth + 1,
                    included_at: Some(place),
                    ttl_s: source.ttl_s,
                    ttl_last_s: source.ttl_last_s,
                    ..Source::new(file, origin)
                };
                self.read_source(&mut included, text, report);
            }
            Err(message) => source.error(span, message, HELP_INCLUDE, report),
        }
    }

    /// Makes a record for each number of a range. The first mistake ends it: the others are the same.
    fn generate(
        &mut self,
        source: &mut Source,
        range: &Word<'_>,
        template: &[Word<'_>],
        report: &mut Report,
    ) {
        let numbers = match Range::parse(range.text) {
            Ok(numbers) => numbers,
            Err(message) => {
                return source.error(source.span(range), message, generate::HELP, report);
            }
        };
        let mut templates = Vec::with_capacity(template.len());
        for word in template {
            match Template::parse(word.text) {
                Ok(template) => templates.push(template),
                Err(message) => {
                    return source.error(source.span(word), message, generate::HELP, report);
                }
            }
        }
        for number in numbers {
            let texts: Option<Vec<String>> = templates.iter().map(|one| one.fill(number)).collect();
            let Some(texts) = texts else {
                let message = format!("an offset takes {number} below zero");
                return source.error(source.span(range), message, generate::HELP, report);
            };
            let words = template.iter().zip(&texts).map(|(word, text)| Word { text, ..*word });
            let line = Line { indented: false, words: words.collect() };
            if self.is_full || self.read_record(source, &line, report).is_none() {
                return;
            }
        }
    }
}

/// Whether a word is a class that zones here cannot have.
fn is_other_class(text: &str) -> bool {
    let number = text.get(..5).filter(|start| start.eq_ignore_ascii_case("CLASS"));
    let is_number = |_| text.get(5..).is_some_and(|number| number.parse::<u16>().is_ok());
    ["CH", "HS", "CS"].iter().any(|other| text.eq_ignore_ascii_case(other))
        || number.is_some_and(is_number)
}

#[cfg(test)]
mod tests;
