use super::Figures;

#[test]
fn a_record_has_its_figures_in_both_files() {
    let directory = tempfile::tempdir().unwrap();
    let mut figures = Figures::new("sizes", "weighed");
    figures.add("map", 6_170_624_u64, "octets");
    figures.add("ratio", 1.0625, "x");
    figures.notes.push("nothing else ran".to_owned());
    let path = figures.write(directory.path()).unwrap();
    let json: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(json.pointer("/figures/map/value").unwrap().as_f64(), Some(6_170_624.0));
    assert_eq!(json.pointer("/figures/ratio/unit").unwrap(), "x");
    let text = std::fs::read_to_string(path.with_extension("md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ")).collect();
    assert_eq!(
        rows,
        ["| figure | value | unit |", "| map | 6170624 | octets |", "| ratio | 1.062 | x |"]
    );
    assert!(text.ends_with("\n- nothing else ran\n"));
}
