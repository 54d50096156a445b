//! Documents against golden files: what people read when a document is wrong, and that right ones
//! load.
//!
//! `golden/NAME/` holds the files of a run and `expected.txt`, what the run says. To accept new
//! texts run with `UPDATE_GOLDEN=1` and review the difference like code.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its files has failed")]

use std::path::{Path, PathBuf};

use model::document::{self, SourceFile};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn sources(directory: &Path) -> Vec<SourceFile> {
    let mut files: Vec<SourceFile> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("expected.txt"))
        .map(|path| SourceFile {
            path: path.file_name().unwrap().to_str().unwrap().into(),
            text: std::fs::read_to_string(&path).unwrap().into(),
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn run(files: &[SourceFile]) -> String {
    let (verdict, diagnostics) = match document::load(files) {
        Ok(documents) => ("loaded", documents.warnings),
        Err(diagnostics) => ("refused", diagnostics),
    };
    let mut text: String = diagnostics.iter().map(|d| format!("{d}\n\n")).collect();
    text.push_str(verdict);
    text.push('\n');
    text
}

#[test]
fn every_golden_run_says_what_is_expected() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut runs = 0;
    for entry in std::fs::read_dir(golden()).unwrap() {
        let directory = entry.unwrap().path();
        let found = run(&sources(&directory));
        let path = directory.join("expected.txt");
        if update {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}:\n{found}", directory.display()));
        }
        runs += 1;
    }
    assert!(runs >= 12, "the golden files are gone");
    assert!(wrong.is_empty(), "{}", wrong.join("\n----\n"));
}
