//! An explanation as it is shown: what the admin API sends and `nearside explain-route` prints.

use serde::{Deserialize, Serialize};

/// What a gateway would do with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteExplanation {
    /// Whose gateway.
    pub site: String,
    /// As asked.
    pub request: String,
    /// Whose request, when that was asked.
    pub client: Option<String>,
    /// Where the request could arrive.
    pub places: Vec<PlaceShown>,
    /// What of the documents is not used, with its place.
    pub left_out: Vec<String>,
}

impl RouteExplanation {
    /// Whether the request is served at one of the places.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.places.iter().any(|place| place.is_served)
    }
}

/// What happens at one place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceShown {
    /// `shared http`, `shared https`, or an address and what is spoken there.
    pub place: String,
    /// What is done with the handshake.
    pub tls: Option<TlsShown>,
    /// Matches on the request's hostnames, in order of precedence.
    pub candidates: Vec<CandidateShown>,
    /// How many there are; the first are shown.
    pub candidates_total: usize,
    /// The rule that is taken.
    pub rule: Option<RuleShown>,
    /// Whether a backend or a redirect answers.
    pub is_served: bool,
    /// The status of the gateway's own answer; 0 when the backend answers, or nothing is sent.
    pub status: u16,
    /// The code that the access log would have.
    pub reason: String,
    /// The same for people.
    pub why: String,
}

/// What settles a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) is_served: bool,
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    pub(crate) why: String,
}

impl Answer {
    pub(crate) fn served(status: u16, reason: &'static str, why: impl Into<String>) -> Self {
        Self { is_served: true, status, reason, why: why.into() }
    }

    pub(crate) fn refused(status: u16, reason: &'static str, why: impl Into<String>) -> Self {
        Self { is_served: false, status, reason, why: why.into() }
    }
}

impl PlaceShown {
    pub(crate) fn settle(&mut self, answer: Answer) {
        let Answer { is_served, status, reason, why } = answer;
        self.is_served = is_served;
        self.status = status;
        reason.clone_into(&mut self.reason);
        self.why = why;
    }

    pub(crate) fn refuse(&mut self, status: u16, reason: &'static str, why: &str) {
        self.settle(Answer::refused(status, reason, why));
    }
}

/// What is done with a TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsShown {
    /// The name that the client asks for.
    pub server_name: Option<String>,
    /// `terminate, then HTTP`, `terminate, then octets`, `pass through` or `refuse`.
    pub action: String,
    /// Of which listener.
    pub listener: Option<String>,
    /// The names of each certificate.
    pub certificates: Vec<String>,
}

/// One match of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateShown {
    /// The rule's id, `kind/namespace/name#rule`.
    pub rule: String,
    /// `example.com`, `*.example.com` or `*`.
    pub host: String,
    /// `= /exact`, `~ expression` or `/prefix`.
    pub path: String,
    /// Whether it matches the request.
    pub matches: bool,
    /// Whether it is the one taken.
    pub is_taken: bool,
    /// Why, or why not.
    pub why: String,
}

/// The rule that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleShown {
    /// `kind/namespace/name#rule`.
    pub id: String,
    /// The part of the path that the match covers.
    pub matched_path: Option<String>,
    /// What is done with the request and its response, in order.
    pub steps: Vec<String>,
    /// Where it may go.
    pub backends: Vec<BackendShown>,
}

impl RuleShown {
    /// What forwarding to its backends comes to.
    pub(crate) fn answer(&self) -> Answer {
        let missing = |one: &BackendShown| one.state != "usable";
        if self.backends.is_empty() {
            return Answer::refused(500, "bad-backend", "the rule has no backend with a weight");
        }
        if let Some(first) = self.backends.iter().find(|one| missing(one))
            && self.backends.iter().all(missing)
        {
            let (status, reason) = match first.state.as_str() {
                "broken" => (500, "bad-backend"),
                "no TLS" => (500, "bad-backend-tls"),
                _ => (503, "no-endpoints"),
            };
            return Answer::refused(status, reason, "no backend of the rule can be used");
        }
        if self.backends.iter().any(missing) {
            let why = "a backend answers, but one of them cannot be used and fails its share";
            return Answer::served(0, "forwarded", why);
        }
        Answer::served(0, "forwarded", "a backend answers")
    }
}

/// One backend of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendShown {
    /// `namespace/name:port`.
    pub backend: String,
    /// Its weight.
    pub weight: u32,
    /// `usable`, `no endpoints`, `no TLS`, `broken` (500) or `absent` (503).
    pub state: String,
    /// `http/1.1` or `h2c`, with `over TLS`.
    pub protocol: String,
    /// Endpoints that the documents know.
    pub known: u32,
    /// Of those, the ready ones, the near ones first.
    pub endpoints: Vec<EndpointShown>,
    /// How many are ready; the first are shown.
    pub ready: usize,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointShown {
    /// ip:port.
    pub address: String,
    /// `healthy`, `down` (checks do not connect) or `ejected` (requests failed).
    pub state: String,
    /// How long it stays ejected.
    pub ejected_ms: u64,
    /// Failed checks in a row.
    pub misses: u32,
    /// Failed requests in a row.
    pub failures: u32,
    /// Requests under way.
    pub in_flight: u32,
    /// The decaying peak of its response times (peak-EWMA); 0 is unmeasured.
    pub latency_us: u32,
    /// Whether it is preferred for being near.
    pub is_near: bool,
}
