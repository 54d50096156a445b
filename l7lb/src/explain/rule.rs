//! A rule told in the order in which it is carried out.

use std::net::IpAddr;

use model::gateway::PathRewrite;

use super::cluster;
use super::shown::{Answer, RuleShown};
use crate::asked::Asked;
use crate::breaker::Millis;
use crate::redirect_port::Arrival;
use crate::rewrite::{self, Location};
use crate::route::{Found, Scheme};
use crate::rule::{Action, Branch, Changes, Extras, Rule, Timeouts};
use crate::view::GatewayView;

/// A request that met a rule.
pub(super) struct Ask<'a> {
    pub(super) view: &'a GatewayView,
    pub(super) asked: &'a Asked,
    pub(super) found: Found,
    pub(super) now: Millis,
    pub(super) arrival: Arrival,
    pub(super) client: Option<IpAddr>,
}

impl Ask<'_> {
    /// What the rule does, and what that comes to.
    pub(super) fn tell(&self, rule: &Rule) -> (RuleShown, Answer) {
        let mut steps = Vec::new();
        if let Some(extras) = &rule.extras {
            self.protections(extras, &mut steps);
        }
        self.changes(&rule.changes, &mut steps);
        let mut backends = Vec::new();
        match &rule.action {
            Action::Forward(branches) => {
                timeouts(&rule.timeouts, &mut steps);
                if let Some(retry) = &rule.retry {
                    steps.push(format!("retry: {retry}"));
                }
                for branch in branches {
                    backends.push(cluster::backend(self.view, &branch.share, self.now));
                }
                self.branches(branches, &mut steps);
            }
            Action::Redirect(_) | Action::Elsewhere(..) => {}
        }
        if let Some(extras) = &rule.extras {
            behind(self.view, extras, &mut steps);
        }
        let matched = self.asked.path.get(..self.found.matched_octets).unwrap_or_default();
        let id = rule.id.to_string();
        let matched_path = Some(if matched.is_empty() { "/" } else { matched }.to_owned());
        let shown = RuleShown { id, matched_path, steps, backends };
        let answer = self.answer(rule, &shown);
        (shown, answer)
    }

    fn answer(&self, rule: &Rule, shown: &RuleShown) -> Answer {
        if let Some(extras) = &rule.extras {
            let denied = |client| extras.addresses.as_ref().is_some_and(|all| !all.admits(client));
            if self.client.is_some_and(denied) {
                let why = "the rule's address lists do not let this client in";
                return Answer::refused(403, "address-denied", why);
            }
            if extras.to_https && self.arrival.scheme == Scheme::Http {
                return Answer::served(308, "redirect", "to the same address over HTTPS");
            }
            if extras.is_broken {
                let why = "a protection of the rule cannot be set up; every request is refused";
                return Answer::refused(500, "bad-policy", why);
            }
        }
        match &rule.action {
            Action::Redirect(redirect) => {
                let port = self.arrival.listener_port(self.view, &self.asked.host);
                let why = format!("to {}", rewrite::redirect(redirect, &self.location(), port));
                Answer::served(redirect.status, "redirect", why)
            }
            Action::Elsewhere(status, address) => {
                Answer::served(*status, "redirect", format!("to {address}"))
            }
            Action::Forward(_) => shown.answer(),
        }
    }

    fn location(&self) -> Location<'_> {
        Location {
            scheme: self.arrival.scheme,
            host: &self.asked.host,
            path: &self.asked.path,
            matched_octets: self.found.matched_octets,
            query: self.asked.query.as_deref(),
        }
    }

    /// In the order of `proxy::admission`.
    fn protections(&self, extras: &Extras, steps: &mut Vec<String>) {
        let mut step = |text: &str| steps.push(text.to_owned());
        if let Some(table) = &extras.addresses {
            step(match self.client.map(|client| table.admits(client)) {
                Some(true) => "addresses: the client is let in",
                Some(false) => "addresses: the client is not let in",
                None => "addresses: lists of clients (name one with --client)",
            });
        }
        for limit in &extras.limits {
            step(&format!("rate limit: {limit}"));
        }
        if let Some(most) = extras.body_octets_max {
            step(&format!("body: at most {most} octets"));
        }
        if extras.to_https {
            step("plain requests are sent to HTTPS");
        }
        if extras.cors.is_some() {
            step("CORS: preflights are answered, responses are marked");
        }
        if extras.is_broken {
            step("a protection cannot be set up");
        }
        if extras.jwt.is_some() {
            step("JWT: a token must prove who it is");
        }
        if extras.basic.is_some() {
            step("basic authentication: a password is needed");
        }
        if let Some(auth) = &extras.auth {
            let cluster = self.view.clusters.get(auth.cluster as usize);
            let name = cluster.map(|one| one.backend.object.to_string()).unwrap_or_default();
            step(&format!("external authentication: `{name}` is asked"));
        }
    }

    fn changes(&self, changes: &Changes, steps: &mut Vec<String>) {
        let Changes { request, response, rewrite_host, rewrite_path, captures } = changes;
        if let Some(rewrite) = rewrite_path {
            let target = rewrite::target(rewrite, captures.as_ref(), &self.location());
            let what = match rewrite {
                PathRewrite::ReplaceFull(_) => "the whole path",
                PathRewrite::ReplacePrefix(_) => "the matched prefix",
                PathRewrite::ReplaceCaptures(_) => "the path by its groups",
            };
            steps.push(format!("rewrite {what}: the backend sees `{target}`"));
        }
        if let Some(host) = rewrite_host {
            steps.push(format!("rewrite the host: the backend sees `{host}`"));
        }
        steps.extend(request.iter().map(|edits| format!("request headers: {edits}")));
        steps.extend(response.iter().map(|edits| format!("response headers: {edits}")));
    }

    fn branches(&self, branches: &[Branch], steps: &mut Vec<String>) {
        for (at, branch) in branches.iter().enumerate() {
            let mut own = Vec::new();
            if let Some(changes) = &branch.changes {
                self.changes(changes, &mut own);
            }
            steps.extend(own.into_iter().map(|step| format!("for backend {}: {step}", at + 1)));
        }
    }
}

fn timeouts(timeouts: &Timeouts, steps: &mut Vec<String>) {
    let Timeouts { request_ms, attempt_ms, read_ms, connect_ms } = timeouts;
    let all = [
        ("the whole request", request_ms),
        ("one attempt", attempt_ms),
        ("a silent backend", read_ms),
        ("connecting", connect_ms),
    ];
    for (what, limit_ms) in all {
        match limit_ms {
            Some(0) => steps.push(format!("timeout of {what}: none")),
            Some(ms) => steps.push(format!("timeout of {what}: {ms} ms")),
            None => {}
        }
    }
}

/// What happens beside and after the backend.
fn behind(view: &GatewayView, extras: &Extras, steps: &mut Vec<String>) {
    for mirror in &extras.mirrors {
        let cluster = view.clusters.get(mirror.cluster as usize);
        let name = cluster.map(|one| one.backend.object.to_string()).unwrap_or_default();
        steps.push(format!("mirror: a copy may go to `{name}`"));
    }
    let told = [
        (extras.session.is_some(), "sessions are kept at their endpoint"),
        (extras.compression.is_some(), "responses are compressed"),
        (!extras.pages.is_empty(), "errors have pages of the rule's own"),
    ];
    steps.extend(told.into_iter().filter(|one| one.0).map(|one| one.1.to_owned()));
}
