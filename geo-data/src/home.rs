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

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use model::geo::Point;

    use super::*;
    use crate::centre::Centres;

    const CN: Country = Country(*b"CN");

    fn locale(subdivision: &str, asn: u32) -> Locale {
        Locale {
            country: Some(CN),
            subdivision: Subdivision::parse(subdivision).ok(),
            asn: Some(asn),
            ..Locale::default()
        }
    }

    fn world() -> LocaleTable {
        let centre = Point { lat_cdeg: 3200, lon_cdeg: 11_600 };
        let rows: Vec<(IpNet, Locale)> = [
            // AS 1 is at home in Guangdong, AS 2 is national with a little in Beijing, AS 3 is tiny,
            // and AS 4 is elsewhere.
            ("10.0.0.0/16", locale("CN-GD", 1)),
            ("10.1.0.0/24", locale("CN-BJ", 1)),
            ("11.0.0.0/16", locale("CN-ZJ", 2)),
            ("11.1.0.0/16", locale("CN-SC", 2)),
            ("11.2.0.0/20", locale("CN-BJ", 2)),
            ("12.0.0.0/24", locale("CN-XJ", 3)),
            ("2400::/32", locale("CN-BJ", 1)),
            ("2401::/32", locale("CN-BJ", 2)),
            ("2401:1::/32", locale("CN-ZJ", 2)),
            ("2401:2::/48", locale("CN-GD", 2)),
            ("2402::/32", locale("CN-BJ", 3)),
            ("2403::/32", Locale { country: Some(Country(*b"US")), ..locale("US-NY", 1) }),
        ]
        .into_iter()
        .map(|(net, locale)| (net.parse().unwrap(), locale))
        .collect();
        LocaleTable::from_prefixes(&rows, Centres::new(vec![(CN, centre)], vec![]))
    }

    fn check(ip: &str, expected: (Option<&str>, &str)) {
        let before = world();
        let mut table = world();
        correct(&mut table, &[CN]);
        let hit = table.lookup(ip.parse().unwrap());
        let origin = table.origins(hit.class).of(Field::Subdivision);
        let source = table.source(origin).map_or("-", |source| source.name.as_str());
        let subdivision = hit.locale.subdivision.map(|it| it.to_string());
        assert_eq!((subdivision.as_deref(), source), expected, "{ip}");
        assert_eq!(hit.prefix_len, before.lookup(ip.parse().unwrap()).prefix_len);
        assert_eq!(hit.locale.country, before.lookup(ip.parse().unwrap()).locale.country);
    }

    #[test]
    fn ipv6_follows_the_home_of_its_as() {
        check("2400::1", (Some("CN-GD"), "as-home"));
    }

    #[test]
    fn a_registration_address_is_dropped_and_a_plausible_claim_stands() {
        check("2401::1", (None, "-"));
        check("2401:1::1", (Some("CN-ZJ"), "prefixes"));
        check("2401:2::1", (Some("CN-GD"), "prefixes"));
        check("2402::1", (Some("CN-BJ"), "prefixes"));
    }

    #[test]
    fn ipv4_and_other_countries_are_left_alone() {
        check("10.1.0.1", (Some("CN-BJ"), "prefixes"));
        check("11.2.0.1", (Some("CN-BJ"), "prefixes"));
        check("2403::1", (Some("US-NY"), "prefixes"));
        check("2500::1", (None, "-"));
    }
}
