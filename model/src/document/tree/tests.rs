use proptest::prelude::*;

use super::*;
use crate::document::SourceFile;

/// The documents as short text, then the findings as `line:column message`.
fn check(text: &str, expected: &[&str]) {
    let mut report = Report::default();
    let mut found = Vec::new();
    read(0, text, &mut report, |node, _| found.push(shown(&node)));
    let file = SourceFile { path: "a.yaml".into(), text: text.into() };
    for diagnostic in report.into_diagnostics(&[file]) {
        let place = format!("{}:{}", diagnostic.line, diagnostic.column);
        found.push(format!("{place} {}", diagnostic.message));
    }
    assert_eq!(found, expected, "{text}");
}

fn shown(node: &Node<'_>) -> String {
    let place = format!("{}:{}", node.span.line, node.span.column);
    match &node.value {
        Value::Scalar(scalar) => {
            let mark = match scalar.kind() {
                _ if node.is_null() => "~",
                ScalarKind::Text => "\"",
                ScalarKind::Number => "#",
                ScalarKind::Boolean => "?",
            };
            format!("{place}{mark}{}", scalar.text)
        }
        Value::List(items) => {
            format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(" "))
        }
        Value::Map(entries) => {
            let entry = |entry: &Entry<'_>| format!("{}={}", entry.key, shown(&entry.value));
            format!("{place}{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
    }
}

#[test]
fn scalars_resolve_by_the_core_schema() {
    check(
        "[a, 1, -1.5e3, 0x1F, 0o17, true, null, ~, \"1\", 'true', NO, yes, .inf, 1.2.3.4, 12:30]",
        &["[1:2\"a 1:5#1 1:8#-1.5e3 1:16#0x1F 1:22#0o17 1:28?true 1:34~null 1:40~~ 1:43\"1 \
           1:48\"true 1:56\"NO 1:60\"yes 1:65#.inf 1:71\"1.2.3.4 1:80\"12:30]"],
    );
    check("!!str 80", &["1:1\"80"]);
}

#[test]
fn columns_are_characters() {
    check("城市: {电信: 𠮷, b: x}", &["1:1{城市=1:5{电信=1:10\"𠮷 b=1:16\"x}}"]);
}

#[test]
fn every_document_is_read_and_empty_ones_are_not() {
    check("a: 1\n---\n---\n# nothing\n---\nb: 2\n...\n", &["1:1{a=1:4#1}", "6:1{b=6:4#2}"]);
    check("{\"a\": [1, \"x\"]}", &["1:1{a=[1:8#1 1:11\"x]}"]);
    check("", &[]);
    check("\u{feff}a: 1\r\nb: 2\r\n", &["1:1{a=1:4#1 b=2:4#2}"]);
}

#[test]
fn keys_are_text_and_given_once() {
    check("a: 1\nb: 2\na: 3\n", &["1:1{a=1:4#1 b=2:4#2}", "3:1 `a` is given twice"]);
    let many: String = (0..40).map(|n| format!("k{n}: 1\n")).collect::<String>() + "k7: 2\nk7: 3\n";
    let mut report = Report::default();
    read(0, &many, &mut report, |_, _| {});
    assert_eq!(report.into_diagnostics(&[]).len(), 2);
    check("? [a]\n: 1\n", &["1:1{}", "1:3 a key must be text, this is a list"]);
    check("a: {<<: b}", &["1:1{a=1:4{<<=1:9\"b}}", "1:5 merge keys (`<<`) are not supported"]);
}

#[test]
fn reading_goes_on_after_a_syntax_error() {
    let mut report = Report::default();
    let mut documents = 0;
    let text = "a: 1\n---\nb: [1\nc: 2\n---\nd: 3\n---\ne: \"x\n";
    read(0, text, &mut report, |_, _| documents += 1);
    assert!(report.may_have_lost(crate::document::object::Kind::Site));
    let lines: Vec<u32> = report.into_diagnostics(&[]).iter().map(|d| d.line).collect();
    assert_eq!((documents, lines.len()), (2, 2), "{lines:?}");
    assert!((3..=5).contains(&lines[0]) && lines[1] >= 8, "{lines:?}");
}

#[test]
fn aliases_are_copies_with_a_limit() {
    check("a: &x [1]\nb: *x\n", &["1:1{a=[1:8#1] b=[1:8#1]}"]);
    check(
        "a: &x 1\n---\nb: *x\n",
        &[
            "1:1{a=1:4#1}",
            "3:4 this alias names an anchor of another document or one it is part of",
        ],
    );
    let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        laughs.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let mut report = Report::default();
    read(0, &laughs, &mut report, |_, _| panic!("too much was read"));
    let diagnostics = report.into_diagnostics(&[]);
    assert!(diagnostics[0].message.contains("expand to more than"), "{diagnostics:?}");
}

#[test]
fn depth_has_a_limit() {
    let fine = "[".repeat(DEPTH_MAX) + &"]".repeat(DEPTH_MAX);
    let mut report = Report::default();
    let mut documents = 0;
    read(0, &fine, &mut report, |_, _| documents += 1);
    assert_eq!((documents, report.has_errors()), (1, false));
    read(0, &"[".repeat(1_000_000), &mut report, |_, _| documents += 1);
    assert_eq!((documents, report.has_errors()), (1, true));
}

#[test]
fn json_is_yaml() {
    check(
        "{\n\t\"a\":1,\n\t\"b\": [\"\\/\", \"\\u00e9\",\n\t\t{\"c\":null}],\n\t\"d\":\"\\u7535\"\n}\n",
        &["1:1{a=2:6#1 b=[3:8\"/ 3:14\"é 4:3{c=4:8~null}] d=5:6\"电}"],
    );
}

#[test]
fn block_scalars_and_comments() {
    check(
        "a: |\n  one\n  two\nb: >-\n  x\n  y\nc: # none\nd: 'it''s'\n",
        &["1:1{a=2:3\"one\ntwo\n b=5:3\"x y c=7:2~ d=8:4\"it's}"],
    );
}

/// A JSON value to write and to find again.
#[derive(Debug, Clone)]
enum Json {
    Text(String),
    Number(i64),
    Boolean(bool),
    Null,
    List(Vec<Self>),
    Map(BTreeMap<String, Self>),
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<String>().prop_map(Json::Text),
        any::<i64>().prop_map(Json::Number),
        any::<bool>().prop_map(Json::Boolean),
        Just(Json::Null),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::List),
            prop::collection::btree_map("[^<]{0,12}", inner, 0..6).prop_map(Json::Map),
        ]
    })
}

fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        c if c.is_control() || u32::from(c) > 0xffff || matches!(c, '\u{2028}' | '\u{2029}') => {
            format!("\\U{:08x}", u32::from(c))
        }
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

fn written(value: &Json) -> String {
    match value {
        Json::Text(text) => quoted(text),
        Json::Number(number) => number.to_string(),
        Json::Boolean(boolean) => boolean.to_string(),
        Json::Null => "null".into(),
        Json::List(items) => {
            format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(","))
        }
        Json::Map(entries) => {
            let entry =
                |(key, value): (&String, &Json)| format!("{}:\n {}", quoted(key), written(value));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

fn is_same(value: &Json, node: &Node<'_>) -> bool {
    match (value, &node.value) {
        (Json::List(items), Value::List(nodes)) => {
            items.len() == nodes.len() && items.iter().zip(nodes).all(|(a, b)| is_same(a, b))
        }
        (Json::Map(entries), Value::Map(nodes)) => {
            entries.len() == nodes.len()
                && entries
                    .iter()
                    .zip(nodes)
                    .all(|((key, value), entry)| *key == entry.key && is_same(value, &entry.value))
        }
        (Json::Null, Value::Scalar(_)) => node.is_null(),
        (leaf, Value::Scalar(scalar)) => match leaf {
            Json::Text(text) => scalar.kind() == ScalarKind::Text && *text == scalar.text,
            Json::Number(number) => {
                scalar.kind() == ScalarKind::Number && number.to_string() == scalar.text
            }
            Json::Boolean(boolean) => {
                scalar.kind() == ScalarKind::Boolean && boolean.to_string() == scalar.text
            }
            Json::Null | Json::List(_) | Json::Map(_) => false,
        },
        _ => false,
    }
}

proptest! {
    #[test]
    fn any_json_comes_back_as_it_was(value in json()) {
        let text = format!("[{}]", written(&value));
        let mut report = Report::default();
        let mut same = 0;
        read(0, &text, &mut report, |node, _| match &node.value {
            Value::List(items) => same += usize::from(is_same(&value, &items[0])),
            Value::Scalar(_) | Value::Map(_) => {}
        });
        let found = report.into_diagnostics(&[]);
        prop_assert!(same == 1 && found.is_empty(), "{text}\n{found:?}");
    }
}
