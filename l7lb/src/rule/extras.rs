//! What most rules do not ask for: mirrors, cross-origin requests, sessions, and everything of an
//! HttpPolicy or of annotations.
//!
//! A protection that cannot be set up as it is written refuses every request: a typing error in a
//! policy must not open a door.

use std::sync::Arc;

use model::gateway::{HttpFilter, HttpSettings, SessionPersistence};

use super::Surroundings;
use crate::address_rules::AddressTable;
use crate::basic_auth::BasicAuth;
use crate::compression::CompressionRule;
use crate::cors::CorsRule;
use crate::error_page::Page;
use crate::external_auth::AuthRule;
use crate::jwt::JwtRule;
use crate::mirror::MirrorRule;
use crate::rate_limit::Buckets;
use crate::session::SessionRule;

/// Where a key set is kept in a ConfigMap or Secret.
const JWKS_KEY: &str = "jwks";
/// Where users and hashes are kept in a Secret, as ingress controllers do.
const BASIC_AUTH_KEY: &str = "auth";

/// What most rules do not ask for.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    /// Copies.
    pub(crate) mirrors: Vec<MirrorRule>,
    /// Cross-origin requests.
    pub(crate) cors: Option<CorsRule>,
    /// Sessions.
    pub(crate) session: Option<SessionRule>,
    /// Who may come.
    pub(crate) addresses: Option<AddressTable>,
    /// How often.
    pub(crate) limits: Vec<Arc<Buckets>>,
    /// Octets of a request's body.
    pub(crate) body_octets_max: Option<u64>,
    /// Plain requests are sent to HTTPS.
    pub(crate) to_https: bool,
    /// Tokens.
    pub(crate) jwt: Option<JwtRule>,
    /// Passwords.
    pub(crate) basic: Option<Arc<BasicAuth>>,
    /// A service that is asked.
    pub(crate) auth: Option<AuthRule>,
    /// Compression.
    pub(crate) compression: Option<CompressionRule>,
    /// Pages for errors.
    pub(crate) pages: Vec<Page>,
    /// A protection cannot be set up: every request is refused.
    pub(crate) is_broken: bool,
}

impl Extras {
    /// `None` when there are none.
    pub(super) fn compile(
        filters: &[HttpFilter],
        (session, settings): (Option<&SessionPersistence>, &HttpSettings),
        (id, to_https): (&Arc<str>, bool),
        around: &mut Surroundings<'_>,
    ) -> Option<Self> {
        let nothing = filters.iter().all(is_plain)
            && session.is_none()
            && !to_https
            && *settings == HttpSettings::default();
        if nothing {
            return None;
        }
        let mut extras = Self { to_https, ..Self::default() };
        for (place, filter) in filters.iter().enumerate() {
            match filter {
                HttpFilter::Mirror(mirror) => {
                    extras.mirrors.extend(MirrorRule::compile(mirror, (id, place), around));
                }
                HttpFilter::Cors(cors) => extras.cors = Some(CorsRule::compile(cors)),
                _ => {}
            }
        }
        // The route's own word counts before a policy's.
        if extras.cors.is_none() {
            extras.cors = settings.cors.as_ref().map(CorsRule::compile);
        }
        if let Some(session) = session.or(settings.session.as_ref()) {
            extras.session = SessionRule::compile(session, id);
            if extras.session.is_none() {
                around.notes.push("sessions are not kept: the name cannot be used".to_owned());
            }
        }
        extras.protect(settings, id, around);
        extras.compression = settings.compression.as_ref().map(CompressionRule::compile);
        extras.pages = settings.error_pages.iter().filter_map(Page::compile).collect();
        if extras.pages.len() < settings.error_pages.len() {
            around.notes.push("an error page's content type cannot be used".to_owned());
        }
        Some(extras)
    }

    fn protect(&mut self, settings: &HttpSettings, id: &Arc<str>, around: &mut Surroundings<'_>) {
        self.addresses = settings.addresses.as_ref().map(AddressTable::compile);
        let limits = settings.rate_limits.iter().enumerate();
        self.limits = limits.map(|(at, limit)| around.kept.buckets(id, at, limit)).collect();
        self.body_octets_max = settings.body_octets_max;
        let mut refuse = |notes: &mut Vec<String>, what: String| {
            notes.push(format!("{what} (every request is refused)"));
            self.is_broken = true;
        };
        if let Some(jwt) = &settings.jwt {
            let octets = (around.material)(&jwt.keys, JWKS_KEY);
            let keys = octets.map(|octets| around.kept.key_set(octets));
            match keys {
                None => refuse(around.notes, format!("no `{JWKS_KEY}` in `{}`", jwt.keys.object)),
                Some(Err(error)) => refuse(around.notes, format!("`{}`: {error}", jwt.keys.object)),
                Some(Ok(keys)) => match JwtRule::compile(jwt, keys) {
                    Some(rule) => self.jwt = Some(rule),
                    None => refuse(around.notes, "a header of `jwt` cannot be used".to_owned()),
                },
            }
        }
        if let Some(file) = &settings.basic_auth {
            let octets = (around.material)(file, BASIC_AUTH_KEY);
            match octets.map(|octets| around.kept.basic_auth(octets)) {
                None => refuse(around.notes, format!("no `{BASIC_AUTH_KEY}` in `{}`", file.object)),
                Some(Err(error)) => refuse(around.notes, format!("`{}`: {error}", file.object)),
                Some(Ok(basic)) => self.basic = Some(basic),
            }
        }
        if let Some(auth) = &settings.external_auth {
            self.auth = AuthRule::compile(auth, around);
            if self.auth.is_none() {
                let service = &auth.backend.object;
                refuse(around.notes, format!("`externalAuth` cannot ask `{service}`"));
            }
        }
    }
}

fn is_plain(filter: &HttpFilter) -> bool {
    !matches!(filter, HttpFilter::Mirror(_) | HttpFilter::Cors(_))
}

#[cfg(test)]
mod tests;
