use super::*;

type Found = Result<Vec<String>, (u32, u32, &'static str)>;

fn words(text: &str) -> Vec<Found> {
    let mut lexer = Lexer::new(text);
    std::iter::from_fn(|| {
        Some(match lexer.next_line()? {
            Ok(line) => Ok(line.words.iter().map(|word| word.text.to_owned()).collect()),
            Err(error) => Err((error.line, error.column, error.message)),
        })
    })
    .collect()
}

fn line(words: &[&str]) -> Found {
    Ok(words.iter().map(|&word| word.into()).collect())
}

#[test]
fn quotes_escapes_comments_and_parentheses() {
    let text =
        "a IN TXT \"one; two\" three\\;four ; five\n\n@ SOA ( 1 ; x\n 2 )\r\nb alpn=\"h2,h3\"";
    let expected = [
        line(&["a", "IN", "TXT", "one; two", "three\\;four"]),
        line(&["@", "SOA", "1", "2"]),
        line(&["b", "alpn=\"h2,h3\""]),
    ];
    assert_eq!(words(text), expected);
}

#[test]
fn mistakes_have_places_and_hide_nothing_after_them() {
    let text = "a \"open\nb )\nc x\"y\"\nd\ne (\nf";
    let expected = [
        Err((1, 3, "this quote is never closed")),
        Err((2, 3, "this parenthesis was never opened")),
        Err((3, 4, "a quote within a word")),
        line(&["d"]),
        Err((5, 3, "this parenthesis is never closed")),
    ];
    assert_eq!(words(text), expected);
}

#[test]
fn names_are_relative_unless_they_end_with_a_dot() {
    let origin = DnsName::parse("edge.example").unwrap();
    let check = |text: &str, expected: &str| {
        assert_eq!(name_under(text, &origin).unwrap().to_string(), expected, "{text}");
    };
    check("@", "edge.example.");
    check("www", "www.edge.example.");
    check("www.", "www.");
    check(".", ".");
    check("a\\.", "a\\..edge.example.");
    check("a\\\\.", "a\\\\.");
    assert!(name_under("", &origin).is_err());
    assert!(name_under(&"a.".repeat(120), &origin).is_ok());
    assert!(name_under(&"a.a".repeat(83), &origin).is_err());
}

#[test]
fn escapes_are_octets() {
    assert_eq!(unescape("a\\255\\\"b").unwrap(), b"a\xff\"b");
    for bad in ["\\", "\\25", "\\256", "\\2x5"] {
        assert_eq!(unescape(bad), None, "{bad}");
    }
}
