use super::*;

#[test]
fn the_vectors_of_rfc_4648() {
    let vectors = [
        ("", ""),
        ("Zg==", "f"),
        ("Zm8=", "fo"),
        ("Zm9v", "foo"),
        ("Zm9vYg==", "foob"),
        ("Zm9vYmE=", "fooba"),
        ("Zm9vYmFy", "foobar"),
        ("Zm9v\n  YmFy\n", "foobar"),
    ];
    for (text, octets) in vectors {
        assert_eq!(decode(text).as_deref(), Some(octets.as_bytes()), "{text}");
    }
}

#[test]
fn sloppy_text_is_refused() {
    for text in ["Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Zm9v=", "Z-_v", "Zm9v*"] {
        assert_eq!(decode(text), None, "{text}");
    }
}
