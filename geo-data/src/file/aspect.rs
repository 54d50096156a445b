//! A table's body: places and networks, each with its own runs.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use model::geo::{Area, Country, Isp, Locale, Point, Subdivision};

use super::column::{Reader, Writer};
use super::{Dictionary, FileError};
use crate::centre::Centres;
use crate::isp;
use crate::source::{Field, Origins, Source, SourceId};
use crate::table::runs::{Key, RUNS_MAX, Runs};
use crate::table::{ClassId, LocaleTable};

/// Fields that say where a client is.
const PLACE: [Field; 5] =
    [Field::Country, Field::Subdivision, Field::City, Field::Point, Field::Area];
/// Fields that say whose network it is in.
const NETWORK: [Field; 2] = [Field::Asn, Field::Isp];

/// How an optional field that is usually derived is kept.
const NONE: u8 = 0;
const DERIVED: u8 = 1;
const GIVEN: u8 = 2;

/// One side of a locale: only its own fields are set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Side {
    locale: Locale,
    origins: Origins,
}

impl Side {
    fn place(locale: &Locale, origins: Origins) -> Self {
        let locale = Locale { asn: None, isp: None, ..locale.clone() };
        Self { locale, origins: only(origins, &PLACE) }
    }

    fn network(locale: &Locale, origins: Origins) -> Self {
        let locale = Locale { asn: locale.asn, isp: locale.isp, ..Locale::default() };
        Self { locale, origins: only(origins, &NETWORK) }
    }
}

fn only(origins: Origins, fields: &[Field]) -> Origins {
    let mut kept = Origins::default();
    for &field in fields {
        kept.set(field, origins.of(field));
    }
    kept
}

pub(super) fn write(table: &LocaleTable, out: &mut Writer) {
    write_centres(&table.centres, out);
    let places = Numbered::new(table, Side::place);
    let networks = Numbered::new(table, Side::network);
    write_places(&places.all, &table.centres, out);
    write_networks(&networks.all, out);
    write_runs(&table.v4, &places.of_class, out);
    write_runs(&table.v4, &networks.of_class, out);
    write_runs(&table.v6, &places.of_class, out);
    write_runs(&table.v6, &networks.of_class, out);
}

pub(super) fn read(
    body: &mut Reader<'_>,
    label: String,
    sources: Vec<Source>,
) -> Result<LocaleTable, FileError> {
    let centres = read_centres(body)?;
    let places = read_places(body, &centres)?;
    let networks = read_networks(body)?;
    let mut join = Join { ids: HashMap::default(), pairs: Vec::new() };
    // One family at a time, so that the columns of the other take no memory meanwhile.
    let v4 = join.runs::<u32>(&read_runs(body, places.len())?, &read_runs(body, networks.len())?);
    let v6 = join.runs::<u64>(&read_runs(body, places.len())?, &read_runs(body, networks.len())?);
    let (classes, origins) = join.classes(&places, &networks);
    Ok(LocaleTable { v4, v6, classes, origins, sources, centres, label })
}

/// Sides numbered by how many runs they have, the commonest first, and each class's side.
struct Numbered {
    all: Vec<Side>,
    of_class: Vec<u32>,
}

impl Numbered {
    fn new(table: &LocaleTable, side: impl Fn(&Locale, Origins) -> Side) -> Self {
        let mut dictionary = Dictionary::new();
        let first: Vec<usize> = table
            .classes
            .iter()
            .zip(&table.origins)
            .map(|(locale, &origins)| dictionary.id(&side(locale, origins)))
            .collect();
        // Uses, and the first of them: how the table numbers its classes must not show.
        let mut uses = vec![(0_u64, usize::MAX); dictionary.all.len()];
        let classes = table.v4.iter().map(|(_, class)| class);
        for (at, ClassId(class)) in
            classes.chain(table.v6.iter().map(|(_, class)| class)).enumerate()
        {
            let (count, earliest) = &mut uses[first[class as usize]];
            *count += 1;
            *earliest = at.min(*earliest);
        }
        let mut order: Vec<usize> = (0..uses.len()).filter(|&id| uses[id].0 > 0).collect();
        order.sort_by_key(|&id| (std::cmp::Reverse(uses[id].0), uses[id].1));
        let mut number = vec![0_u32; uses.len()];
        for (next, &id) in (0..).zip(&order) {
            number[id] = next;
        }
        Self {
            all: order.iter().map(|&id| dictionary.all[id].clone()).collect(),
            of_class: first.iter().map(|&id| number[id]).collect(),
        }
    }
}

fn write_centres(centres: &Centres, out: &mut Writer) {
    out.count(centres.countries().len());
    for (country, point) in centres.countries() {
        out.bytes.extend(country.0);
        write_point(*point, out);
    }
    out.count(centres.subdivisions().len());
    for (subdivision, point) in centres.subdivisions() {
        out.text(subdivision.as_str());
        write_point(*point, out);
    }
}

fn read_centres(body: &mut Reader<'_>) -> Result<Centres, FileError> {
    let mut countries = Vec::new();
    for _ in 0..body.count()? {
        let country = read_country(body)?.ok_or(FileError::Body("a country is missing"))?;
        countries.push((country, read_point(body)?));
    }
    let mut subdivisions = Vec::new();
    for _ in 0..body.count()? {
        let code = Subdivision::parse(body.text()?).map_err(|_| BAD_CODE)?;
        subdivisions.push((code, read_point(body)?));
    }
    Ok(Centres::new(countries, subdivisions))
}

const BAD_CODE: FileError = FileError::Body("a code has a character that codes do not have");

fn write_point(point: Point, out: &mut Writer) {
    out.cdeg(point.lat_cdeg);
    out.cdeg(point.lon_cdeg);
}

fn read_point(body: &mut Reader<'_>) -> Result<Point, FileError> {
    let point = Point { lat_cdeg: body.cdeg()?, lon_cdeg: body.cdeg()? };
    if point.lat_cdeg.unsigned_abs() > 9_000 || point.lon_cdeg.unsigned_abs() > 18_000 {
        return Err(FileError::Body("a point is not on the globe"));
    }
    Ok(point)
}

fn read_country(body: &mut Reader<'_>) -> Result<Option<Country>, FileError> {
    let octets = body.octets(2)?;
    if octets == [0, 0] {
        return Ok(None);
    }
    let country = std::str::from_utf8(octets).ok().and_then(Country::parse);
    country.map(Some).ok_or(FileError::Body("a country is not two letters"))
}

/// Texts of a column, each once; item 0 stands for none.
fn write_texts<'a>(texts: impl Iterator<Item = Option<&'a str>> + Clone, out: &mut Writer) {
    let mut dictionary = Dictionary::new();
    for text in texts.clone().flatten() {
        dictionary.id(&text);
    }
    out.count(dictionary.all.len());
    for text in &dictionary.all {
        out.text(text);
    }
    for text in texts {
        out.count(text.map_or(0, |text| dictionary.id(&text) + 1));
    }
}

/// The texts of [`write_texts`] and, for each of `rows`, which it has.
fn read_texts<'a>(body: &mut Reader<'a>, rows: usize) -> Result<Vec<Option<&'a str>>, FileError> {
    let mut texts = vec![None];
    for _ in 0..body.count()? {
        texts.push(Some(body.text()?));
    }
    (0..rows).map(|_| Ok(texts[body.index(texts.len())?])).collect()
}

fn write_origins(sides: &[Side], fields: &[Field], out: &mut Writer) {
    for &field in fields {
        for side in sides {
            out.octet(side.origins.of(field).0);
        }
    }
}

fn read_origins(
    sides: &mut [Side],
    fields: &[Field],
    body: &mut Reader<'_>,
) -> Result<(), FileError> {
    for &field in fields {
        for side in &mut *sides {
            side.origins.set(field, SourceId(body.octet()?));
        }
    }
    Ok(())
}

fn write_places(sides: &[Side], centres: &Centres, out: &mut Writer) {
    out.count(sides.len());
    for side in sides {
        out.bytes.extend(side.locale.country.map_or([0, 0], |country| country.0));
    }
    write_texts(
        sides.iter().map(|side| side.locale.subdivision.as_ref().map(|it| it.as_str())),
        out,
    );
    write_texts(sides.iter().map(|side| side.locale.city.as_deref()), out);
    write_texts(sides.iter().map(|side| side.locale.area.as_ref().map(|it| it.as_str())), out);
    for Side { locale, .. } in sides {
        match locale.point {
            None => out.octet(NONE),
            point if point == centre(locale, centres) => out.octet(DERIVED),
            Some(point) => {
                out.octet(GIVEN);
                write_point(point, out);
            }
        }
    }
    write_origins(sides, &PLACE, out);
}

fn centre(locale: &Locale, centres: &Centres) -> Option<Point> {
    centres.of(locale.country?, locale.subdivision)
}

fn read_places(body: &mut Reader<'_>, centres: &Centres) -> Result<Vec<Side>, FileError> {
    let mut sides = vec![Side::default(); body.count()?];
    for side in &mut sides {
        side.locale.country = read_country(body)?;
    }
    let subdivisions = read_texts(body, sides.len())?;
    let cities = read_texts(body, sides.len())?;
    let areas = read_texts(body, sides.len())?;
    let mut names: HashMap<&str, Arc<str>> = HashMap::new();
    for (((side, subdivision), city), area) in
        sides.iter_mut().zip(subdivisions).zip(cities).zip(areas)
    {
        let locale = &mut side.locale;
        locale.subdivision =
            subdivision.map(Subdivision::parse).transpose().map_err(|_| BAD_CODE)?;
        locale.city = city.map(|city| Arc::clone(names.entry(city).or_insert_with(|| city.into())));
        locale.area = area.map(Area::parse).transpose().map_err(|_| BAD_CODE)?;
    }
    for Side { locale, .. } in &mut sides {
        locale.point = match body.octet()? {
            NONE => None,
            DERIVED => centre(locale, centres),
            GIVEN => Some(read_point(body)?),
            _ => return Err(FileError::Body("a point is of no known kind")),
        };
    }
    read_origins(&mut sides, &PLACE, body)?;
    Ok(sides)
}

fn write_networks(sides: &[Side], out: &mut Writer) {
    out.count(sides.len());
    for side in sides {
        out.number(u64::from(side.locale.asn.unwrap_or(0)));
    }
    let mut given = Vec::new();
    for Side { locale, .. } in sides {
        match locale.isp {
            None => out.octet(NONE),
            isp if isp == locale.asn.map(isp::group) => out.octet(DERIVED),
            Some(isp) => {
                out.octet(GIVEN);
                given.push(isp);
            }
        }
    }
    write_texts(given.iter().map(|isp| Some(isp.as_str())), out);
    write_origins(sides, &NETWORK, out);
}

fn read_networks(body: &mut Reader<'_>) -> Result<Vec<Side>, FileError> {
    let mut sides = vec![Side::default(); body.count()?];
    for side in &mut sides {
        let asn =
            u32::try_from(body.number()?).map_err(|_| FileError::Body("an ASN is too large"))?;
        side.locale.asn = Some(asn).filter(|&asn| asn != 0);
    }
    let mut given = Vec::new();
    for (at, Side { locale, .. }) in sides.iter_mut().enumerate() {
        match body.octet()? {
            NONE => {}
            DERIVED => locale.isp = locale.asn.map(isp::group),
            GIVEN => given.push(at),
            _ => return Err(FileError::Body("an ISP is of no known kind")),
        }
    }
    for (at, text) in given.iter().zip(read_texts(body, given.len())?) {
        sides[*at].locale.isp = text.map(Isp::parse).transpose().map_err(|_| BAD_CODE)?;
    }
    read_origins(&mut sides, &NETWORK, body)?;
    Ok(sides)
}

/// Writes the runs of one side: the unit's bits, the gaps between starts in units, the ids.
fn write_runs<K: Key>(runs: &Runs<K>, of_class: &[u32], out: &mut Writer) {
    let mut starts: Vec<u64> = Vec::new();
    let mut ids: Vec<u32> = Vec::new();
    for (start, ClassId(class)) in runs.iter() {
        let id = of_class[class as usize];
        if ids.last() != Some(&id) {
            starts.push(start.number());
            ids.push(id);
        }
    }
    let unit_bits =
        starts.iter().map(|start| start.trailing_zeros()).min().unwrap_or(0).min(K::BITS - 1);
    out.octet(u8::try_from(unit_bits).unwrap_or(0));
    out.count(starts.len());
    for pair in starts.windows(2) {
        out.number((pair[1] - pair[0]) >> unit_bits);
    }
    for id in ids {
        out.number(u64::from(id));
    }
}

fn read_runs<K: Key>(body: &mut Reader<'_>, sides: usize) -> Result<Vec<(K, u32)>, FileError> {
    let unit_bits = u32::from(body.octet()?);
    let count = body.count()?;
    if count == 0 || count > RUNS_MAX || unit_bits >= K::BITS {
        return Err(FileError::Body("the runs' head makes no sense"));
    }
    let mut runs = Vec::with_capacity(count);
    runs.push((K::ZERO, 0));
    let mut start = 0_u64;
    for _ in 1..count {
        let gap = body.number()?;
        let whole = gap.checked_mul(1 << unit_bits).filter(|&gap| gap > 0);
        let next = whole.and_then(|gap| start.checked_add(gap));
        let key = next.and_then(K::of_number).ok_or(FileError::Body("a run starts nowhere"))?;
        start = key.number();
        runs.push((key, 0));
    }
    for run in &mut runs {
        run.1 = u32::try_from(body.index(sides)?).unwrap_or(0);
    }
    Ok(runs)
}

/// Places and networks put together again: each pair that occurs is a class.
struct Join {
    ids: HashMap<u64, ClassId, BuildHasherDefault<PairHasher>>,
    pairs: Vec<(u32, u32)>,
}

impl Join {
    fn runs<K: Key>(&mut self, places: &[(K, u32)], networks: &[(K, u32)]) -> Runs<K> {
        let (mut at_place, mut at_network) = (0, 0);
        let (mut place, mut network) = (0, 0);
        Runs::pack(std::iter::from_fn(|| {
            let start = match (places.get(at_place), networks.get(at_network)) {
                (Some(&(a, _)), Some(&(b, _))) => a.min(b),
                (Some(&(a, _)), None) => a,
                (None, Some(&(b, _))) => b,
                (None, None) => return None,
            };
            if let Some(&(_, next)) = places.get(at_place).filter(|(other, _)| *other == start) {
                place = next;
                at_place += 1;
            }
            if let Some(&(_, next)) = networks.get(at_network).filter(|(other, _)| *other == start)
            {
                network = next;
                at_network += 1;
            }
            Some((start, self.class(place, network)))
        }))
    }

    fn class(&mut self, place: u32, network: u32) -> ClassId {
        let pairs = &mut self.pairs;
        *self.ids.entry(u64::from(place) << 32 | u64::from(network)).or_insert_with(|| {
            pairs.push((place, network));
            ClassId(u32::try_from(pairs.len() - 1).unwrap_or(u32::MAX))
        })
    }

    fn classes(self, places: &[Side], networks: &[Side]) -> (Vec<Locale>, Vec<Origins>) {
        let whole = |(place, network): (u32, u32)| {
            let (place, network) = (&places[place as usize], &networks[network as usize]);
            let Locale { asn, isp, .. } = network.locale;
            let mut origins = place.origins;
            for field in NETWORK {
                origins.set(field, network.origins.of(field));
            }
            (Locale { asn, isp, ..place.locale.clone() }, origins)
        };
        self.pairs.into_iter().map(whole).unzip()
    }
}

/// A multiplication mixes a pair of small numbers well enough, and the keys are not an attacker's:
/// 4.6 million of them are looked up at each start.
#[derive(Debug, Default)]
struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &octet in bytes {
            self.write_u64(u64::from(octet));
        }
    }
    fn write_u64(&mut self, number: u64) {
        // The golden ratio in 64 bits, as in Fibonacci hashing; folded, as the map uses both ends.
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15_u128;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded together")]
        let folded = (product >> 64) as u64 ^ product as u64;
        self.0 = folded;
    }
}
