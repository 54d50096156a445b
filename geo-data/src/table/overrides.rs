//! The operator's client prefixes over a table.

use std::collections::HashMap;

use model::policy::LocaleOverrides;

use super::laminar::{self, Blocks};
use super::runs::{Key, Runs};
use super::{ClassId, LocaleTable};
use crate::layer::{ClassSet, Traced};
use crate::source::{Source, SourceId};

/// The name under which reports show the operator's own prefixes.
const OPERATOR: &str = "LocaleMap";

pub(super) fn lay(base: &LocaleTable, overrides: &LocaleOverrides) -> LocaleTable {
    if overrides.clients.is_empty() {
        return base.clone();
    }
    let blocks = Blocks::new(overrides.clients.iter().map(|&(prefix, _)| prefix));
    let mut sources = base.sources.clone();
    sources.push(Source::named(OPERATOR));
    let mut overlay = Overlay {
        base,
        overrides,
        operator: SourceId(u8::try_from(sources.len()).unwrap_or(u8::MAX)),
        set: ClassSet::default(),
    };
    let v4 = overlay.merge(&base.v4, &laminar::segments(&blocks.v4));
    let v6 = overlay.merge(&base.v6, &laminar::segments(&blocks.v6));
    let (extra_classes, extra_origins) = overlay.set.finish();
    let mut classes = base.classes.clone();
    classes.extend(extra_classes);
    let mut origins = base.origins.clone();
    origins.extend(extra_origins);
    LocaleTable {
        v4,
        v6,
        classes,
        origins,
        sources,
        centres: base.centres.clone(),
        label: base.label.clone(),
    }
}

struct Overlay<'a> {
    base: &'a LocaleTable,
    overrides: &'a LocaleOverrides,
    operator: SourceId,
    /// Classes beyond the base's own, which keep their numbers.
    set: ClassSet,
}

impl Overlay<'_> {
    /// Walks base and segments together: a new run begins wherever either does.
    fn merge<K: Key>(&mut self, base: &Runs<K>, segments: &[(K, Vec<usize>)]) -> Runs<K> {
        let mut merged: Vec<(K, ClassId)> = Vec::with_capacity(base.len() + segments.len());
        let mut below = base.iter().peekable();
        let mut class = ClassId(0);
        for (at, (start, items)) in segments.iter().enumerate() {
            let mut seen = HashMap::new();
            let end = segments.get(at + 1).map(|&(next, _)| next);
            while let Some((_, next)) = below.next_if(|&(other, _)| other <= *start) {
                class = next;
            }
            merged.push((*start, self.class(items, class, &mut seen)));
            while let Some((other, next)) =
                below.next_if(|&(other, _)| end.is_none_or(|end| other < end))
            {
                class = next;
                merged.push((other, self.class(items, class, &mut seen)));
            }
        }
        Runs::pack(merged)
    }

    /// The class of a base class under a chain of overrides. The base's own classes keep their
    /// numbers, new ones follow them; `seen` is the segment's memory, since a segment is long and
    /// its base classes recur.
    fn class(
        &mut self,
        items: &[usize],
        below: ClassId,
        seen: &mut HashMap<ClassId, ClassId>,
    ) -> ClassId {
        if items.is_empty() {
            return below;
        }
        *seen.entry(below).or_insert_with(|| {
            let mut traced = Traced {
                locale: self.base.classes[below.0 as usize].clone(),
                origins: self.base.origins(below),
            };
            for &item in items {
                traced.lay(&self.overrides.clients[item].1, self.operator);
            }
            traced.centre(&self.base.centres);
            let ClassId(extra) = self.set.intern(traced);
            ClassId(
                u32::try_from(self.base.classes.len()).unwrap_or(u32::MAX).saturating_add(extra),
            )
        })
    }
}
