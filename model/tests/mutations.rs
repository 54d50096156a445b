//! Mutated documents: whatever is done to good ones, a run loads them or says why and where.

use model::document::{self, Severity, SourceFile};
use proptest::prelude::*;
use proptest::sample::Index;

const FILES: [(&str, &str); 6] = [
    ("nearside.yaml", include_str!("golden/whole/nearside.yaml")),
    ("edge.example.zone", include_str!("golden/whole/edge.example.zone")),
    ("ingress.yaml", include_str!("golden/kube-docs/ingress.yaml")),
    ("core.yaml", include_str!("golden/kube-docs/core.yaml")),
    ("gateway.yaml", include_str!("golden/kube-docs/gateway.yaml")),
    ("many.yaml", include_str!("golden/many-errors/a.yaml")),
];

/// Pieces that mean something to YAML, to master files or to the readers.
const PIECES: [&str; 40] = [
    "",
    " ",
    "\n",
    "\t",
    "\r",
    "\u{feff}",
    "\u{0}",
    "---\n",
    "...",
    ":",
    "- ",
    "? ",
    "{",
    "}",
    "[",
    "]",
    "'",
    "\"",
    "\\",
    "&a ",
    "*a",
    "!x ",
    "!!str ",
    "|\n",
    ">-\n",
    "#",
    "%YAML 1.2\n",
    "null",
    "true",
    "-1",
    "99999999999999999999",
    "1e400",
    ".inf",
    "0x",
    "@",
    "<<: *a",
    "电信",
    "𠮷",
    "(",
    ";",
];

#[derive(Debug, Clone)]
enum Mutation {
    Insert(Index, usize),
    Delete(Index, u8),
    Repeat(Index, u8),
    Truncate(Index),
    Octet(Index, char),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    prop_oneof![
        4 => (any::<Index>(), 0..PIECES.len()).prop_map(|(at, piece)| Mutation::Insert(at, piece)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Delete(at, length)),
        2 => (any::<Index>(), any::<u8>()).prop_map(|(at, length)| Mutation::Repeat(at, length)),
        1 => any::<Index>().prop_map(Mutation::Truncate),
        2 => (any::<Index>(), any::<char>()).prop_map(|(at, c)| Mutation::Octet(at, c)),
    ]
}

fn apply(text: &str, mutation: &Mutation) -> String {
    let chars: Vec<char> = text.chars().collect();
    let place = |at: &Index| at.index(chars.len() + 1);
    let join = |parts: &[&[char]]| parts.concat().into_iter().collect::<String>();
    match mutation {
        Mutation::Insert(at, piece) => {
            let piece: Vec<char> = PIECES[*piece].chars().collect();
            join(&[&chars[..place(at)], &piece, &chars[place(at)..]])
        }
        Mutation::Delete(at, length) => {
            let end = (place(at) + usize::from(*length)).min(chars.len());
            join(&[&chars[..place(at)], &chars[end..]])
        }
        Mutation::Repeat(at, length) => {
            let end = (place(at) + usize::from(*length)).min(chars.len());
            join(&[&chars[..end], &chars[place(at)..]])
        }
        Mutation::Truncate(at) => join(&[&chars[..place(at)]]),
        Mutation::Octet(at, c) => {
            let end = (place(at) + 1).min(chars.len());
            join(&[&chars[..place(at)], &[*c], &chars[end..]])
        }
    }
}

/// Every line a place can name: YAML ends lines with LF, CR LF or CR.
fn lines(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(str::to_owned).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        // Thousands of documents; a run takes seconds.
        cases: 2048,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_mutated_run_loads_or_says_where_it_is_wrong(
        file in 0..FILES.len(),
        mutations in prop::collection::vec(mutation(), 1..4),
    ) {
        let mut files: Vec<SourceFile> = FILES
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).into(), text: (*text).into() })
            .collect();
        let text = mutations.iter().fold(FILES[file].1.to_owned(), |text, m| apply(&text, m));
        files[file].text = text.into();
        let diagnostics = match document::load(&files) {
            Ok(documents) => documents.warnings,
            Err(diagnostics) => {
                prop_assert!(diagnostics.iter().any(|d| d.severity == Severity::Error));
                diagnostics
            }
        };
        let mut last = None;
        for found in &diagnostics {
            let source = files.iter().find(|file| file.path == found.path).unwrap();
            let lines = lines(&source.text);
            let line = lines.get(found.line as usize - 1);
            prop_assert!(line.is_some(), "{found}: the file has {} lines", lines.len());
            let length = u32::try_from(line.unwrap().chars().count()).unwrap();
            prop_assert!(found.column >= 1 && found.column <= length + 2, "{found}");
            let place = (found.path.to_string(), found.line, found.column);
            prop_assert!(last.as_ref() <= Some(&place), "out of order: {found}");
            last = Some(place);
            prop_assert!(found.help.chars().count() > 8, "{found}");
            prop_assert!(found.to_string().lines().last().unwrap().starts_with("  help: "), "{found}");
        }
    }
}
