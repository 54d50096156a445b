use super::*;

fn fill(template: &str, number: u32) -> Option<String> {
    Template::parse(template).unwrap().fill(number)
}

#[test]
fn places_are_filled() {
    for (template, number, filled) in [
        ("host$", 7, "host7"),
        ("$.$", 7, "7.7"),
        ("h${0,3}x", 7, "h007x"),
        ("h${10,3,x}", 245, "h0ff"),
        ("h${0,0,X}", 255, "hFF"),
        ("h${-7}", 7, "h0"),
        ("${0,4,o}", 8, "0010"),
        ("${0,7,n}", 0x1a, "a.1.0.0"),
        ("${0,0,n}", 0x1a2, "2.a.1"),
        ("${0,1,N}", 10, "A"),
        ("a$$b", 7, "a$b"),
        ("a\\$b", 7, "a\\$b"),
        ("plain", 7, "plain"),
        ("", 7, ""),
    ] {
        assert_eq!(fill(template, number).as_deref(), Some(filled), "{template}");
    }
    assert_eq!(fill("h${-7}", 6), None);
}

#[test]
fn what_is_no_place_is_refused() {
    for bad in ["${", "a${0", "${}", "${x}", "${0,1,d,}", "${0,64}", "${0,1,y}", "${,1}"] {
        assert!(Template::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn ranges_are_bounded_and_ends_are_in() {
    let numbers = |text: &str| Range::parse(text).map(|range| range.collect::<Vec<u32>>());
    assert_eq!(numbers("1-3").unwrap(), [1, 2, 3]);
    assert_eq!(numbers("0-5/2").unwrap(), [0, 2, 4]);
    assert_eq!(numbers("7-7/9").unwrap(), [7]);
    assert_eq!(numbers("2147483647-2147483647").unwrap(), [2_147_483_647]);
    assert_eq!(numbers("1-65536").unwrap().len(), 65_536);
    assert!(numbers("0-65536").unwrap_err().contains("more than 65536 records"));
    for bad in ["", "1", "3-1", "1-3/0", "1-3/", "-1-3", "+1-3", "1-2147483648", "a-b"] {
        assert_eq!(numbers(bad).unwrap_err(), format!("`{bad}` is not a range"));
    }
}
