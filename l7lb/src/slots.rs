//! Numbered things that one view shares with the next.
//!
//! A number stays for as long as its thing does, so that what refers to it need not be compiled again
//! when others come and go. A copy shares everything in chunks: an edit of one thing copies one chunk.

use std::sync::Arc;

/// Things in one chunk: an edit copies so many pointers, a copy of all counts so many fewer.
const CHUNK: usize = 64;

type Chunk<T> = [Option<Arc<T>>; CHUNK];

/// Things by number.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    chunks: Vec<Arc<Chunk<T>>>,
    /// Numbers to be used again, before new ones.
    free: Vec<u32>,
    /// The first number that was never used.
    end: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), end: 0 }
    }
}

impl<T> Clone for Slots<T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), free: self.free.clone(), end: self.end }
    }
}

impl<T> Slots<T> {
    /// A thing by its number.
    pub(crate) fn get(&self, number: u32) -> Option<&T> {
        let (chunk, place) = split(number);
        self.chunks.get(chunk)?[place].as_deref()
    }

    /// Puts a thing in and gives its number.
    pub(crate) fn insert(&mut self, thing: T) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.end += 1;
            self.end - 1
        });
        self.set(number, Some(Arc::new(thing)));
        number
    }

    /// Puts another thing in the place of one.
    pub(crate) fn replace(&mut self, number: u32, thing: T) {
        self.set(number, Some(Arc::new(thing)));
    }

    /// Takes a thing out. Its number may be another's from now on.
    pub(crate) fn remove(&mut self, number: u32) {
        if self.get(number).is_some() {
            self.set(number, None);
            self.free.push(number);
        }
    }

    /// Whether all things are the very same as in another.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.chunks.len() == other.chunks.len()
            && self.chunks.iter().zip(&other.chunks).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// All things in the order of their numbers, with the numbers that nothing has.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = Option<&T>> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().map(Option::as_deref))
    }

    /// All things in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.numbered().flatten()
    }

    fn set(&mut self, number: u32, thing: Option<Arc<T>>) {
        let (chunk, place) = split(number);
        while self.chunks.len() <= chunk {
            self.chunks.push(Arc::new([const { None }; CHUNK]));
        }
        Arc::make_mut(&mut self.chunks[chunk])[place] = thing;
    }
}

fn split(number: u32) -> (usize, usize) {
    (number as usize / CHUNK, number as usize % CHUNK)
}

#[cfg(test)]
mod tests;
