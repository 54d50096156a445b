//! `sessionPersistence` of a rule (GEP-1619).

use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{SessionCarrier, SessionPersistence};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Cookie,
    Header,
}

const CARRIERS: &[(&str, Carrier)] = &[("Cookie", Carrier::Cookie), ("Header", Carrier::Header)];
const LIFETIMES: &[(&str, bool)] = &[("Session", false), ("Permanent", true)];

/// Reads the mapping.
pub(super) fn read(node: &Node<'_>, report: &mut Report) -> Option<SessionPersistence> {
    let mut fields = Fields::open("`sessionPersistence`", node, report)?;
    let name = fields.optional("sessionName", report, super::filter::header_name_as_written);
    let carrier = fields.optional("type", report, value::choice(CARRIERS));
    let absolute_ms = fields.optional("absoluteTimeout", report, value::duration_ms);
    let idle_ms = fields.optional("idleTimeout", report, value::duration_ms);
    let permanent = fields.optional("cookieConfig", report, |node, report| {
        let mut fields = Fields::open("`cookieConfig`", node, report)?;
        let lifetime = fields.optional("lifetimeType", report, value::choice(LIFETIMES));
        fields.finish(report);
        lifetime
    });
    fields.finish(report);
    let carrier = match (carrier.unwrap_or(Carrier::Cookie), permanent.unwrap_or(false)) {
        (Carrier::Header, _) => SessionCarrier::Header,
        (Carrier::Cookie, false) => SessionCarrier::SessionCookie,
        (Carrier::Cookie, true) => SessionCarrier::PermanentCookie,
    };
    if carrier == SessionCarrier::PermanentCookie && absolute_ms.is_none() {
        let message = "a permanent cookie needs an `absoluteTimeout`";
        report.error(node.span, message, "add for example `absoluteTimeout: 24h`");
    }
    // A cookie's age is in whole seconds; a shorter session is still one.
    let seconds = |ms: u32| ms.div_ceil(1000);
    Some(SessionPersistence {
        name,
        carrier,
        absolute_timeout_s: absolute_ms.map(seconds),
        idle_timeout_s: idle_ms.map(seconds),
    })
}
