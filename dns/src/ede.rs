//! Extended DNS errors (RFC 8914): why an answer is as it is, for the person who looks at it.
//!
//! The registry was made for resolvers and has no code for most of what steering does; those are
//! code 0 (`Other`) with a text, and the text is what people read.

use steering::decide::Reason;

/// A reason sent beside an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedError {
    /// The name is in no zone of ours.
    NotAuthoritative,
    /// The service has no compiled map yet.
    NotReady,
    /// The name that an alias stands for has not been resolved yet.
    NotResolved,
    /// What an alias stands for should have been resolved anew, and could not be.
    Stale,
    /// The client subnet breaks RFC 7871.
    BadSubnet,
    /// Fence and drain leave no site for this client.
    Fenced,
    /// Every site is out and the service's fallback is `none`.
    FallbackNone,
    /// Every site is out; they are answered as if they were up.
    AllOut,
    /// Too few sites are up for health to be believed.
    Panic,
    /// Every candidate is out; the configured fallback sites are answered.
    FallbackSites,
}

impl ExtendedError {
    /// INFO-CODE (RFC 8914, section 5.2).
    pub fn code(self) -> u16 {
        match self {
            Self::NotAuthoritative => 20,
            Self::NotReady | Self::NotResolved => 14,
            Self::Stale => 3,
            Self::Fenced => 18,
            Self::BadSubnet
            | Self::FallbackNone
            | Self::AllOut
            | Self::Panic
            | Self::FallbackSites => 0,
        }
    }

    /// EXTRA-TEXT.
    pub fn text(self) -> &'static str {
        match self {
            Self::NotAuthoritative => "",
            Self::NotReady => "no map for this service yet",
            Self::NotResolved => "alias not resolved yet",
            Self::Stale => "alias not renewed",
            Self::BadSubnet => "bad client subnet",
            Self::Fenced => "no site may serve this client",
            Self::FallbackNone => "every site is out",
            Self::AllOut => "every site is out, health ignored",
            Self::Panic => "too few sites up, health ignored",
            Self::FallbackSites => "every site is out, fallback sites",
        }
    }

    /// What a decision's reason is worth telling; the ordinary ones are not.
    pub fn of(reason: Reason) -> Option<Self> {
        match reason {
            Reason::Best | Reason::Share | Reason::Shift | Reason::Failover => None,
            Reason::AllOut => Some(Self::AllOut),
            Reason::Panic => Some(Self::Panic),
            Reason::FallbackSites => Some(Self::FallbackSites),
            Reason::Fenced => Some(Self::Fenced),
            Reason::FallbackNone => Some(Self::FallbackNone),
        }
    }
}
