//! The panorama: a locale table as a set of services sees it, made once for all of them.
//!
//! Classes that none of the services can tell apart become one sight, and neighbours of one sight
//! one interval: most of what a table of the world tells apart are carriers and city names that no
//! policy mentions. Invariant: every service's own lens sees all classes of a sight alike, so that
//! it need look at one of them.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;

use geo_data::{ClassId, LocaleTable};
use model::geo::Locale;

use crate::compile::Scatter;
use crate::runs::Key;
use crate::sight::{Lens, Sight};

/// A sight's number in its panorama.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SightId(u32);

impl SightId {
    /// The number as a place in a list.
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Intervals of equal sight, and a class of each sight.
#[derive(Debug)]
pub(crate) struct Panorama<'a> {
    pub(crate) locales: &'a LocaleTable,
    pub(crate) v4: Intervals<u32>,
    pub(crate) v6: Intervals<u64>,
    classes: Vec<ClassId>,
}

/// Starts, ascending from 0, and the sight from each of them on.
#[derive(Debug)]
pub(crate) struct Intervals<K> {
    starts: Vec<K>,
    sights: Vec<SightId>,
}

impl<K: Key> Intervals<K> {
    fn new(runs: impl Iterator<Item = (K, ClassId)>, of_class: &[SightId]) -> Self {
        let mut intervals = Self { starts: Vec::new(), sights: Vec::new() };
        for (start, class) in runs {
            let sight = of_class[class.0 as usize];
            if intervals.sights.last() != Some(&sight) {
                intervals.starts.push(start);
                intervals.sights.push(sight);
            }
        }
        intervals
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, SightId)> {
        self.starts.iter().copied().zip(self.sights.iter().copied())
    }
}

impl<'a> Panorama<'a> {
    /// The table through a lens that is as fine as every service's.
    pub(crate) fn new(locales: &'a LocaleTable, lens: &Lens) -> Self {
        let mut numbers: HashMap<Sight, SightId, BuildHasherDefault<Scatter>> = HashMap::default();
        let mut classes = Vec::new();
        let mut of_class = Vec::with_capacity(locales.classes().len());
        for (class, locale) in (0..).map(ClassId).zip(locales.classes()) {
            let sight = numbers.entry(lens.look(locale, locales)).or_insert_with(|| {
                classes.push(class);
                SightId(u32::try_from(classes.len() - 1).unwrap_or(u32::MAX))
            });
            of_class.push(*sight);
        }
        let v4 = Intervals::new(locales.runs_v4(), &of_class);
        let v6 = Intervals::new(locales.runs_v6(), &of_class);
        Self { locales, v4, v6, classes }
    }

    /// How many sights there are.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// A locale of this sight.
    pub(crate) fn locale(&self, sight: SightId) -> &'a Locale {
        &self.locales.classes()[self.classes[sight.at()].0 as usize]
    }
}
