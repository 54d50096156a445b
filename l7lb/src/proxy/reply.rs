//! What an origin's answer becomes on its way to the client.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http::{StatusCode, Version};
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::answer::{self, Reason};
use super::walk::Walk;
use super::{Proxy, wall_s};
use crate::compression::Encoder;
use crate::endpoint::Outcome;
use crate::error_page::{Page, Whose};
use crate::route::Scheme;

impl Proxy {
    /// Judges the head of an answer: tried again, replaced by a page, or passed on with changes.
    pub(super) fn reply(
        &self,
        session: &Session,
        response: &mut ResponseHeader,
        walk: &mut Walk,
    ) -> Result<()> {
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS
        {
            return Ok(());
        }
        if let Some(answered) = &walk.upgraded {
            answered.store(true, Ordering::Relaxed);
        }
        let status = response.status.as_u16();
        if status >= 400 && self.retries_status(session, walk, status) {
            return Err(Error::new_up(ErrorType::HTTPStatus(status)));
        }
        let took = u32::try_from(walk.waiting_since.elapsed().as_micros()).unwrap_or(u32::MAX);
        walk.backend_us = Some(took);
        walk.reason = Reason::Forwarded;
        let failed = matches!(status, 502..=504);
        self.settle(walk, if failed { Outcome::Failed } else { Outcome::Answered(took) });
        if let Some(rule) = walk.rule() {
            let pages = rule.extras.as_ref().map_or(&[][..], |extras| &extras.pages);
            if Page::find(pages, status, Whose::Backend).is_some() && !walk.is_grpc {
                walk.reason = Reason::ErrorPage(status);
                return Err(Error::new_up(ErrorType::HTTPStatus(status)));
            }
            rule.changes.apply_to_response(response)?;
        }
        if let Some(changes) = walk.branch().and_then(|branch| branch.changes.as_ref()) {
            changes.apply_to_response(response)?;
        }
        if let Some(extras) = walk.rule().and_then(|rule| rule.extras.as_ref()) {
            if let Some(cors) = &extras.cors {
                cors.apply(cors.admit(&session.req_header().headers), response)?;
            }
            if let (Some(keeps), Some(lease)) = (&extras.session, &walk.lease) {
                let key = walk.view.kept.session_key();
                let told = (wall_s(), walk.scheme == Scheme::Https);
                let tag = lease.endpoint().tag(key);
                if let Some((name, value)) = keeps.write(walk.session, tag, key, told) {
                    response.append_header(name, value)?;
                }
            }
            let request = session.req_header();
            if let Some(rule) = &extras.compression
                && request.version != Version::HTTP_10
                && walk.upgraded.is_none()
            {
                let encoder = rule.begin(&request.method, &request.headers, response)?;
                walk.encoder = encoder.map(Box::new);
            }
        }
        if let Some(site) = &self.shared.site_header {
            response.insert_header(answer::SITE_HEADER, site.clone())?;
        }
        Ok(())
    }
}

/// Compresses a piece of a response's body.
pub(super) fn encode(encoder: &mut Encoder, body: &mut Option<Bytes>, is_end: bool) -> Result<()> {
    let fault = "compressing";
    let mut out = match body.as_ref().filter(|piece| !piece.is_empty()) {
        Some(piece) => encoder.feed(piece).or_err(ErrorType::InternalError, fault)?,
        None => Bytes::new(),
    };
    if is_end {
        let rest = encoder.finish().or_err(ErrorType::InternalError, fault)?;
        out = if out.is_empty() { rest } else { [out, rest].concat().into() };
    }
    *body = (!out.is_empty()).then_some(out);
    Ok(())
}
