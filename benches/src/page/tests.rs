use std::path::Path;

use super::{Records, fill, grouped};

fn records(files: &[(&str, &str)]) -> Records {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    Records::read(directory.path()).unwrap()
}

#[test]
fn gaps_are_filled_from_the_newest_record() {
    let records = records(&[
        ("2026-01-02-dns.json", r#"{"ratio": 1.0494, "rss": 2097152, "date": "new"}"#),
        ("2026-01-01-dns.json", r#"{"ratio": 9.9}"#),
        ("2026-01-01-dns.md", "not a record"),
    ]);
    let page = "a <!--dns /ratio 3-->old<!----> b <!--dns /rss 1/1048576--><!----> \
                <!--dns /date 0-->?<!----> <!--dns /none 0-->7<!----> <!--no /x 0--><!---->";
    let wanted = "a <!--dns /ratio 3-->1.049<!----> b <!--dns /rss 1/1048576-->2.0<!----> \
                  <!--dns /date 0-->new<!----> <!--dns /none 0-->-<!----> <!--no /x 0-->-<!---->";
    assert_eq!(fill(page, &records).unwrap(), wanted);
    assert_eq!(fill(wanted, &records).unwrap(), wanted, "filling twice changes nothing");
}

#[test]
fn what_is_no_gap_is_refused() {
    let refused = |page: &str| fill(page, &Records::default()).unwrap_err().to_string();
    assert_eq!(refused("<!--a note--> <!---->"), "`a note` is not a record, a place and a format");
    assert_eq!(refused("<!--dns /x 0-->5"), "`dns /x 0` has no end");
    assert_eq!(refused("<!--dns /x"), "a gap has no end");
}

#[test]
fn thousands_are_set_apart() {
    let checked = ["7", "999", "1000", "1234567.25", "-123"].map(grouped);
    assert_eq!(checked, ["7", "999", "1,000", "1,234,567.25", "-123"]);
}

#[test]
fn the_page_of_figures_shows_what_the_records_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let records = Records::read(&root.join("runs")).unwrap();
    let page = std::fs::read_to_string(root.join("../docs/figures.md")).unwrap();
    let filled = fill(&page, &records).unwrap();
    assert!(filled == page, "run `cargo run -p benches --bin figures` and review the change");
}
