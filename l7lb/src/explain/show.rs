//! An explanation as text.

use std::fmt;

use super::shown::{
    BackendShown, EndpointShown, PlaceShown, RouteExplanation, RuleShown, TlsShown,
};

impl fmt::Display for RouteExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { site, request, client, places, left_out } = self;
        write!(f, "{request}")?;
        if let Some(client) = client {
            write!(f, " from {client}")?;
        }
        writeln!(f, " at site {site}")?;
        places.iter().try_for_each(|place| write!(f, "\n{place}"))?;
        if !left_out.is_empty() {
            writeln!(f, "\nnot used of the documents:")?;
            left_out.iter().try_for_each(|one| writeln!(f, "  {one}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for PlaceShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, tls, candidates, candidates_total, rule, .. } = self;
        writeln!(f, "place: {place}")?;
        if let Some(tls) = tls {
            writeln!(f, "{tls}")?;
        }
        if !candidates.is_empty() {
            writeln!(f, "candidates, first match wins:")?;
        }
        let wide = |of: fn(&super::CandidateShown) -> &str| {
            candidates.iter().map(|one| of(one).chars().count()).max().unwrap_or(0)
        };
        let (host, path) = (wide(|one| &one.host), wide(|one| &one.path));
        let id = wide(|one| &one.rule);
        for one in candidates {
            let mark = if one.is_taken { '>' } else { ' ' };
            writeln!(
                f,
                " {mark} {:<host$}  {:<path$}  {:<id$}  {}",
                one.host, one.path, one.rule, one.why
            )?;
        }
        if candidates.len() < *candidates_total {
            writeln!(f, "   and {} more", candidates_total - candidates.len())?;
        }
        if let Some(rule) = rule {
            write!(f, "{rule}")?;
        }
        let served = if self.is_served { "served" } else { "not served" };
        let status = if self.status == 0 { String::new() } else { format!(" {}", self.status) };
        writeln!(f, "{served}:{status} {} ({})", self.reason, self.why)
    }
}

impl fmt::Display for TlsShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { server_name, action, listener, certificates } = self;
        let name = server_name.as_deref().unwrap_or("no name");
        write!(f, "tls: {name} -> {action}")?;
        if let Some(listener) = listener {
            write!(f, " ({listener})")?;
        }
        certificates.iter().try_for_each(|names| write!(f, "\n  certificate: {names}"))
    }
}

impl fmt::Display for RuleShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, matched_path, steps, backends } = self;
        write!(f, "rule: {id}")?;
        if let Some(path) = matched_path {
            write!(f, ", matched `{path}`")?;
        }
        writeln!(f)?;
        steps.iter().try_for_each(|step| writeln!(f, "  {step}"))?;
        backends.iter().try_for_each(|backend| write!(f, "{backend}"))
    }
}

impl fmt::Display for BackendShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, weight, state, protocol, known, endpoints, ready } = self;
        write!(f, "  backend {backend}, weight {weight}: {state}")?;
        if !protocol.is_empty() {
            write!(f, "; {protocol}, {ready} of {known} endpoints ready")?;
        }
        writeln!(f)?;
        endpoints.iter().try_for_each(|one| writeln!(f, "    {one}"))?;
        if endpoints.len() < *ready {
            writeln!(f, "    and {} more", ready - endpoints.len())?;
        }
        Ok(())
    }
}

impl fmt::Display for EndpointShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, state, ejected_ms, in_flight, latency_us, .. } = self;
        write!(f, "{address} {state}")?;
        if *ejected_ms > 0 {
            write!(f, " for {ejected_ms} ms")?;
        }
        write!(f, ", breaker {} missed {} failed", self.misses, self.failures)?;
        match latency_us {
            0 => write!(f, ", unmeasured")?,
            us => write!(f, ", {us} us")?,
        }
        write!(f, ", {in_flight} in flight")?;
        if self.is_near { write!(f, ", near") } else { Ok(()) }
    }
}
