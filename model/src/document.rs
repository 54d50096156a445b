//! Documents: YAML files to the checked model, with every error of a run and its place.
//!
//! Bytes -> tree with spans -> spec -> model. serde alone stops at the first error and forgets
//! where it was, so the tree and the walk over it are ours. Each kind has a file with its spec;
//! what one document says about another is checked in `link`, when all have been read.

mod alias;
mod api;
mod base64;
mod diagnostic;
mod fields;
mod files;
mod guard;
mod head;
mod link;
mod locale;
mod locale_map;
mod master;
mod object;
mod objects;
mod probe;
mod quote;
mod rdata;
mod records;
mod redact;
mod report;
mod rule;
mod service;
mod site;
mod slug;
mod suggest;
mod svcb;
mod syntax;
mod traffic;
mod tree;
mod upstream;
mod value;
mod zone;
mod zone_file;

use std::sync::Arc;

pub use self::api::{ReadObject, Refused, gateway_object};
pub use self::diagnostic::{Diagnostic, Severity};
use self::files::Files;
use self::objects::Objects;
use self::report::{Lost, Report, Span};
use crate::gateway::GatewayObjects;
use crate::policy::Policy;

/// The largest file, in octets. A directory of 100,000 objects is some hundred files of this size.
pub const FILE_OCTETS_MAX: usize = 16 << 20;
/// The most files of one run.
pub const FILES_MAX: usize = 100_000;
/// The most documents of one run; items of a `List` count.
pub const DOCUMENTS_MAX: usize = 100_000;
/// The most values of one document: 100,000 prefixes with a locale each fit.
pub const NODES_MAX: usize = 2_000_000;
/// The most values that anchors and aliases of one document may add.
pub const ALIAS_NODES_MAX: usize = 100_000;
/// The deepest nesting; upstream's schemas need less than 20.
pub const DEPTH_MAX: usize = 64;
/// The most errors and the most warnings shown; more are counted.
pub const FINDINGS_MAX: usize = 10_000;
/// The most syntax errors of one file; each costs a new start at the next document.
pub const SYNTAX_ERRORS_MAX: usize = 100;
/// The largest zone file, and all files of a zone together: 128 octets for each of its records.
pub const ZONE_FILE_OCTETS_MAX: usize = 128 << 20;
/// The most records of one zone file, those of files it includes among them.
pub const ZONE_RECORDS_MAX: usize = 1_000_000;

/// Extensions of document files; a file with any other can only be named by a `zoneFile`.
pub const DOCUMENT_EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// The extension by which a shell finds the zone files to pass along.
pub const ZONE_FILE_EXTENSION: &str = "zone";

/// One file's text as read by the shell; `path` is what messages show.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// As the user would write it.
    pub path: Arc<str>,
    /// The whole file.
    pub text: Arc<str>,
}

/// What a set of documents means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Documents {
    /// For steering; goes into snapshots.
    pub policy: Policy,
    /// For the gateways; never leaves the site.
    pub gateway: GatewayObjects,
    /// Things that are odd but taken (an empty pool, an override finer than /24, ...).
    pub warnings: Vec<Diagnostic>,
}

/// Reads documents (`*.yaml`, `*.yml`, `*.json`) and the zone files they name (any other path).
///
/// The shell passes every file of a directory tree with one of [`DOCUMENT_EXTENSIONS`] or
/// [`ZONE_FILE_EXTENSION`]; a zone file is found beside the document that names it.
///
/// # Errors
/// Every error and warning of the run, in order of file, line and column.
pub fn load(files: &[SourceFile]) -> Result<Documents, Vec<Diagnostic>> {
    let mut report = Report::new(files);
    let mut objects = Objects::default();
    for (index, file) in (0_u32..).zip(files) {
        if is_readable(index, file, files.len(), &mut report) && is_document(&file.path) {
            tree::read(index, &file.text, &mut report, |document, report| {
                objects.add(&document, &file.path, report);
            });
        }
    }
    let mut zone_files = Files::new(files);
    let (policy, gateway) = link::link(objects, &mut zone_files, &mut report);
    let failed = report.has_errors();
    let diagnostics = report.into_diagnostics(files);
    if failed {
        return Err(diagnostics);
    }
    Ok(Documents { policy, gateway, warnings: diagnostics })
}

/// How large a file may be, by its path.
pub fn octets_max(path: &str) -> usize {
    if is_document(path) { FILE_OCTETS_MAX } else { ZONE_FILE_OCTETS_MAX }
}

/// Whether a path is a document's by its extension.
pub fn is_document(path: &str) -> bool {
    let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
    DOCUMENT_EXTENSIONS.contains(&extension)
}

/// Limits that hold for a file whatever is in it.
fn is_readable(index: u32, file: &SourceFile, files: usize, report: &mut Report) -> bool {
    let start = Span { file: index, line: 1, column: 1 };
    if index as usize >= FILES_MAX {
        if index as usize == FILES_MAX {
            report.error(
                start,
                format!("{files} files are too many: at most {FILES_MAX}"),
                "put documents together: a file takes many, with `---` between",
            );
        }
        report.lose(Lost::Document);
        return false;
    }
    let octets_max = octets_max(&file.path);
    if file.text.len() > octets_max {
        report.error(
            start,
            format!("the file is larger than {octets_max} octets"),
            "split it into several files",
        );
        report.lose(Lost::Document);
        return false;
    }
    // The YAML scanner takes NUL for the end, which would hide the rest of the file.
    if let Some(at) = file.text.find('\0') {
        let (line, column) = quote::line_and_column(&file.text, at);
        let span = Span { file: index, line, column };
        report.error(
            span,
            "the file has a NUL character: it is not text",
            "save the file as UTF-8 text, or remove the character",
        );
        report.lose(Lost::Document);
        return false;
    }
    true
}

#[cfg(test)]
mod tests;
