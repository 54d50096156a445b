//! The statuses of one view beside those of the view before: what is new in them.
//!
//! A status that says the same is the same object in both, so that finding the news of one change
//! among 40,000 statuses is a comparison of pointers.

use std::collections::HashMap;
use std::sync::Arc;

use model::gateway::ObjectKind;
use model::name::ObjectRef;

use super::ObjectStatus;

/// What is said of all documents, in no particular order.
#[derive(Debug, Clone, Default)]
pub struct Statuses(pub(super) Arc<Vec<Arc<ObjectStatus>>>);

/// What came with a view.
#[derive(Debug, Default)]
pub struct News {
    /// Statuses that say something else than before, or of something new.
    pub told: Vec<Arc<ObjectStatus>>,
    /// Objects of which nothing is said any more.
    pub gone: Vec<(ObjectKind, ObjectRef)>,
}

impl Statuses {
    /// These statuses, with those of before in place of equal ones.
    pub(crate) fn sharing(mut statuses: Vec<Arc<ObjectStatus>>, before: &Self) -> Self {
        let before = before.0.as_slice();
        let mut at = 0;
        for status in &mut statuses {
            if before.get(at).is_some_and(|one| Arc::ptr_eq(one, status)) {
                at += 1;
                continue;
            }
            // One was left out, or one came in between: the rest is found in the same order.
            let is_it = |one: &usize| before.get(*one).is_some_and(|one| one.is_about(status));
            let Some(found) = [at, at + 1].into_iter().find(is_it) else { continue };
            at = found + 1;
            if before[found] == *status {
                *status = Arc::clone(&before[found]);
            }
        }
        statuses.shrink_to_fit();
        Self(Arc::new(statuses))
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<ObjectStatus>> {
        self.0.iter()
    }

    /// What is new since an older one.
    #[must_use]
    pub fn news(&self, before: &Self) -> News {
        let (mut old, mut new) = (before.0.as_slice(), self.0.as_slice());
        while let ([first, rest @ ..], [other, others @ ..]) = (old, new)
            && Arc::ptr_eq(first, other)
        {
            (old, new) = (rest, others);
        }
        while let ([rest @ .., last], [others @ .., other]) = (old, new)
            && Arc::ptr_eq(last, other)
        {
            (old, new) = (rest, others);
        }
        let subject = |one: &'_ Arc<ObjectStatus>| (one.kind, one.object.clone());
        let mut gone: HashMap<(ObjectKind, ObjectRef), &Arc<ObjectStatus>> =
            old.iter().map(|one| (subject(one), one)).collect();
        let is_new = |one: &&Arc<ObjectStatus>| {
            let before = gone.remove(&subject(one));
            before.is_none_or(|before| !Arc::ptr_eq(before, one) && before != *one)
        };
        let told = new.iter().filter(is_new).cloned().collect();
        let mut gone: Vec<_> = gone.into_keys().collect();
        gone.sort();
        News { told, gone }
    }
}

impl<'a> IntoIterator for &'a Statuses {
    type Item = &'a Arc<ObjectStatus>;
    type IntoIter = std::slice::Iter<'a, Arc<ObjectStatus>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests;
