//! Cross-origin requests (GEP-1767; the Fetch standard, section 3.2): preflights are answered here,
//! other answers get the headers that let a browser show them to a script.
//!
//! The asking origin is always named back, never `*`: the answer then holds with and without
//! credentials, and `vary: origin` keeps caches right. A rule with this filter has the only say, so
//! what a backend writes about origins is taken away.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use model::gateway::Cors;
use pingora_core::Result;
use pingora_http::ResponseHeader;

/// How long a preflight's answer holds when nothing is said (upstream's default).
const MAX_AGE_S: u32 = 5;

/// Who may ask, and what.
#[derive(Debug, PartialEq)]
pub(crate) struct CorsRule {
    origins: Vec<OriginPattern>,
    credentials: bool,
    methods: Allowed,
    headers: Allowed,
    expose: Option<HeaderValue>,
    max_age: HeaderValue,
}

/// `scheme://host[:port]`, or all of them.
#[derive(Debug, PartialEq)]
enum OriginPattern {
    Any,
    Exact(Arc<str>),
    /// What precedes the wildcard (`https://`) and what follows it (`.bar.com:8443`).
    Below(Box<str>, Box<str>),
}

/// A list of tokens.
#[derive(Debug, PartialEq)]
enum Allowed {
    /// Whatever is asked for.
    Any,
    /// These, joined; `None` when there are none.
    These(Option<HeaderValue>),
}

impl CorsRule {
    /// Compiles the filter.
    pub(crate) fn compile(cors: &Cors) -> Self {
        let Cors {
            allow_origins,
            allow_credentials,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age_s,
        } = cors;
        let expose = match Allowed::compile(expose_headers) {
            Allowed::Any => Some(HeaderValue::from_static("*")),
            Allowed::These(these) => these,
        };
        Self {
            origins: allow_origins.iter().map(OriginPattern::compile).collect(),
            credentials: *allow_credentials,
            methods: Allowed::compile(allow_methods),
            headers: Allowed::compile(allow_headers),
            expose,
            max_age: max_age_s.unwrap_or(MAX_AGE_S).into(),
        }
    }

    /// Whether a request is a preflight.
    pub(crate) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
        *method == Method::OPTIONS
            && headers.contains_key(header::ORIGIN)
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    }

    /// The asking origin, when it may.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|pattern| pattern.matches(text)).then(|| origin.clone())
    }

    /// Writes the headers of a preflight's answer.
    pub(crate) fn answer(&self, asked: &HeaderMap, response: &mut ResponseHeader) -> Result<()> {
        let Some(origin) = self.admit(asked) else { return Ok(()) };
        self.tell(origin, response)?;
        let lists = [
            (&self.methods, header::ACCESS_CONTROL_REQUEST_METHOD, ALLOW_METHODS),
            (&self.headers, header::ACCESS_CONTROL_REQUEST_HEADERS, ALLOW_HEADERS),
        ];
        for (allowed, question, answer) in lists {
            let value = match allowed {
                Allowed::Any => asked.get(question).cloned(),
                Allowed::These(these) => these.clone(),
            };
            if let Some(value) = value {
                response.insert_header(answer, value)?;
            }
        }
        response.insert_header(header::ACCESS_CONTROL_MAX_AGE, self.max_age.clone())
    }

    /// Changes the headers of any other answer; `origin` is the one that was admitted.
    pub(crate) fn apply(
        &self,
        origin: Option<HeaderValue>,
        response: &mut ResponseHeader,
    ) -> Result<()> {
        for name in OF_BACKENDS {
            response.remove_header(&name);
        }
        match origin {
            Some(origin) => self.tell(origin, response),
            None => vary(response),
        }
    }

    fn tell(&self, origin: HeaderValue, response: &mut ResponseHeader) -> Result<()> {
        response.insert_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)?;
        if self.credentials {
            response.insert_header(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true")?;
        }
        if let Some(expose) = &self.expose {
            response.insert_header(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone())?;
        }
        vary(response)
    }
}

const ALLOW_METHODS: HeaderName = header::ACCESS_CONTROL_ALLOW_METHODS;
const ALLOW_HEADERS: HeaderName = header::ACCESS_CONTROL_ALLOW_HEADERS;
const OF_BACKENDS: [HeaderName; 3] = [
    header::ACCESS_CONTROL_ALLOW_ORIGIN,
    header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
    header::ACCESS_CONTROL_EXPOSE_HEADERS,
];

fn vary(response: &mut ResponseHeader) -> Result<()> {
    response.append_header(header::VARY, "origin").map(|_| ())
}

impl OriginPattern {
    fn compile(text: &Arc<str>) -> Self {
        if &**text == "*" {
            return Self::Any;
        }
        match text.split_once('*') {
            Some((before, after)) => {
                Self::Below(before.to_ascii_lowercase().into(), after.to_ascii_lowercase().into())
            }
            None => Self::Exact(text.to_ascii_lowercase().into()),
        }
    }

    /// Browsers write origins in lower case; others are compared as if they had.
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact.eq_ignore_ascii_case(origin),
            Self::Below(before, after) => {
                let origin = origin.to_ascii_lowercase();
                let label = origin.strip_prefix(&**before);
                let label = label.and_then(|rest| rest.strip_suffix(&**after));
                label.is_some_and(|label| {
                    let is_host = |o: u8| o.is_ascii_alphanumeric() || o == b'-' || o == b'.';
                    !label.is_empty() && label.bytes().all(is_host)
                })
            }
        }
    }
}

impl Allowed {
    fn compile(tokens: &[Arc<str>]) -> Self {
        if tokens.iter().any(|token| &**token == "*") {
            return Self::Any;
        }
        let joined = tokens.join(", ");
        let value = HeaderValue::try_from(joined).ok();
        Self::These(value.filter(|value| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests;
