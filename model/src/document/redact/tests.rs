use crate::document::{SourceFile, load};

const KEY: &str = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCnNlY3JldA==";

/// Loads a broken Secret and demands an error that shows nothing of the key.
fn check(text: &str) {
    let file = SourceFile { path: "secret.yaml".into(), text: text.replace("KEY", KEY).into() };
    let diagnostics = load(&[file]).unwrap_err();
    let shown: String = diagnostics.iter().map(|d| format!("{d}\n{d:?}\n")).collect();
    for at in 0..KEY.len() - 8 {
        assert!(!shown.contains(&KEY[at..at + 8]), "{shown}");
    }
}

#[test]
fn no_broken_secret_shows_its_key() {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ntype: kubernetes.io/tls\n";
    for tail in [
        "data: {tls.crt: '*', tls.key: KEY}\n",
        "data:\n  tls.crt: KEY\n  tls.key: [KEY]\n",
        "data:\n  tls.crt: KEY\n tls.key: KEY\n",
        "data:\n  tls.crt: KEY\n  tls.key: |\n    KEY\n   KEY\n",
        "data: KEY\n",
        "KEY: x\n",
        "tls.key: KEY\n",
        "stringData: {tls.key: KEY, tls.crt: KEY}\n",
        "data: {tls.key: KEY, tls.key: KEY}\n",
    ] {
        check(&format!("{head}{tail}"));
    }
    check("apiVersion: v1\nkind: Secret\nmetadata: {name: x, labels: {tls.key: KEY}}\ndata: {}\n");
    check("apiVersion: v1\nkind: Secret\nmetadata: {name: KEY}\n");
    check(
        &format!("apiVersion: v1\nkind: List\nitems:\n- {}", head.replace('\n', "\n  "))
            .replace("type:", "data: {tls.key: KEY, tls.crt: [KEY]}\n  type:"),
    );
    check("{\"kind\": \"Secret\", \"data\": {\"tls.key\": \"KEY\"}}");
}

#[test]
fn other_documents_of_the_file_are_shown() {
    let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\n---\nkind: Sit\n";
    let file = SourceFile { path: "a.yaml".into(), text: text.into() };
    let diagnostics = load(&[file]).unwrap_err();
    let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    assert!(shown.iter().any(|text| text.contains("kind: Sit\n")), "{shown:?}");
}
