//! Ordered sets of objects of one kind.
//!
//! A set shares its objects, and a copy of it costs one count until one of the two changes. What was
//! made of an object that is still the same can be kept by its pointer: [`ObjectSet::edits`] says which
//! those are. Rule: an object in a set never changes, another takes its place.

use std::cmp::Ordering;
use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::object::Object;
use crate::name::ObjectRef;

/// Objects of one kind by namespace and name.
#[derive(Debug, PartialEq, Eq)]
pub struct ObjectSet<T> {
    /// Invariant: in order of namespace and name, each once.
    objects: Arc<Vec<Arc<T>>>,
}

impl<T> Default for ObjectSet<T> {
    fn default() -> Self {
        Self { objects: Arc::default() }
    }
}

impl<T> Clone for ObjectSet<T> {
    fn clone(&self) -> Self {
        Self { objects: Arc::clone(&self.objects) }
    }
}

/// One step from a set to a later one. An object that changed is gone and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The very same object: its places in the older and in the newer set.
    Same(usize, usize),
    /// It is no more: its place in the older set.
    Gone(usize),
    /// It was not there: its place in the newer set.
    New(usize),
}

impl<T: Object> ObjectSet<T> {
    /// Puts an object in, in place of the one of its name, which is given back. Objects that come in
    /// order, as an API server lists them, move nothing.
    pub fn insert(&mut self, object: impl Into<Arc<T>>) -> Option<Arc<T>> {
        let object = object.into();
        let name = &object.meta().object;
        let place = if self.objects.last().is_none_or(|last| last.meta().object < *name) {
            Err(self.objects.len())
        } else {
            self.place(name)
        };
        let objects = Arc::make_mut(&mut self.objects);
        match place {
            Ok(at) => Some(std::mem::replace(&mut objects[at], object)),
            Err(at) => {
                objects.insert(at, object);
                None
            }
        }
    }

    /// Takes an object out.
    pub fn remove(&mut self, name: &ObjectRef) -> Option<Arc<T>> {
        let at = self.place(name).ok()?;
        Some(Arc::make_mut(&mut self.objects).remove(at))
    }

    /// An object by name.
    #[must_use]
    pub fn get(&self, name: &ObjectRef) -> Option<&Arc<T>> {
        self.place(name).ok().map(|at| &self.objects[at])
    }

    /// An object by name, copied first when it is shared. Its name must not be changed.
    pub fn get_mut(&mut self, name: &ObjectRef) -> Option<&mut T>
    where
        T: Clone,
    {
        let at = self.place(name).ok()?;
        Some(Arc::make_mut(&mut Arc::make_mut(&mut self.objects)[at]))
    }

    fn place(&self, name: &ObjectRef) -> Result<usize, usize> {
        self.objects.binary_search_by(|one| one.meta().object.cmp(name))
    }

    /// How this set came out of an older one, in the order of names. Objects are told apart by their
    /// pointers alone: an equal one that was read anew is gone and new.
    pub fn edits<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Edit> + 'a {
        let (mut old, mut new) = (0, 0);
        std::iter::from_fn(move || {
            let edit = match (before.objects.get(old), self.objects.get(new)) {
                (None, None) => return None,
                (Some(_), None) => Edit::Gone(old),
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Edit::Same(old, new),
                (Some(a), Some(b)) if a.meta().object <= b.meta().object => Edit::Gone(old),
                (None | Some(_), Some(_)) => Edit::New(new),
            };
            old += usize::from(!matches!(edit, Edit::New(_)));
            new += usize::from(!matches!(edit, Edit::Gone(_)));
            Some(edit)
        })
    }
}

impl<T: Object + PartialEq> ObjectSet<T> {
    /// The same objects, those of an older set in place of equal ones: what was read again is the very
    /// object that it was.
    #[must_use]
    pub fn sharing(&self, before: &Self) -> Self {
        if self.is_same(before) {
            return before.clone();
        }
        let (mut objects, mut gone) = (Vec::with_capacity(self.len()), None);
        for edit in self.edits(before) {
            match edit {
                Edit::Same(_, at) => objects.push(Arc::clone(&self.objects[at])),
                // An object that was read again is gone right before it is new.
                Edit::Gone(was) => gone = Some(&before.objects[was]),
                Edit::New(at) => {
                    let now = &self.objects[at];
                    objects.push(Arc::clone(gone.filter(|old| *old == now).unwrap_or(now)));
                }
            }
        }
        let shared = Self { objects: Arc::new(objects) };
        if shared.is_same(before) { before.clone() } else { shared }
    }
}

impl<T> ObjectSet<T> {
    /// In order of namespace and name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<T>> {
        self.objects.iter()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Whether it has the very same objects as another: those that are equal but were read anew are
    /// others.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.objects, &other.objects)
            || (self.len() == other.len() && self.iter().zip(other).all(|(a, b)| Arc::ptr_eq(a, b)))
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.objects = Arc::default();
    }

    /// Those that `keep` says yes to; when those are all, a copy costs nothing.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&T) -> bool) -> Self {
        if self.objects.iter().all(|one| keep(one)) {
            return self.clone();
        }
        let kept = self.objects.iter().filter(|one| keep(one)).cloned();
        Self { objects: Arc::new(kept.collect()) }
    }
}

impl<T> Index<usize> for ObjectSet<T> {
    type Output = T;

    fn index(&self, at: usize) -> &T {
        &self.objects[at]
    }
}

impl<T: Clone> IndexMut<usize> for ObjectSet<T> {
    /// The object is copied first when it is shared. Its name must not be changed.
    fn index_mut(&mut self, at: usize) -> &mut T {
        Arc::make_mut(&mut Arc::make_mut(&mut self.objects)[at])
    }
}

impl<'a, T> IntoIterator for &'a ObjectSet<T> {
    type Item = &'a Arc<T>;
    type IntoIter = std::slice::Iter<'a, Arc<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.objects.iter()
    }
}

impl<T: Object> Extend<T> for ObjectSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, objects: I) {
        for object in objects {
            self.insert(object);
        }
    }
}

impl<T: Object> FromIterator<T> for ObjectSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(objects: I) -> Self {
        let mut objects: Vec<Arc<T>> = objects.into_iter().map(Arc::new).collect();
        let order = |a: &Arc<T>, b: &Arc<T>| -> Ordering { a.meta().object.cmp(&b.meta().object) };
        // Of several with one name the last stays, as with `insert`.
        objects.reverse();
        objects.sort_by(order);
        objects.dedup_by(|a, b| order(a, b).is_eq());
        objects.shrink_to_fit();
        Self { objects: Arc::new(objects) }
    }
}

impl<T: Object, const N: usize> From<[T; N]> for ObjectSet<T> {
    fn from(objects: [T; N]) -> Self {
        objects.into_iter().collect()
    }
}

impl<T: Object> From<Vec<T>> for ObjectSet<T> {
    fn from(objects: Vec<T>) -> Self {
        objects.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
