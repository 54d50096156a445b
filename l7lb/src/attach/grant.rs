//! ReferenceGrants: who may refer across namespaces.

use std::collections::HashMap;

use model::gateway::{ObjectSet, ReferenceGrant};
use model::name::ObjectRef;

/// Grants by the namespace they open.
pub(crate) struct Grants<'a>(HashMap<&'a str, Vec<&'a ReferenceGrant>>);

impl<'a> Grants<'a> {
    pub(super) fn new(grants: &'a ObjectSet<ReferenceGrant>) -> Self {
        let mut by_namespace: HashMap<&str, Vec<&ReferenceGrant>> = HashMap::new();
        for grant in grants {
            by_namespace.entry(&grant.meta.object.namespace).or_default().push(grant);
        }
        Self(by_namespace)
    }

    /// Whether objects of (group, kind, namespace) may refer to (group, kind, object) elsewhere.
    pub(crate) fn permit(
        &self,
        from: (&str, &str, &str),
        (group, kind, object): (&str, &str, &ObjectRef),
    ) -> bool {
        let Some(grants) = self.0.get(&*object.namespace) else { return false };
        grants.iter().any(|grant| {
            let mut from_all = grant.from.iter();
            let mut to_all = grant.to.iter();
            from_all.any(|one| (&*one.group, &*one.kind, &*one.namespace) == from)
                && to_all.any(|one| {
                    *one.group == *group
                        && *one.kind == *kind
                        && one.name.as_ref().is_none_or(|name| *name == object.name)
                })
        })
    }
}
