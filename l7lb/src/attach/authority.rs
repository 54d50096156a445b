//! Authorities of client certificates, out of ConfigMaps.

use std::sync::Arc;

use model::gateway::{ClientValidation, GATEWAY_GROUP, Gateway, Reference};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::listener::Fault;
use super::{Scene, kind_of};
use crate::termination::{ClientTrust, Unverified};

/// The key of a ConfigMap under which authorities are (Gateway API).
const KEY: &str = "ca.crt";

/// What a listener is to ask of clients; the first reference that fails, and `None` when no
/// authority is left.
pub(super) fn trust(
    scene: &Scene<'_>,
    gateway: &Gateway,
    validation: &ClientValidation,
) -> (Option<ClientTrust>, Option<Fault>) {
    let mut roots = RootCertStore::empty();
    let mut fault = None;
    for reference in &validation.authorities {
        match certificates(scene, gateway, reference) {
            Ok(found) => {
                let (added, _) = roots.add_parsable_certificates(found);
                if added == 0 {
                    fault.get_or_insert_with(|| invalid(reference, "holds no authority"));
                }
            }
            Err(found) => {
                fault.get_or_insert(found);
            }
        }
    }
    let otherwise =
        if validation.insecure_fallback { Unverified::Admit } else { Unverified::Refuse };
    let trust = (!roots.is_empty()).then(|| ClientTrust { roots: Arc::new(roots), otherwise });
    (trust, fault)
}

fn certificates(
    scene: &Scene<'_>,
    gateway: &Gateway,
    reference: &Reference,
) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let object = &reference.object;
    if !reference.is("", "ConfigMap") {
        let message = format!("authorities are in ConfigMaps, not in a `{}`", kind_of(reference));
        return Err(("InvalidCACertificateKind", message));
    }
    let own = &*gateway.meta.object.namespace;
    let from = (GATEWAY_GROUP, "Gateway", own);
    if &*object.namespace != own && !scene.grants.permit(from, ("", "ConfigMap", object)) {
        let message = format!("no ReferenceGrant permits the ConfigMap `{object}`");
        return Err(("RefNotPermitted", message));
    }
    let text = scene.objects.config_maps.get(object).and_then(|map| map.data.get(KEY));
    let Some(text) = text else {
        return Err(invalid(reference, "does not exist or has no `ca.crt`"));
    };
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    parsed.map_err(|_| invalid(reference, "is not PEM"))
}

fn invalid(reference: &Reference, why: &str) -> Fault {
    ("InvalidCACertificateRef", format!("the ConfigMap `{}` {why}", reference.object))
}
