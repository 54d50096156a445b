//! Annotations of an Ingress in ingress-nginx's spelling, which people's charts carry.
//!
//! One without effect is warned of by name, never passed over in silence. One that keeps people out
//! and is not understood refuses the Ingress: to leave it away would open what was closed.

use std::sync::Arc;

use ipnet::IpNet;

use crate::document::head::Head;
use crate::document::report::{Report, Spanned};
use crate::document::upstream::filter::{cors, is_token};
use crate::document::upstream::quantity;
use crate::gateway::settings::{AddressRules, RateKey, RateLimit};
use crate::gateway::{Cors, Ingress, PathRewrite, Reference, SessionCarrier, SessionPersistence};
use crate::name::ObjectRef;

const PREFIX: &str = "nginx.ingress.kubernetes.io/";
/// The older way to name a class.
const CLASS: &str = "kubernetes.io/ingress.class";

/// Those that are read below.
const KNOWN: &[&str] = &[
    "affinity",
    "allowlist-source-range",
    "auth-secret",
    "auth-secret-type",
    "auth-type",
    "backend-protocol",
    "canary",
    "cors-allow-credentials",
    "cors-allow-headers",
    "cors-allow-methods",
    "cors-allow-origin",
    "cors-expose-headers",
    "cors-max-age",
    "denylist-source-range",
    "enable-cors",
    "force-ssl-redirect",
    "limit-burst-multiplier",
    "limit-rpm",
    "limit-rps",
    "permanent-redirect",
    "permanent-redirect-code",
    "proxy-body-size",
    "proxy-connect-timeout",
    "proxy-read-timeout",
    "proxy-send-timeout",
    "rewrite-target",
    "session-cookie-max-age",
    "session-cookie-name",
    "ssl-redirect",
    "temporal-redirect",
    "temporal-redirect-code",
    "upstream-vhost",
    "use-regex",
    "whitelist-source-range",
];
/// Those that keep people out in ways that are not supported.
const GUARDS: &[&str] = &[
    "auth-tls-secret",
    "auth-tls-verify-client",
    "auth-url",
    "enable-global-auth",
    "satisfy",
    "whitelist-source-range-header",
];

/// ingress-nginx's defaults of `enable-cors`.
const CORS_METHODS: &str = "GET, PUT, POST, DELETE, PATCH, OPTIONS";
const CORS_HEADERS: &str = "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,\
                            Cache-Control,Content-Type,Range,Authorization";
const CORS_MAX_AGE_S: u32 = 1_728_000;
/// ingress-nginx's burst over its rate, and its cookie.
const BURST_MULTIPLIER: u32 = 5;
const COOKIE: &str = "INGRESSCOOKIE";
/// The longest list of prefixes.
const PREFIXES_MAX: usize = 10_000;

/// Whether paths are regular expressions: asked for, or because the rewrite takes their groups.
pub(super) fn uses_regex(head: &Head) -> bool {
    let given = |key: &str| head.annotation(&format!("{PREFIX}{key}"));
    given("use-regex").is_some_and(|text| &*text.value == "true")
        || given("rewrite-target").is_some_and(|text| !text.value.is_empty())
}

/// Puts into the Ingress what its annotations mean.
pub(super) fn apply(ingress: &mut Ingress, head: &Head, report: &mut Report) {
    let mut annotations = Annotations { head, report };
    if ingress.class.is_none() {
        ingress.class = head.annotation(CLASS).map(|text| Arc::clone(&text.value));
    }
    annotations.report_others();
    if annotations.flag("canary") == Some(true) {
        annotations.warn("canary", "a canary Ingress is not served", "use weights of an HTTPRoute");
        ingress.paths.clear();
        ingress.default_backend = None;
    }
    annotations.rewrites(ingress);
    annotations.redirects(ingress);
    annotations.timeouts(ingress);
    annotations.backend(ingress);
    let settings = &mut ingress.settings;
    settings.addresses = annotations.addresses();
    settings.rate_limits = annotations.rate_limits();
    settings.body_octets_max = annotations
        .parsed("proxy-body-size", "a size such as `8m`", quantity::parse_nginx)
        .flatten();
    settings.basic_auth = annotations.basic_auth();
    settings.cors = annotations.cors();
    settings.session = annotations.session();
}

struct Annotations<'h, 'r> {
    head: &'h Head,
    report: &'r mut Report,
}

impl<'h> Annotations<'h, '_> {
    fn find(&self, key: &str) -> Option<&'h Spanned<Arc<str>>> {
        self.head
            .annotations
            .iter()
            .find(|(known, _)| known.strip_prefix(PREFIX) == Some(key))
            .map(|(_, value)| value)
    }

    /// The text of an annotation, when it is not empty.
    fn text(&self, key: &str) -> Option<&'h Arc<str>> {
        self.find(key).map(|found| &found.value).filter(|text| !text.trim().is_empty())
    }

    fn warn(&mut self, key: &str, message: &str, help: &str) {
        if let Some(found) = self.find(key) {
            self.report.warn(found.span, message, help);
        }
    }

    fn refuse(&mut self, key: &str, wanted: &str) {
        if let Some(found) = self.find(key) {
            let message = format!("`{}` is not a value of `{PREFIX}{key}`", found.value);
            self.report.error(found.span, message, format!("write {wanted}"));
        }
    }

    fn parsed<T>(
        &mut self,
        key: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let parsed = parse(self.text(key)?);
        if parsed.is_none() {
            self.refuse(key, wanted);
        }
        parsed
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.parsed(key, "`\"true\"` or `\"false\"`", |text| match text.trim() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    fn number(&mut self, key: &str) -> Option<u32> {
        self.parsed(key, "a whole number", |text| text.trim().parse().ok())
    }

    fn report_others(&mut self) {
        for (key, value) in &self.head.annotations {
            let Some(key) = key.strip_prefix(PREFIX) else { continue };
            if KNOWN.contains(&key) {
                continue;
            }
            if GUARDS.contains(&key) {
                let message = format!("`{PREFIX}{key}` is not supported");
                let help = "without it the Ingress would be open to everyone, so it is not served; \
                            use an HttpPolicy, or a Gateway's client validation";
                self.report.error(value.span, message, help);
            } else {
                let message = format!("the annotation `{PREFIX}{key}` has no effect here");
                self.report.warn(value.span, message, "remove it, or expect the default behaviour");
            }
        }
    }

    fn rewrites(&self, ingress: &mut Ingress) {
        let target = self.text("rewrite-target");
        ingress.rewrite = target.map(|text| PathRewrite::ReplaceCaptures(Arc::clone(text)));
        ingress.rewrite_host = self.text("upstream-vhost").map(Arc::clone);
    }

    fn redirects(&mut self, ingress: &mut Ingress) {
        ingress.https_redirect = match (self.flag("force-ssl-redirect"), self.flag("ssl-redirect"))
        {
            (Some(true), _) => Some(true),
            (_, Some(false)) => Some(false),
            _ => None,
        };
        let status =
            |text: &str| text.trim().parse().ok().filter(|code| (301..=308).contains(code));
        let wanted = "a status from 301 to 308";
        let lasting = self.parsed("permanent-redirect-code", wanted, status).unwrap_or(301);
        let passing = self.parsed("temporal-redirect-code", wanted, status).unwrap_or(302);
        // ingress-nginx looks at the temporal one first.
        let passing = self.text("temporal-redirect").map(|to| (passing, Arc::clone(to)));
        let lasting = self.text("permanent-redirect").map(|to| (lasting, Arc::clone(to)));
        ingress.redirect = passing.or(lasting);
    }

    fn timeouts(&mut self, ingress: &mut Ingress) {
        let mut seconds = |key: &str| {
            self.parsed(key, "whole seconds, such as `\"60\"`", |text| {
                let digits = text.trim();
                digits.strip_suffix('s').unwrap_or(digits).parse::<u32>().ok()?.checked_mul(1000)
            })
        };
        ingress.connect_timeout_ms = seconds("proxy-connect-timeout");
        let (read, send) = (seconds("proxy-read-timeout"), seconds("proxy-send-timeout"));
        ingress.read_timeout_ms = read.or(send);
    }

    fn backend(&mut self, ingress: &mut Ingress) {
        let wanted = "one of `HTTP`, `HTTPS`, `GRPC`, `GRPCS`";
        ingress.backend_protocol = self.parsed("backend-protocol", wanted, |text| {
            let upper = text.trim().to_ascii_uppercase();
            let known = ["HTTP", "HTTPS", "GRPC", "GRPCS"].contains(&&*upper);
            known.then(|| upper.into())
        });
    }

    fn addresses(&mut self) -> Option<AddressRules> {
        let mut prefixes = |key: &str| {
            let wanted = "prefixes with commas between, such as `10.0.0.0/8,192.0.2.7`";
            self.parsed(key, wanted, parse_prefixes)
        };
        let deny = prefixes("denylist-source-range");
        let allow = [prefixes("allowlist-source-range"), prefixes("whitelist-source-range")];
        let allow = allow.into_iter().flatten().next();
        (allow.is_some() || deny.is_some()).then(|| AddressRules {
            allow: allow.unwrap_or_default(),
            deny: deny.unwrap_or_default(),
        })
    }

    fn rate_limits(&mut self) -> Vec<RateLimit> {
        let times = self.number("limit-burst-multiplier").unwrap_or(BURST_MULTIPLIER);
        let mut limits = Vec::new();
        for (key, per_ms) in [("limit-rps", 1_000), ("limit-rpm", 60_000)] {
            if let Some(requests) = self.number(key).filter(|&requests| requests > 0) {
                let burst = requests.saturating_mul(times);
                limits.push(RateLimit { requests, per_ms, burst, key: RateKey::Address });
            }
        }
        limits
    }

    fn basic_auth(&mut self) -> Option<Reference> {
        self.parsed("auth-type", "`basic`: others are not supported", |text| {
            (text.trim() == "basic").then_some(())
        })?;
        let format = "`auth-file`: others are not supported";
        self.parsed("auth-secret-type", format, |text| (text.trim() == "auth-file").then_some(()));
        let Some(secret) = self.text("auth-secret") else {
            let found = self.find("auth-type")?;
            let message = format!("`{PREFIX}auth-type` has no `{PREFIX}auth-secret`");
            self.report.error(found.span, message, "name the Secret with the users under `auth`");
            return None;
        };
        let own = (&*self.head.object.namespace, secret.trim());
        let (namespace, name) = secret.trim().split_once('/').unwrap_or(own);
        Some(Reference::new("", "Secret", ObjectRef::new(namespace, name)))
    }

    fn cors(&mut self) -> Option<Cors> {
        self.flag("enable-cors").filter(|enabled| *enabled)?;
        let list =
            |text: Option<&Arc<str>>, default: &str| cors::words(text.map_or(default, |text| text));
        let origins = list(self.text("cors-allow-origin"), "*");
        if !origins.iter().all(|origin| cors::is_origin(origin)) {
            self.refuse("cors-allow-origin", "origins such as `https://www.example`, or `*`");
        }
        let methods = list(self.text("cors-allow-methods"), CORS_METHODS);
        let headers = list(self.text("cors-allow-headers"), CORS_HEADERS);
        let exposed = list(self.text("cors-expose-headers"), "");
        if ![&methods, &headers, &exposed].into_iter().flatten().all(|word| is_token(word)) {
            self.refuse("cors-allow-headers", "names with commas between");
        }
        Some(Cors {
            allow_origins: origins,
            allow_credentials: self.flag("cors-allow-credentials").unwrap_or(true),
            allow_methods: methods,
            allow_headers: headers,
            expose_headers: exposed,
            max_age_s: Some(self.number("cors-max-age").unwrap_or(CORS_MAX_AGE_S)),
        })
    }

    fn session(&mut self) -> Option<SessionPersistence> {
        self.parsed("affinity", "`cookie`", |text| (text.trim() == "cookie").then_some(()))?;
        let name = self.parsed("session-cookie-name", "a cookie's name", |text| {
            is_token(text).then(|| Arc::from(text))
        });
        let age_s = self.number("session-cookie-max-age");
        Some(SessionPersistence {
            name: Some(name.unwrap_or_else(|| COOKIE.into())),
            carrier: match age_s {
                Some(_) => SessionCarrier::PermanentCookie,
                None => SessionCarrier::SessionCookie,
            },
            absolute_timeout_s: age_s,
            idle_timeout_s: None,
        })
    }
}

/// Prefixes or addresses with commas between.
fn parse_prefixes(text: &str) -> Option<Vec<IpNet>> {
    let parts: Vec<&str> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || parts.len() > PREFIXES_MAX {
        return None;
    }
    let parse = |part: &str| {
        let whole = || part.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        part.parse::<IpNet>().ok().or_else(whole).map(|prefix| prefix.trunc())
    };
    parts.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests;
