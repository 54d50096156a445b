//! Whose Gateways and Ingresses are ours.
//!
//! Where an operator has files alone and declares no class, every Gateway and every Ingress is ours;
//! the first class that is declared makes classes count.

use std::collections::HashSet;
use std::sync::Arc;

use model::gateway::{GATEWAY_CONTROLLER, GatewayObjects, Ingress, Object, ObjectKind, Reference};
use model::name::ObjectRef;

use crate::status::{Condition, Detail, INGRESS_CONTROLLER, ObjectStatus};

/// The GatewayClasses that are ours.
pub(super) struct Classes<'a> {
    any: bool,
    ours: HashSet<&'a str>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(objects: &'a GatewayObjects) -> Self {
        let ours = objects.gateway_classes.iter().filter(|class| {
            &*class.controller == GATEWAY_CONTROLLER
                && class.parameters.as_ref().is_none_or(|found| has_parameters(objects, found))
        });
        Self {
            any: objects.gateway_classes.is_empty(),
            ours: ours.map(|class| &*class.meta.object.name).collect(),
        }
    }

    pub(super) fn is_ours(&self, class: &str) -> bool {
        self.any || self.ours.contains(class)
    }
}

/// Whether parameters exist. Only a ConfigMap can hold any, and none of them means anything yet.
pub(super) fn has_parameters(objects: &GatewayObjects, reference: &Reference) -> bool {
    reference.is("", "ConfigMap") && objects.config_maps.get(&reference.object).is_some()
}

/// The statuses of GatewayClasses of our controller.
pub(super) fn statuses(objects: &GatewayObjects) -> Vec<ObjectStatus> {
    let ours = objects.gateway_classes.iter();
    let ours = ours.filter(|class| &*class.controller == GATEWAY_CONTROLLER);
    ours.map(|class| {
        let missing = class.parameters.as_ref().filter(|found| !has_parameters(objects, found));
        let accepted = match missing {
            None => Condition::yes("Accepted", "Accepted"),
            Some(found) => {
                let message = format!("there is no {} `{}`", found.kind, found.object);
                Condition::no("Accepted", "InvalidParameters", message)
            }
        };
        let version = Condition::yes("SupportedVersion", "SupportedVersion");
        let meta = class.meta();
        ObjectStatus {
            kind: ObjectKind::GatewayClass,
            object: meta.object.clone(),
            generation: meta.generation,
            origin: Arc::clone(&meta.origin),
            detail: Detail::GatewayClass(vec![accepted, version]),
        }
    })
    .collect()
}

/// Which Ingresses are ours.
pub(super) struct IngressClasses<'a> {
    objects: &'a GatewayObjects,
    default_is_ours: bool,
}

impl<'a> IngressClasses<'a> {
    pub(super) fn new(objects: &'a GatewayObjects) -> Self {
        let default_is_ours = objects
            .ingress_classes
            .iter()
            .any(|class| class.is_default && &*class.controller == INGRESS_CONTROLLER);
        Self { objects, default_is_ours }
    }

    pub(super) fn takes(&self, ingress: &Ingress) -> bool {
        let classes = &self.objects.ingress_classes;
        match &ingress.class {
            _ if classes.is_empty() => true,
            Some(name) => {
                let class = classes.get(&ObjectRef::new("", name));
                class.is_some_and(|class| &*class.controller == INGRESS_CONTROLLER)
            }
            None => self.default_is_ours,
        }
    }
}
