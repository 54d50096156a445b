//! A zone file: RFC 1035 master-file text to records, every mistake with its line and column.
//!
//! `$ORIGIN`, `$TTL` (RFC 2308), parentheses, quotes, repeated owners and RFC 3597 types are taken.
//! `$INCLUDE` is refused: a zone file is read by whoever checks documents, and must not name others.

use super::ZONE_RECORDS_MAX;
use super::master::{Lexer, Line, Word, name_under};
use super::rdata;
use super::records::StaticRecord;
use super::report::{Report, Span};
use super::{suggest, value};
use crate::name::DnsName;
use crate::record::{MNEMONICS, RecordType};

/// What a TTL is, for whoever wrote something else.
const HELP_TTL: &str = "write seconds or units, up to 2147483647 seconds: `300` or `1h30m`";

/// Reads the whole file; what cannot be read is reported and left out.
pub(super) fn read(
    file: u32,
    text: &str,
    defaults: Defaults<'_>,
    report: &mut Report,
) -> Vec<StaticRecord> {
    let mut reader = Reader {
        file,
        apex: defaults.apex,
        origin: defaults.apex.clone(),
        owner: None,
        ttl_s: None,
        ttl_default_s: defaults.ttl_s,
        records: Vec::new(),
    };
    let mut lexer = Lexer::new(text);
    while let Some(line) = lexer.next_line() {
        match line {
            Ok(line) => reader.read_line(&line, report),
            Err(error) => {
                let span = Span { file, line: error.line, column: error.column };
                report.error(span, error.message, error.help);
            }
        }
        if reader.records.len() > ZONE_RECORDS_MAX {
            let span = reader.records.last().map_or(Span { file, line: 1, column: 1 }, |r| r.span);
            report.error(
                span,
                format!("a zone file has more than {ZONE_RECORDS_MAX} records"),
                "delegate a part of the zone to a zone of its own",
            );
            break;
        }
    }
    reader.records
}

/// What holds until the file says otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) struct Defaults<'a> {
    /// The first origin, and what every owner must be within.
    pub(super) apex: &'a DnsName,
    /// TTL of records before the first `$TTL`.
    pub(super) ttl_s: u32,
}

struct Reader<'a> {
    file: u32,
    apex: &'a DnsName,
    origin: DnsName,
    owner: Option<DnsName>,
    ttl_s: Option<u32>,
    ttl_default_s: u32,
    records: Vec<StaticRecord>,
}

/// What stands between a line's owner and its rdata.
struct Middle<'w, 't> {
    ttl_s: Option<u32>,
    record_type: RecordType,
    rdata: &'w [Word<'t>],
}

impl Reader<'_> {
    fn span(&self, word: &Word<'_>) -> Span {
        Span { file: self.file, line: word.line, column: word.column }
    }

    fn read_line(&mut self, line: &Line<'_>, report: &mut Report) {
        let Some((first, rest)) = line.words.split_first() else { return };
        if !first.quoted && first.text.starts_with('$') {
            self.read_directive(first, rest, report);
            return;
        }
        let middle_words = if line.indented { &line.words[..] } else { rest };
        if !line.indented {
            match name_under(first.text, &self.origin) {
                Ok(name) => self.owner = Some(name),
                Err(error) => {
                    let message = format!("`{}` is not a name: {error}", first.text);
                    report.error(self.span(first), message, value::HELP_DOMAIN_NAME);
                    return;
                }
            }
        }
        let Some(owner) = self.owner.clone() else {
            let message = "this record has no owner, and there is none before it to repeat";
            let help = "begin the line with a name, or with `@` for the origin";
            report.error(self.span(first), message, help);
            return;
        };
        let Some(middle) = self.read_middle(first, middle_words, report) else { return };
        let span = self.span(first);
        if !owner.is_within(self.apex) {
            let message = format!("`{owner}` is not in the zone `{}`", self.apex);
            let help = format!("write a name below `{}`, or one without a last dot", self.apex);
            report.error(span, message, help);
            return;
        }
        match rdata::encode(middle.record_type, middle.rdata, &self.origin) {
            Ok(rdata) => self.records.push(StaticRecord {
                owner,
                record_type: middle.record_type,
                ttl_s: middle.ttl_s.or(self.ttl_s).unwrap_or(self.ttl_default_s),
                rdata,
                span,
            }),
            Err(error) => {
                let word = error.word.and_then(|at| middle.rdata.get(at));
                let place = self.span(word.unwrap_or(first));
                report.error(place, error.message, rdata::help(middle.record_type));
            }
        }
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
                    report.error(self.span(word), format!("`{text}` is not a TTL"), HELP_TTL);
                    return None;
                }
            } else if !class && text.eq_ignore_ascii_case("IN") {
                class = true;
            } else if ["CH", "HS", "CS"].iter().any(|other| text.eq_ignore_ascii_case(other)) {
                report.error(
                    self.span(word),
                    format!("class `{text}` is not supported"),
                    "write `IN`, or leave the class out",
                );
                return None;
            } else if let Some(record_type) = RecordType::parse(text) {
                return Some(Middle { ttl_s, record_type, rdata: &words[at + 1..] });
            } else {
                let known = MNEMONICS.iter().map(|(name, _)| *name);
                let message = format!("unknown record type `{text}`");
                let help = suggest::help_for(text, "types are", known);
                report.error(self.span(word), message, help);
                return None;
            }
        }
        report.error(
            self.span(first),
            "this line has no record type",
            "write name, type and data, for example `www A 192.0.2.1`",
        );
        None
    }

    fn read_directive(&mut self, first: &Word<'_>, rest: &[Word<'_>], report: &mut Report) {
        let span = self.span(first);
        match (&*first.text.to_ascii_uppercase(), rest) {
            ("$ORIGIN", [name]) => match name_under(name.text, &self.origin) {
                Ok(origin) => self.origin = origin,
                Err(error) => {
                    let message = format!("`{}` is not a name: {error}", name.text);
                    report.error(self.span(name), message, value::HELP_DOMAIN_NAME);
                }
            },
            ("$TTL", [ttl]) => match rdata::parse_ttl_s(ttl.text) {
                Some(ttl_s) => self.ttl_s = Some(ttl_s),
                None => {
                    let message = format!("`{}` is not a TTL", ttl.text);
                    report.error(self.span(ttl), message, HELP_TTL);
                }
            },
            ("$ORIGIN", _) => {
                let help = "write one name, for example `$ORIGIN edge.example.`";
                report.error(span, "`$ORIGIN` takes one value", help);
            }
            ("$TTL", _) => {
                let help = "write one number of seconds, for example `$TTL 300`";
                report.error(span, "`$TTL` takes one value", help);
            }
            ("$INCLUDE", _) => {
                let help =
                    "put the records of the included file into this one, in place of this line";
                report.error(span, "`$INCLUDE` is not supported", help);
            }
            _ => {
                let help = suggest::help_for(first.text, "directives are", ["$ORIGIN", "$TTL"]);
                report.error(span, format!("unknown directive `{}`", first.text), help);
            }
        }
    }
}

#[cfg(test)]
mod tests;
