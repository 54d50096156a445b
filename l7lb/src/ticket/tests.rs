//! Keys by secret, period and listener.

use super::*;

const ONE: &str = "0123456789abcdef0123456789abcdef";
const TWO: &str = "fedcba9876543210fedcba9876543210";

fn keys(text: &str, listener: &str, period: u64) -> Keys {
    Keys::derive(&TicketSecrets::parse(text).unwrap().0, listener.as_bytes(), period)
}

#[test]
fn a_ticket_is_read_by_another_node_for_a_period_more_and_no_longer() {
    let ticket = keys(ONE, "a", 100).seal([7; NONCE_LEN], b"session").unwrap();
    let read = |period| keys(ONE, "a", period).open(&ticket);
    for period in [99, 100, 101] {
        assert_eq!(read(period).as_deref(), Some(&b"session"[..]), "{period}");
    }
    assert_eq!((read(98), read(102)), (None, None));
}

#[test]
fn listeners_and_secrets_do_not_mix() {
    let ticket = keys(ONE, "a", 100).seal([7; NONCE_LEN], b"session").unwrap();
    assert_eq!(keys(ONE, "b", 100).open(&ticket), None);
    assert_eq!(keys(TWO, "a", 100).open(&ticket), None);
    // A new secret in front: what the old one sealed is read, and the new one seals.
    let both = format!("{TWO}\n{ONE}\n");
    assert!(keys(&both, "a", 100).open(&ticket).is_some());
    let renewed = keys(&both, "a", 100).seal([7; NONCE_LEN], b"session").unwrap();
    assert!(keys(TWO, "a", 100).open(&renewed).is_some());
    assert_eq!(keys(ONE, "a", 100).open(&renewed), None);
}

#[test]
fn damage_and_shortness_open_nothing() {
    let keys = keys(ONE, "a", 100);
    let ticket = keys.seal([7; NONCE_LEN], b"session").unwrap();
    for at in 0..ticket.len() {
        let mut damaged = ticket.clone();
        damaged[at] ^= 1;
        assert_eq!(keys.open(&damaged), None, "{at}");
        assert_eq!(keys.open(&ticket[..at]), None, "{at}");
    }
}

#[test]
fn files_are_refused_by_line_and_never_quoted() {
    let error = |text: &str| TicketSecrets::parse(text).unwrap_err();
    assert_eq!(error("# none\n\n"), TicketSecretsError::Empty);
    assert_eq!(error(&format!("{ONE}\nshort\n")), TicketSecretsError::Short { line: 2 });
    assert_eq!(error(&format!("{ONE}\n").repeat(4)), TicketSecretsError::TooMany { line: 4 });
    assert_eq!(error(&"x".repeat(FILE_OCTETS_MAX + 1)), TicketSecretsError::TooLong);
    assert!(!error("guessable").to_string().contains("guessable"));
    assert_eq!(format!("{:?}", TicketSecrets::parse(ONE).unwrap()), "TicketSecrets(1)");
}
