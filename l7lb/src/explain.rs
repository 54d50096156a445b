//! What a gateway would do with a request, told in full, without a request.
//!
//! Nothing is decided here a second time: a head is judged by `head`, read by `asked`, meets its rule
//! by the view's own walk, and endpoints are as the balancer sees them. What needs credentials, tokens
//! of a limit or an answer from elsewhere is named and not tried. Pure.

pub(crate) mod cluster;
mod rule;
mod show;
mod shown;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use model::gateway::GatewayObjects;
use model::name::SiteName;

pub use self::shown::{
    BackendShown, CandidateShown, EndpointShown, PlaceShown, RouteExplanation, RuleShown, TlsShown,
};
use crate::asked::{Asked, RawTarget};
use crate::breaker::Millis;
use crate::head::{Fault, HeadLimits, HeadScan, split_absolute};
use crate::host;
use crate::insight::Insight;
use crate::redirect_port::{Arrival, known_port};
use crate::route::{Considered, Found, RequestParts, Scheme};
use crate::socket::{Place, Plan, StreamPlan, TlsAction, Wire};
use crate::view::{GatewayView, Met};

/// Candidates shown of one place; a person reads no more.
const CANDIDATES_SHOWN_MAX: usize = 64;

/// A request that somebody asks about.
#[derive(Debug, Clone)]
pub struct Question {
    method: String,
    scheme: Scheme,
    authority: String,
    target: String,
    headers: HeaderMap,
    client: Option<IpAddr>,
}

/// Why a text is no question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// The request line.
    #[error(
        "`{0}` is not a request\n  help: write a method and an address, as in `GET https://host/path`"
    )]
    Request(String),
    /// A header.
    #[error("`{0}` is not a header\n  help: write it as in `Name: value`")]
    Header(String),
}

impl Question {
    /// Reads `GET https://host/path` (the method may be left out) and headers as `Name: value`. A
    /// `Host` header stands instead of the address's host, whose name then only opens the connection.
    ///
    /// # Errors
    /// When one of them is something else.
    pub fn parse(
        request: &str,
        headers: &[String],
        client: Option<IpAddr>,
    ) -> Result<Self, QuestionError> {
        let wrong = || QuestionError::Request(request.to_owned());
        let (method, url) =
            request.trim().split_once(' ').unwrap_or_else(|| ("GET", request.trim()));
        let (authority, target) = split_absolute(url).ok_or_else(wrong)?;
        let scheme = match url.split(':').next() {
            Some(name) if name.eq_ignore_ascii_case("https") => Scheme::Https,
            _ => Scheme::Http,
        };
        host::parse(authority).ok_or_else(wrong)?;
        let mut map = HeaderMap::new();
        for line in headers {
            let parsed = line.split_once(':').and_then(|(name, value)| {
                let name = HeaderName::try_from(name.trim()).ok()?;
                Some((name, HeaderValue::try_from(value.trim()).ok()?))
            });
            let (name, value) = parsed.ok_or_else(|| QuestionError::Header(line.clone()))?;
            map.append(name, value);
        }
        if !map.contains_key(header::HOST) {
            let value = HeaderValue::try_from(authority).map_err(|_| wrong())?;
            map.insert(header::HOST, value);
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let (method, authority) = (method.to_owned(), authority.to_owned());
        Ok(Self { method, scheme, authority, target, headers: map, client })
    }

    /// What a TLS client says first: names only, no addresses (RFC 6066, section 3).
    fn server_name(&self) -> Option<String> {
        let name = host::parse(&self.authority)?.name.into_owned();
        let is_address = name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok();
        (self.scheme == Scheme::Https && !is_address).then_some(name)
    }

    fn port(&self) -> u16 {
        let given = host::parse(&self.authority).and_then(|host| host.port);
        given.unwrap_or_else(|| known_port(self.scheme))
    }

    /// Judged as the octets of its head would be.
    fn judge(&self) -> Result<Asked, Fault> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        HeadScan::default().advance(&head, &HeadLimits::default())?;
        let version = Version::HTTP_11;
        let raw = RawTarget { version, authority: None, target: &self.target };
        Asked::read(raw, &self.headers)
    }
}

impl Insight {
    /// What the gateway would do with a request now.
    #[must_use]
    pub fn explain(&self, question: &Question) -> RouteExplanation {
        explain(&self.view.load(), self.site(), (question, self.clock.now()))
    }
}

/// What a gateway that has just read these documents would do with a request: every endpoint counts
/// as healthy, and listeners share the operator's sockets.
#[must_use]
pub fn explain_documents(
    site: &SiteName,
    objects: &GatewayObjects,
    question: &Question,
) -> RouteExplanation {
    let (view, _) = GatewayView::compile(&objects.for_site(site), &GatewayView::default());
    explain(&view, site, (question, 0))
}

fn explain(
    view: &GatewayView,
    site: &SiteName,
    (question, now): (&Question, Millis),
) -> RouteExplanation {
    let own = view.places.keys().filter(|place| match (place, question.scheme) {
        (Place::Own(address, Wire::Http), Scheme::Http)
        | (Place::Own(address, Wire::Tls), Scheme::Https) => address.port() == question.port(),
        _ => false,
    });
    let shared = match question.scheme {
        Scheme::Http => Place::SharedHttp,
        Scheme::Https => Place::SharedHttps,
    };
    let one = |place: &Place| Asker { view, question, now, place: *place }.tell();
    let mut places: Vec<PlaceShown> = own.map(one).collect();
    let common = one(&shared);
    // Where Gateways have addresses of their own, the shared sockets are for Ingresses alone.
    if places.is_empty() || common.is_served {
        places.push(common);
    }
    let Question { method, authority, target, scheme, .. } = question;
    RouteExplanation {
        site: site.to_string(),
        request: format!("{method} {}://{authority}{target}", scheme.as_str()),
        client: question.client.map(|client| client.to_string()),
        places,
        left_out: view.warnings.iter().map(|one| format!("{}: {}", one.origin, one.text)).collect(),
    }
}

/// One question at one place.
struct Asker<'a> {
    view: &'a GatewayView,
    question: &'a Question,
    now: Millis,
    place: Place,
}

impl Asker<'_> {
    fn tell(&self) -> PlaceShown {
        let mut shown = PlaceShown { place: place_name(self.place), ..PlaceShown::default() };
        match self.view.places.get(&self.place) {
            None => shown.refuse(0, "no-listener", "nobody listens here"),
            Some(Plan::Stream(plan)) => self.stream(plan.as_deref(), &mut shown),
            Some(Plan::Http(_)) => self.request(None, &mut shown),
            Some(Plan::Tls(plan)) => {
                let name = self.question.server_name();
                let action = plan.find(name.as_deref());
                shown.tls = Some(tls(action, name.as_deref()));
                match action {
                    None => shown.refuse(
                        0,
                        "unrecognized-name",
                        "no listener and no certificate is for this server name; the handshake fails",
                    ),
                    Some(TlsAction::Http(..)) => self.request(name.as_deref(), &mut shown),
                    Some(TlsAction::Stream(_, plan) | TlsAction::Passthrough(plan)) => {
                        self.stream(plan.as_deref(), &mut shown);
                    }
                }
            }
        }
        shown
    }

    fn stream(&self, plan: Option<&StreamPlan>, shown: &mut PlaceShown) {
        let Some(plan) = plan else {
            return shown.refuse(
                0,
                "no-route",
                "no usable route is attached; the connection is closed",
            );
        };
        let shares = plan.shares.iter();
        let backends = shares.map(|share| cluster::backend(self.view, share, self.now));
        let rule = RuleShown {
            id: plan.id.to_string(),
            matched_path: None,
            steps: vec!["octets are passed on as they come".to_owned()],
            backends: backends.collect(),
        };
        let answer = rule.answer();
        shown.rule = Some(rule);
        shown.settle(answer);
    }

    fn request(&self, server_name: Option<&str>, shown: &mut PlaceShown) {
        let question = self.question;
        let asked = match question.judge() {
            Ok(asked) => asked,
            Err(fault) => {
                let why = "the request itself is refused before any rule is looked at";
                return shown.refuse(fault.status(), fault.code(), why);
            }
        };
        let parts = RequestParts {
            host: &asked.host,
            path: &asked.path,
            query: asked.query.as_deref(),
            method: &question.method,
            headers: &question.headers,
        };
        let met = self.view.meet(self.place, server_name, &parts);
        let table = self.view.table(self.place, server_name);
        let considered = table.map(|table| self.view.routes.consider(table, &parts));
        let considered = considered.unwrap_or_default();
        shown.candidates_total = considered.len();
        let is_rule = matches!(met, Met::Rule(_));
        shown.candidates = self.candidates(&considered, is_rule);
        match met {
            Met::Nothing => shown.refuse(404, "no-route", &nothing(&asked.host, &considered)),
            Met::Misdirected(_) => {
                let name = server_name.unwrap_or_default();
                let why = format!(
                    "the connection was opened for `{name}`, and `{}` has another listener or \
                     certificate",
                    asked.host
                );
                shown.refuse(421, "misdirected", &why);
            }
            Met::Rule(found) => self.rule(found, &asked, shown),
        }
    }

    fn candidates(&self, considered: &[Considered], is_rule: bool) -> Vec<CandidateShown> {
        let taken = considered.iter().position(|one| one.misfit.is_none());
        let shown = considered.iter().enumerate().map(|(at, one)| {
            let is_taken = is_rule && taken == Some(at);
            let why = match &one.misfit {
                Some(misfit) => misfit.clone(),
                None if is_taken => "taken".to_owned(),
                None => "matches too, but comes later in the order".to_owned(),
            };
            let rule = self.view.routes.rule(one.rule).map(|rule| rule.id.to_string());
            CandidateShown {
                rule: rule.unwrap_or_default(),
                host: one.host.clone(),
                path: one.path.clone(),
                matches: one.misfit.is_none(),
                is_taken,
                why,
            }
        });
        shown.take(CANDIDATES_SHOWN_MAX).collect()
    }

    /// The URL is where the connection goes; the operator's own sockets are taken to be there.
    fn arrival(&self, asked: &Asked) -> Arrival {
        let (place, scheme) = (self.place, self.question.scheme);
        Arrival { place, scheme, named: asked.host_port, socket: self.question.port() }
    }

    fn rule(&self, found: Found, asked: &Asked, shown: &mut PlaceShown) {
        let Some(rule) = self.view.routes.rule(found.rule) else { return };
        let ask = rule::Ask {
            view: self.view,
            asked,
            found,
            now: self.now,
            arrival: self.arrival(asked),
            client: self.question.client,
        };
        let (rule, answer) = ask.tell(rule);
        shown.rule = Some(rule);
        shown.settle(answer);
    }
}

fn nothing(host: &str, considered: &[Considered]) -> String {
    if considered.is_empty() {
        format!("no rule is for the host `{host}`")
    } else {
        format!("none of the rules for the host `{host}` matches")
    }
}

fn tls(action: Option<&TlsAction>, name: Option<&str>) -> TlsShown {
    let (what, termination) = match action {
        Some(TlsAction::Http(termination, _)) => ("terminate, then HTTP", Some(termination)),
        Some(TlsAction::Stream(termination, _)) => ("terminate, then octets", Some(termination)),
        Some(TlsAction::Passthrough(_)) => ("pass through", None),
        None => ("refuse", None),
    };
    TlsShown {
        server_name: name.map(str::to_owned),
        action: what.to_owned(),
        listener: termination.map(|termination| termination.listener.to_string()),
        certificates: termination.map_or_else(Vec::new, |termination| {
            termination.certificates().iter().map(|key| crate::certificate::names(key)).collect()
        }),
    }
}

/// For people and machines: `shared http`, `192.0.2.1:443 tls`.
pub(crate) fn place_name(place: Place) -> String {
    let own = |address: SocketAddr, wire: &str| format!("{address} {wire}");
    match place {
        Place::SharedHttp => "shared http".to_owned(),
        Place::SharedHttps => "shared https".to_owned(),
        Place::Own(address, Wire::Http) => own(address, "http"),
        Place::Own(address, Wire::Tls) => own(address, "tls"),
        Place::Own(address, Wire::Tcp) => own(address, "tcp"),
        Place::Own(address, Wire::Udp) => own(address, "udp"),
    }
}

#[cfg(test)]
mod tests;
