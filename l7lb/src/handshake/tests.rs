//! Errors as connections have them.

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

use super::*;

fn check(error: rustls::Error, code: &str) {
    let error = io::Error::new(io::ErrorKind::InvalidData, error);
    assert_eq!(HandshakeFault::of(&error).code(), code, "{error}");
}

#[test]
fn errors_are_told_apart_by_whose_fault_they_are() {
    check(rustls::Error::NoCertificatesPresented, "client-certificate");
    check(CertificateError::Expired.into(), "client-certificate");
    check(PeerIncompatible::NoCipherSuitesInCommon.into(), "incompatible");
    check(rustls::Error::AlertReceived(AlertDescription::UnknownCA), "refused-by-client");
    check(rustls::Error::DecryptError, "malformed");
    assert_eq!(HandshakeFault::of(&io::ErrorKind::UnexpectedEof.into()).code(), "client-gone");
    let ours = HandshakeFault::UnknownName.into_io();
    assert_eq!(HandshakeFault::of(&ours), HandshakeFault::UnknownName);
}
