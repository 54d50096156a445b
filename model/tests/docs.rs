//! The examples of docs/documents.md: each of them loads, without a warning.
//!
//! Of a fence's info string the first word says what it is: `yaml` is an example of its own, or with
//! `with-quickstart` stands beside the files of examples/quickstart; `zone NAME` is the zone file
//! that an example names. A failure tells the line of the page.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::document::{self, Diagnostic, Documents, SourceFile};

/// Every kind that is read.
const KINDS: [&str; 24] = [
    "Zone",
    "Site",
    "GlobalService",
    "TrafficPolicy",
    "LocaleMap",
    "GuardPolicy",
    "Ingress",
    "Gateway",
    "HTTPRoute",
    "Service",
    "EndpointSlice",
    "Secret",
    "IngressClass",
    "GatewayClass",
    "ListenerSet",
    "GRPCRoute",
    "TLSRoute",
    "TCPRoute",
    "UDPRoute",
    "ReferenceGrant",
    "BackendTLSPolicy",
    "HttpPolicy",
    "ConfigMap",
    "Namespace",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A fenced block: its info string, its text, and blank lines before it, so that an error's line is
/// the page's.
struct Block {
    info: String,
    text: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (at, line) in page.lines().enumerate() {
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(info)) => {
                open = Some(Block { info: info.to_owned(), text: "\n".repeat(at + 1) });
            }
            (Some(block), Some(_)) => blocks.push(block),
            (Some(mut block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block of the page has no end");
    blocks
}

fn file(path: &str, text: impl Into<Arc<str>>) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

fn quickstart() -> Vec<SourceFile> {
    let directory = root().join("examples/quickstart");
    let paths = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = format!("quickstart/{}", path.file_name().unwrap().to_str().unwrap());
            file(&name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

/// The examples as runs: the files of each.
fn runs(page: &str) -> Vec<Vec<SourceFile>> {
    let mut runs = Vec::new();
    let blocks = blocks(page);
    for block in &blocks {
        let mut files = match &*block.info {
            "yaml" => Vec::new(),
            "yaml with-quickstart" => quickstart(),
            _ => continue,
        };
        files.push(file("docs/documents.md.yaml", &*block.text));
        let zones = blocks.iter().filter_map(|other| {
            let name = other.info.strip_prefix("zone ")?;
            let is_named = block.text.contains(&format!("zoneFile: {name}"));
            is_named.then(|| file(&format!("docs/{name}"), &*other.text))
        });
        files.extend(zones);
        runs.push(files);
    }
    runs
}

fn told(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}

#[test]
fn every_example_of_the_page_loads_without_a_warning() {
    let page = std::fs::read_to_string(root().join("docs/documents.md")).unwrap();
    let runs = runs(&page);
    assert!(runs.len() >= 7, "the page has lost its examples");
    for files in &runs {
        let Documents { warnings, .. } =
            document::load(files).unwrap_or_else(|refused| panic!("{}", told(&refused)));
        let own = |warning: &&Diagnostic| !warning.path.starts_with("quickstart/");
        let own: Vec<Diagnostic> = warnings.iter().filter(own).cloned().collect();
        assert!(own.is_empty(), "{}", told(&own));
    }
    for kind in KINDS {
        assert!(page.contains(&format!("\nkind: {kind}\n")), "the page has no example of {kind}");
    }
}

#[test]
fn an_example_that_rots_is_told_with_its_line() {
    let page = "# Page\n\n```yaml\napiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {name: a}\nspec: {apx: a.example}\n```\n";
    let refused = document::load(&runs(page)[0]).unwrap_err();
    assert!(told(&refused).starts_with("docs/documents.md.yaml:7:"), "{}", told(&refused));
}
