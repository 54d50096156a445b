//! The same decision, told in full: every candidate with its bill, the step that settled it, the scope.

use model::observe::Client;
use model::service::ServiceId;
use serde::Serialize;

use crate::compile::Inputs;
use crate::snapshot::Snapshot;

/// A decision with its reasons, for people (`Display`) and machines (JSON).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The service.
    pub service: String,
    /// The chosen sites, as in the wire answer.
    pub sites: Vec<String>,
    /// The scope, as `prefix/len`.
    pub scope: String,
}

/// Explains what [`crate::decide::decide`] answers. `inputs` must be those of `snapshot`'s map.
pub fn explain(
    _inputs: &Inputs<'_>,
    _snapshot: &Snapshot,
    _service: ServiceId,
    _client: Client,
) -> Option<Explanation> {
    None
}
