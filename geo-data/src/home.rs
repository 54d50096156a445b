//! What the IPv4 addresses of an AS teach about its IPv6 ones, where a regional database has only IPv4.
//!
//! City databases put most IPv6 of a country's carriers where the carrier is registered: DB-IP says
//! Beijing for 62 % of China's prefixes and has 46 % of provinces right. So, inside a regional
//! database's countries: an AS nearly all of whose IPv4 is in one subdivision has its IPv6 there too;
//! and a city database's subdivision that the AS hardly has in IPv4, or that stands for the whole of
//! a national AS, is dropped for none.

use std::collections::{BTreeMap, HashMap};

use model::geo::{Country, Locale, Subdivision};

use crate::layer::{ClassSet, Traced};
use crate::source::{Field, Source, SourceId};
use crate::table::runs::{Key, Runs};
use crate::table::{ClassId, LocaleTable};

/// The name under which reports show it.
const NAME: &str = "as-home";
/// An AS is at home where it has this share of its IPv4, in percent.
const HOME_PERCENT: u64 = 90;
/// It must have this many addresses for that: a /20.
const HOME_ADDRESSES_MIN: u64 = 4096;
/// A subdivision claimed for more than this many times the AS's share in IPv4 is a registration's.
const CLAIM_FACTOR: u64 = 3;
/// Up to this share of an AS's IPv6, in thousandths, a claim is believed anyway.
const CLAIM_PERMILLE_MIN: u64 = 100;

/// Corrects the IPv6 half of a table by its IPv4 half, inside `countries`.
pub(crate) fn correct(table: &mut LocaleTable, countries: &[Country]) {
    let v4 = shares(table, &table.v4, countries);
    let v6 = shares(table, &table.v6, countries);
    table.sources.push(Source::named(NAME));
    let source = SourceId(u8::try_from(table.sources.len()).unwrap_or(u8::MAX));
    let mut set = ClassSet::default();
    for (locale, &origins) in table.classes.iter().zip(&table.origins) {
        set.intern(Traced { locale: locale.clone(), origins });
    }
    let mut known: HashMap<ClassId, ClassId> = HashMap::new();
    let runs: Vec<(u64, ClassId)> = table.v6.iter().collect();
    let corrected = runs.into_iter().map(|(start, class)| {
        let changed = *known.entry(class).or_insert_with(|| {
            let locale = &table.classes[class.0 as usize];
            let declared = locale.country.is_some_and(|country| countries.contains(&country));
            let asn = locale.asn.filter(|_| declared);
            let Some(asn) = asn else { return class };
            let empty = Share::default();
            let verdict =
                judge(locale, v4.get(&asn).unwrap_or(&empty), v6.get(&asn).unwrap_or(&empty));
            let origins = table.origins[class.0 as usize];
            let mut traced = Traced { locale: locale.clone(), origins };
            match verdict {
                Verdict::Keep => return class,
                Verdict::Home(subdivision) => {
                    let over = Locale { subdivision: Some(subdivision), ..Locale::default() };
                    let country = origins.of(Field::Country);
                    traced.lay(&over, source);
                    traced.origins.set(Field::Country, country);
                }
                Verdict::Drop => traced.forget(&[Field::Subdivision, Field::City, Field::Point]),
            }
            traced.centre(&table.centres);
            set.intern(traced)
        });
        (start, changed)
    });
    table.v6 = Runs::pack(corrected.collect::<Vec<_>>());
    (table.classes, table.origins) = set.finish();
}

enum Verdict {
    Keep,
    Home(Subdivision),
    Drop,
}

/// Units of an AS by subdivision.
#[derive(Debug, Default)]
struct Share {
    total: u64,
    by_subdivision: BTreeMap<Subdivision, u64>,
}

impl Share {
    fn home(&self) -> Option<Subdivision> {
        let (&subdivision, &most) = self.by_subdivision.iter().max_by_key(|&(_, &count)| count)?;
        let home = self.total >= HOME_ADDRESSES_MIN && most * 100 >= self.total * HOME_PERCENT;
        home.then_some(subdivision)
    }

    /// Its share there, in thousandths.
    fn permille(&self, subdivision: Subdivision) -> u64 {
        let here = self.by_subdivision.get(&subdivision).copied().unwrap_or(0);
        (u128::from(here) * 1000)
            .checked_div(u128::from(self.total))
            .map_or(0, |it| it.try_into().unwrap_or(1000))
    }
}

fn judge(locale: &Locale, v4: &Share, v6: &Share) -> Verdict {
    let Some(home) = v4.home() else {
        let Some(claim) = locale.subdivision else { return Verdict::Keep };
        let inflated = v4.total >= HOME_ADDRESSES_MIN
            && v6.permille(claim)
                > v4.permille(claim).saturating_mul(CLAIM_FACTOR).max(CLAIM_PERMILLE_MIN);
        return if inflated { Verdict::Drop } else { Verdict::Keep };
    };
    if locale.subdivision == Some(home) { Verdict::Keep } else { Verdict::Home(home) }
}

/// Addresses (IPv4) or /64s (IPv6) by AS and subdivision.
fn shares<K: Key>(
    table: &LocaleTable,
    runs: &Runs<K>,
    countries: &[Country],
) -> HashMap<u32, Share> {
    let mut shares: HashMap<u32, Share> = HashMap::new();
    let all: Vec<(K, ClassId)> = runs.iter().collect();
    for pair in all.windows(2) {
        let locale = &table.classes[pair[0].1.0 as usize];
        let (Some(asn), Some(subdivision)) = (locale.asn, locale.subdivision) else { continue };
        if locale.country.is_some_and(|country| countries.contains(&country)) {
            let size = pair[1].0.number() - pair[0].0.number();
            let share = shares.entry(asn).or_default();
            share.total = share.total.saturating_add(size);
            let here = share.by_subdivision.entry(subdivision).or_default();
            *here = here.saturating_add(size);
        }
    }
    shares
}
