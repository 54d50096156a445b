//! What the statuses of documents would say, before a gateway reads them.
//!
//! The documents are compiled as a gateway does it, on sockets that are only thought of. Pure.

use std::sync::Arc;

use model::gateway::GatewayObjects;

use crate::attach::Ground;
use crate::gateway::Config;
use crate::view::{GatewayView, Warning};

/// The conditions of a site's objects that would not be as they should be, with their reasons.
#[must_use]
pub fn forecast(config: &Config, objects: &GatewayObjects) -> Vec<Warning> {
    let Config { site, addressing, http, https, .. } = config;
    let ground =
        Ground { addressing: addressing.clone(), http: http.clone(), https: https.clone() };
    let before = GatewayView { ground: Arc::new(ground), ..GatewayView::default() };
    let (view, _) = GatewayView::compile(&objects.for_site(site), &before);
    view.statuses.iter().flat_map(|one| one.warnings()).collect()
}
