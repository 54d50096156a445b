//! How TLS handshakes with clients end: the kinds that are counted.
//!
//! Few names for many causes, because what an operator does next depends on whose fault it was: a
//! client without a certificate, a name nobody has, a scanner that speaks something else.

use std::io;

use rustls::{CommonState, HandshakeKind, ProtocolVersion};

/// How far a connection has come when it ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is no handshake, or none yet.
    Before,
    /// The handshake has begun and not ended.
    Handshake,
    /// It has ended, or is somebody else's.
    After,
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeFault {
    /// What came is no TLS, or no hello.
    #[error("no TLS hello")]
    NotTls,
    /// The hello, or a message after it, contradicts itself.
    #[error("malformed TLS")]
    Malformed,
    /// No listener has the name.
    #[error("nobody here has that name")]
    UnknownName,
    /// The listener's certificates or authorities cannot be used.
    #[error("the listener cannot serve TLS")]
    Unservable,
    /// No version, cipher or signature that both know.
    #[error("nothing in common")]
    Incompatible,
    /// The client must show a certificate and shows none, or one that is not trusted.
    #[error("no client certificate that is trusted")]
    ClientCertificate,
    /// The client said that it does not want our certificate, or something else of ours.
    #[error("the client refused")]
    Refused,
    /// The client left.
    #[error("the client left")]
    Gone,
    /// It took too long.
    #[error("too slow")]
    Late,
}

impl HandshakeFault {
    /// What an error of a handshake means.
    pub(crate) fn of(error: &io::Error) -> Self {
        let cause = error.get_ref();
        if let Some(fault) = cause.and_then(|cause| cause.downcast_ref::<Self>()) {
            return *fault;
        }
        match cause.and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            None => Self::Gone,
            Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
                Self::ClientCertificate
            }
            Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
                Self::Incompatible
            }
            Some(rustls::Error::AlertReceived(_)) => Self::Refused,
            Some(rustls::Error::General(_)) => Self::Unservable,
            Some(_) => Self::Malformed,
        }
    }

    /// As an error of the connection.
    pub(crate) fn into_io(self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, self)
    }

    /// As metrics name it.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::NotTls => "not-tls",
            Self::Malformed => "malformed",
            Self::UnknownName => "unknown-name",
            Self::Unservable => "unservable",
            Self::Incompatible => "incompatible",
            Self::ClientCertificate => "client-certificate",
            Self::Refused => "refused-by-client",
            Self::Gone => "client-gone",
            Self::Late => "too-slow",
        }
    }
}

/// Version and whether it was resumed, as metrics name them.
pub(crate) fn kind(tls: &CommonState) -> [&'static str; 2] {
    let version = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "1.3",
        Some(ProtocolVersion::TLSv1_2) => "1.2",
        _ => "other",
    };
    let resumed = if tls.handshake_kind() == Some(HandshakeKind::Resumed) { "yes" } else { "no" };
    [version, resumed]
}

#[cfg(test)]
mod tests;
