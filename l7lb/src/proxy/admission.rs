//! Who and what may come in: the protections of a rule, the cheapest first.
//!
//! addresses, rate limits, size, HTTPS, preflights (which carry no credentials), tokens, passwords,
//! the service that is asked. A request that is refused has cost nothing behind the step that did.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, header};
use pingora_http::{RequestHeader, ResponseHeader};

use super::Proxy;
use super::answer::Reason;
use super::attempt::usage_of;
use super::walk::Walk;
use crate::basic_auth::{BasicAuth, Credentials};
use crate::clock;
use crate::cors::CorsRule;
use crate::external_auth::{AuthRule, Verdict};
use crate::forward::Trust;
use crate::jwt::{JwtFault, JwtRule};
use crate::origin_peer::{self, Origin, PeerTimes};
use crate::random;
use crate::rate_limit::Limited;
use crate::redirect_port::known_port;
use crate::route::Scheme;
use crate::rule::Extras;

/// What a refused request gets.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Our own answer.
    Own(Reason),
    /// The answer of the service that was asked.
    Foreign(Box<ResponseHeader>, Bytes),
    /// A preflight's answer.
    Preflight,
    /// The same address over HTTPS.
    Https(String),
}

impl Proxy {
    /// Lets a request in, or says why not.
    pub(super) async fn admit(
        &self,
        request: &RequestHeader,
        walk: &mut Walk,
    ) -> Result<(), Refusal> {
        let view = Arc::clone(&walk.view);
        let rule = walk.found.and_then(|found| view.routes.rule(found.rule));
        let Some(extras) = rule.and_then(|rule| rule.extras.as_ref()) else { return Ok(()) };
        self.count(extras, request, walk)?;
        if extras.to_https && !self.came_by_https(request, walk) {
            return Err(Refusal::Https(https_address(request, walk)));
        }
        if extras.cors.is_some() && CorsRule::is_preflight(&request.method, &request.headers) {
            return Err(Refusal::Preflight);
        }
        if extras.is_broken {
            return Err(Refusal::Own(Reason::BadPolicy));
        }
        if let Some(jwt) = &extras.jwt {
            judge_token(jwt, request, walk)?;
        }
        // On the heap: a question to another service is a future of 13 KB, and without this every
        // request would be given the room for one.
        if let Some(basic) = &extras.basic {
            let credentials = Credentials::of(&request.headers);
            Box::pin(self.check_password(basic, credentials, walk)).await?;
        }
        if let Some(auth) = &extras.auth {
            Box::pin(self.ask(auth, request, walk)).await?;
        }
        Ok(())
    }

    /// What can be said without credentials.
    fn count(
        &self,
        extras: &Extras,
        request: &RequestHeader,
        walk: &mut Walk,
    ) -> Result<(), Refusal> {
        if extras.addresses.as_ref().is_some_and(|table| !table.admits(walk.client)) {
            return Err(Refusal::Own(Reason::AddressDenied));
        }
        for limit in &extras.limits {
            let taken = limit.take(walk.client, &request.headers, self.shared.clock.now_us());
            if let Err(limited) = taken {
                tell_limit(limited, walk);
                return Err(Refusal::Own(Reason::RateLimited));
            }
        }
        let length = request.headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        walk.body_octets_max = extras.body_octets_max;
        match (length, extras.body_octets_max) {
            (Some(length), Some(most)) if length > most => Err(Refusal::Own(Reason::BodyTooLarge)),
            _ => Ok(()),
        }
    }

    /// Whether the client spoke TLS, to us or to a trusted proxy before us.
    fn came_by_https(&self, request: &RequestHeader, walk: &Walk) -> bool {
        let told = || {
            let proto = request.headers.get("x-forwarded-proto");
            proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
        };
        let trusted = Trust::of(walk.peer.ip(), &self.shared.trusted) == Trust::Append;
        walk.scheme == Scheme::Https || (trusted && told())
    }

    async fn check_password(
        &self,
        basic: &Arc<BasicAuth>,
        credentials: Option<Credentials>,
        walk: &mut Walk,
    ) -> Result<(), Refusal> {
        let passes = match credentials {
            None => Some(false),
            Some(given) if basic.remembers(&given) => Some(true),
            Some(given) => {
                let basic = Arc::clone(basic);
                self.shared.errands.check_slowly(move || basic.verify(&given)).await
            }
        };
        match passes {
            Some(true) => Ok(()),
            Some(false) => {
                let challenge = HeaderValue::from_static("Basic realm=\"restricted\"");
                walk.told.push((header::WWW_AUTHENTICATE, challenge));
                Err(Refusal::Own(Reason::Unauthorized))
            }
            None => Err(Refusal::Own(Reason::AuthUnanswered)),
        }
    }

    async fn ask(
        &self,
        auth: &AuthRule,
        request: &RequestHeader,
        walk: &mut Walk,
    ) -> Result<(), Refusal> {
        let cluster = walk.view.clusters.get(auth.cluster as usize);
        let cluster = cluster.ok_or(Refusal::Own(Reason::BadPolicy))?;
        let now = self.shared.clock.now();
        let picked = cluster.pick(&[], now, random::bits());
        let limits = self.shared.origin;
        let within = auth.limits().within;
        let times = PeerTimes { connect: limits.connect.min(within), read: within, write: within };
        let usage = usage_of(cluster.protocol, false);
        let security = cluster.security.clone();
        let told = cluster.proxy_protocol.map(|version| (version, walk.ends()));
        let peer = picked.and_then(|endpoint| {
            let (endpoint, security) = (endpoint.address, &security);
            origin_peer::peer(Origin { endpoint, security, client: None, told }, usage, times)
        });
        let client = walk.client.to_string();
        let facts = [
            ("x-forwarded-for", client.as_str()),
            ("x-forwarded-proto", walk.scheme.as_str()),
            ("x-forwarded-host", walk.authority.as_str()),
            ("x-forwarded-method", request.method.as_str()),
        ];
        let question = auth.question(request, &walk.authority, &facts);
        let answer = match (peer, question) {
            (Some(peer), Ok(question)) => {
                let errand = (question, Bytes::new());
                let to = (&peer, &security);
                self.shared.errands.run(to, errand, auth.limits()).await.ok()
            }
            _ => None,
        };
        match auth.judge(answer) {
            Verdict::Pass(told) => {
                walk.written.extend(told);
                Ok(())
            }
            Verdict::Refuse(head, body) => Err(Refusal::Foreign(head, body)),
            Verdict::Unanswered => Err(Refusal::Own(Reason::AuthUnanswered)),
        }
    }
}

fn judge_token(jwt: &JwtRule, request: &RequestHeader, walk: &mut Walk) -> Result<(), Refusal> {
    let fault: JwtFault = match jwt.judge(&request.headers, clock::wall().as_secs()) {
        Ok(told) => {
            walk.written.extend(told);
            return Ok(());
        }
        Err(fault) => fault,
    };
    let challenge = HeaderValue::from_static(fault.challenge());
    walk.told.push((header::WWW_AUTHENTICATE, challenge));
    let reason = if fault.is_forbidden() { Reason::TokenForbidden } else { Reason::TokenRefused };
    Err(Refusal::Own(reason))
}

/// Draft-ietf-httpapi-ratelimit-headers, in the form that clients know, and `Retry-After`.
fn tell_limit(limited: Limited, walk: &mut Walk) {
    let Limited { limit, retry_after_s } = limited;
    walk.told.extend([
        (header::RETRY_AFTER, HeaderValue::from(retry_after_s)),
        (HeaderName::from_static("ratelimit-limit"), HeaderValue::from(limit)),
        (HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(0)),
        (HeaderName::from_static("ratelimit-reset"), HeaderValue::from(retry_after_s)),
    ]);
}

/// The request's own address over HTTPS.
fn https_address(request: &RequestHeader, walk: &Walk) -> String {
    let path = match &walk.absolute {
        Some(absolute) => absolute.clone(),
        None => String::from_utf8_lossy(request.raw_path()).into_owned(),
    };
    let rooted = if path.starts_with('/') { "" } else { "/" };
    let port = walk.arrival().https_port(&walk.view.ground.https);
    let port = if port == known_port(Scheme::Https) { String::new() } else { format!(":{port}") };
    format!("https://{}{port}{rooted}{path}", walk.host)
}
