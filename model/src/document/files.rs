//! The files of a run by path: which zone file a document means, and which nobody means.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::report::{Report, Span, Spanned};
use super::{SourceFile, is_document, suggest};

/// The files of a run by path; zone files are looked up beside the document that names them.
#[derive(Debug)]
pub(super) struct Files<'f> {
    files: &'f [SourceFile],
    by_path: HashMap<String, usize>,
    used: HashSet<usize>,
}

impl<'f> Files<'f> {
    pub(super) fn new(files: &'f [SourceFile]) -> Self {
        let paths = files.iter().map(|file| normalized(&file.path)).zip(0..);
        Self { files, by_path: paths.collect(), used: HashSet::new() }
    }

    /// The zone file of this name beside the document that names it.
    pub(super) fn find(
        &mut self,
        path: &Spanned<Arc<str>>,
        report: &mut Report,
    ) -> Option<(u32, &'f str)> {
        let document = self.files.get(path.span.file as usize)?;
        let wanted = match document.path.rsplit_once('/') {
            Some((directory, _)) if !path.value.starts_with('/') => {
                normalized(&format!("{directory}/{}", path.value))
            }
            _ => normalized(&path.value),
        };
        let found = self.by_path.get(&wanted).copied();
        let Some(index) = found.filter(|index| !is_document(&self.files[*index].path)) else {
            let zone_files = self.files.iter().map(|file| &*file.path);
            let zone_files = zone_files.filter(|path| !is_document(path));
            let help = suggest::help_for(&wanted, "zone files here", zone_files);
            report.error(path.span, format!("there is no zone file `{wanted}`"), help);
            return None;
        };
        self.used.insert(index);
        Some((u32::try_from(index).ok()?, &self.files[index].text))
    }

    /// A file that another one includes: beside it or deeper. Says why not.
    pub(super) fn include(&mut self, path: &Spanned<&str>) -> Result<(u32, &'f str), String> {
        let Spanned { value: wanted, span } = *path;
        let is_outside = wanted.starts_with('/') || wanted.split('/').any(|part| part == "..");
        if is_outside || wanted.is_empty() {
            return Err(format!("`{wanted}` leads out of the directory"));
        }
        let from = self.files.get(span.file as usize).map_or("", |file| &*file.path);
        let wanted = match from.rsplit_once('/') {
            Some((directory, _)) => normalized(&format!("{directory}/{wanted}")),
            None => normalized(wanted),
        };
        let found = self.by_path.get(&wanted).copied();
        let found = found.filter(|index| !is_document(&self.files[*index].path));
        let found = found.and_then(|index| Some((index, u32::try_from(index).ok()?)));
        let (index, file) = found.ok_or_else(|| format!("there is no zone file `{wanted}`"))?;
        self.used.insert(index);
        Ok((file, &self.files[index].text))
    }
}

impl Files<'_> {
    /// Warns of files that are no documents and that no Zone names.
    pub(super) fn warn_of_unused(&self, report: &mut Report) {
        for (index, file) in (0_u32..).zip(self.files) {
            if !is_document(&file.path) && !self.used.contains(&(index as usize)) {
                let span = Span { file: index, line: 1, column: 1 };
                let help = "name it in a Zone's `zoneFile`, or remove it";
                report.warn(span, "no Zone names this file", help);
            }
        }
    }
}

/// A path without `.` and `..` where they can be resolved by text alone.
fn normalized(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}
