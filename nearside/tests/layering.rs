//! The layers of docs/architecture.md, held by a test: who may use whom, and who may do I/O.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each crate and the workspace crates it may name, tests included.
const ALLOWED: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("geo-data", &["model"]),
    ("steering", &["model", "geo-data"]),
    ("dns", &["model", "geo-data", "steering"]),
    ("l7lb", &["model", "geo-data", "steering"]),
    ("controller", &["model", "geo-data", "steering"]),
    // Test support: nobody but tests may name it.
    ("kubesim", &[]),
    ("discovery", &["model", "kubesim"]),
    (
        "nearside",
        &["model", "geo-data", "steering", "dns", "l7lb", "controller", "discovery", "kubesim"],
    ),
    ("benches", &["model", "geo-data", "steering", "dns", "l7lb", "controller", "kubesim"]),
];

/// What the sources of the pure crates may not contain.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "std::process",
    "std::thread",
    "tokio",
    "async fn",
    "Instant::now",
    "SystemTime::now",
    "println!",
    "eprintln!",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

#[test]
fn crates_depend_downward_only() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let packages = metadata["packages"].as_array().expect("packages");
    assert_eq!(packages.len(), allowed.len(), "a crate is missing from ALLOWED");
    for package in packages {
        let name = package["name"].as_str().expect("name");
        let may = allowed.get(name).unwrap_or_else(|| panic!("`{name}` is not in ALLOWED"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let used = dependency["name"].as_str().expect("name");
            if allowed.contains_key(used) {
                assert!(may.contains(&used), "`{name}` may not depend on `{used}`");
            }
        }
    }
}

#[test]
fn pure_crates_do_no_io() {
    for name in ["model", "geo-data", "steering"] {
        let mut read = 0;
        for file in rust_files(&root().join(name).join("src")) {
            let path = file.display().to_string();
            if path.ends_with("tests.rs") || path.contains("/tests/") {
                continue;
            }
            let text = std::fs::read_to_string(&file).expect("readable");
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                for word in IMPURE {
                    assert!(
                        !code.contains(word),
                        "{path}:{}: `{word}` in a pure crate",
                        number + 1
                    );
                }
            }
            read += 1;
        }
        assert!(read > 3, "`{name}` was not read");
    }
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}
