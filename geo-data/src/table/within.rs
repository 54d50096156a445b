//! A table cut down to some prefixes: for laying overrides over a few addresses of a large one.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv6Net};
use model::geo::Locale;

use super::laminar::{self, Blocks};
use super::runs::{Key, Runs};
use super::{ClassId, LocaleTable};
use crate::source::Origins;

pub(super) fn cut(base: &LocaleTable, prefixes: impl Iterator<Item = IpNet>) -> LocaleTable {
    let blocks = Blocks::new(prefixes.map(whole));
    // What lies outside is of the class 0: nothing is known of it.
    let mut kept = Kept {
        base,
        numbers: HashMap::new(),
        classes: vec![Locale::default()],
        origins: vec![Origins::default()],
    };
    LocaleTable {
        v4: kept.runs(&base.v4, &laminar::segments(&blocks.v4)),
        v6: kept.runs(&base.v6, &laminar::segments(&blocks.v6)),
        classes: kept.classes,
        origins: kept.origins,
        sources: base.sources.clone(),
        centres: base.centres.clone(),
        label: base.label.clone(),
    }
}

/// An IPv6 prefix finer than the table's unit takes its whole /64.
fn whole(prefix: IpNet) -> IpNet {
    match prefix {
        IpNet::V6(net) if net.prefix_len() > 64 && net.network().to_ipv4_mapped().is_none() => {
            Ipv6Net::new(net.network(), 64).map_or(prefix, |net| IpNet::V6(net.trunc()))
        }
        _ => prefix,
    }
}

/// The classes that are met, numbered anew.
struct Kept<'a> {
    base: &'a LocaleTable,
    numbers: HashMap<ClassId, ClassId>,
    classes: Vec<Locale>,
    origins: Vec<Origins>,
}

impl Kept<'_> {
    fn runs<K: Key>(&mut self, base: &Runs<K>, segments: &[(K, Vec<usize>)]) -> Runs<K> {
        let mut runs: Vec<(K, ClassId)> = Vec::new();
        for (at, (start, items)) in segments.iter().enumerate() {
            if items.is_empty() {
                runs.push((*start, ClassId(0)));
                continue;
            }
            let end = segments.get(at + 1).map(|&(next, _)| next);
            let mut begin = Some(*start);
            while let Some(from) = begin.filter(|&from| end.is_none_or(|end| from < end)) {
                let run = base.find(from);
                runs.push((from, self.class(run.class)));
                begin = run.next;
            }
        }
        Runs::pack(runs)
    }

    fn class(&mut self, class: ClassId) -> ClassId {
        let Self { base, numbers, classes, origins } = self;
        *numbers.entry(class).or_insert_with(|| {
            classes.push(base.classes[class.0 as usize].clone());
            origins.push(base.origins(class));
            ClassId(u32::try_from(classes.len() - 1).unwrap_or(u32::MAX))
        })
    }
}
