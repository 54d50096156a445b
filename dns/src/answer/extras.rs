//! Options that few queries ask for, laid out before the answer is: the cookie, who we are (RFC 5001),
//! and over TCP how long the connection may stay idle (RFC 7828).

use std::time::Duration;

use super::{Arrival, Transport};
use crate::cookie::{CLIENT_OCTETS, COOKIE_OCTETS, CookiePolicy};
use crate::message::{Edns, Fault, edns};
use crate::view::{NSID_OCTETS_MAX, View};

/// Code and length of an option.
const HEAD_OCTETS: usize = 4;
const KEEPALIVE_OCTETS: usize = 2;
const OCTETS_MAX: usize = 3 * HEAD_OCTETS + COOKIE_OCTETS + NSID_OCTETS_MAX + KEEPALIVE_OCTETS;

/// The options, ready to be copied.
#[derive(Debug)]
pub(super) struct Extras {
    octets: [u8; OCTETS_MAX],
    len: usize,
    /// Whether the client must first come back with the cookie it is given.
    pub(super) wants_cookie: bool,
    /// Whether the cookie it shows is ours; `None` when we give none.
    is_known: Option<bool>,
}

impl Extras {
    /// Lays out what this query asks for.
    #[inline(never)]
    pub(super) fn of(view: &View, edns: &Edns<'_>, arrival: &Arrival) -> Self {
        let mut extras =
            Self { octets: [0; OCTETS_MAX], len: 0, wants_cookie: false, is_known: None };
        let settings = &view.settings;
        let is_udp = arrival.transport == Transport::Udp;
        if let (Some(secrets), Some(sent)) = (&settings.cookie_secrets, edns.cookie)
            && let Some(cookie) = secrets.reply(sent, arrival.client.ip(), arrival.now_s)
        {
            extras.put(edns::OPTION_COOKIE, &cookie.octets);
            extras.is_known = Some(cookie.is_known);
            // Who came over TCP has shown that it receives at its address.
            let is_required = settings.cookie_policy == CookiePolicy::Require && is_udp;
            extras.wants_cookie = is_required && !cookie.is_known;
        }
        if edns.nsid && !settings.nsid.is_empty() {
            extras.put(edns::OPTION_NSID, &settings.nsid);
        }
        // Over UDP it means nothing (RFC 7828, section 3.3.1).
        if edns.keepalive && !is_udp {
            extras.put(edns::OPTION_KEEPALIVE, &tenths(settings.tcp_idle).to_be_bytes());
        }
        extras
    }

    /// What is wrong with a query of a cookie alone (RFC 7873, section 5.4): nothing, unless the cookie
    /// is not ours, or we have none to give.
    pub(super) fn fault_alone(&self, edns: &Edns<'_>) -> Fault {
        let shows_ours = edns.cookie.is_some_and(|cookie| cookie.len() > CLIENT_OCTETS);
        match self.is_known {
            None => Fault::QuestionCount,
            Some(false) if shows_ours => Fault::CookieUnknown,
            Some(_) => Fault::CookieAlone,
        }
    }

    /// The options.
    pub(super) fn octets(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }

    fn put(&mut self, code: u16, value: &[u8]) {
        let end = self.len + HEAD_OCTETS + value.len();
        if let Some(place) = self.octets.get_mut(self.len..end) {
            place[..2].copy_from_slice(&code.to_be_bytes());
            // At most `NSID_OCTETS_MAX` octets.
            place[3] = value.len().to_le_bytes()[0];
            place[HEAD_OCTETS..].copy_from_slice(value);
            self.len = end;
        }
    }
}

/// In units of 100 ms, as the option counts.
fn tenths(idle: Duration) -> u16 {
    u16::try_from(idle.as_millis() / 100).unwrap_or(u16::MAX)
}
