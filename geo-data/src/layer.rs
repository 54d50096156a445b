//! Laying one source's fields over a locale, field by field.
//!
//! Finer fields that the new one contradicts go: another country takes subdivision, city and point
//! with it, another subdivision takes city and point. The gap is filled from the centre table only
//! once every source has spoken. This is the one place where that rule lives.

use std::collections::HashMap;

use model::geo::{Country, Locale};

use crate::centre::Centres;
use crate::isp;
use crate::source::{Field, Origins, SourceId};
use crate::table::ClassId;

/// A locale with its fields' sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Traced {
    pub(crate) locale: Locale,
    pub(crate) origins: Origins,
}

impl Traced {
    /// A locale whose every field is from one source.
    pub(crate) fn new(locale: &Locale, source: SourceId) -> Self {
        let mut traced = Self::default();
        traced.lay(locale, source);
        traced
    }

    /// Lays the fields that `over` has over this locale.
    pub(crate) fn lay(&mut self, over: &Locale, source: SourceId) {
        let Locale { country, subdivision, city, point, asn, isp, area } = over;
        let country = country
            .or_else(|| subdivision.and_then(|code| Country::parse(code.as_str().get(..2)?)));
        if let Some(country) = country {
            if self.locale.country != Some(country) {
                self.forget(&[Field::Subdivision, Field::City, Field::Point]);
            }
            self.locale.country = Some(country);
            self.origins.set(Field::Country, source);
        }
        if let Some(subdivision) = *subdivision {
            if self.locale.subdivision != Some(subdivision) {
                self.forget(&[Field::City, Field::Point]);
            }
            self.locale.subdivision = Some(subdivision);
            self.origins.set(Field::Subdivision, source);
        }
        if let Some(city) = city {
            if self.locale.city.as_ref() != Some(city) {
                self.forget(&[Field::Point]);
            }
            self.locale.city = Some(city.clone());
            self.origins.set(Field::City, source);
        }
        if let Some(point) = *point {
            self.locale.point = Some(point);
            self.origins.set(Field::Point, source);
        }
        if let Some(asn) = *asn {
            if self.locale.asn != Some(asn) {
                self.locale.isp = Some(isp::group(asn));
                self.origins.set(Field::Isp, source);
            }
            self.locale.asn = Some(asn);
            self.origins.set(Field::Asn, source);
        }
        if let Some(isp) = *isp {
            self.locale.isp = Some(isp);
            self.origins.set(Field::Isp, source);
        }
        if let Some(area) = *area {
            self.locale.area = Some(area);
            self.origins.set(Field::Area, source);
        }
    }

    /// Puts a locale without a point on the centre of what is known of it.
    pub(crate) fn centre(&mut self, centres: &Centres) {
        let (None, Some(country)) = (self.locale.point, self.locale.country) else { return };
        self.locale.point = centres.of(country, self.locale.subdivision);
        if self.locale.point.is_some() {
            self.origins.set(Field::Point, SourceId::CENTRE);
        }
    }

    pub(crate) fn forget(&mut self, fields: &[Field]) {
        for &field in fields {
            match field {
                Field::Country => self.locale.country = None,
                Field::Subdivision => self.locale.subdivision = None,
                Field::City => self.locale.city = None,
                Field::Point => self.locale.point = None,
                Field::Asn => self.locale.asn = None,
                Field::Isp => self.locale.isp = None,
                Field::Area => self.locale.area = None,
            }
            self.origins.set(field, SourceId::NONE);
        }
    }
}

/// Classes under construction: equal locales with equal sources are one.
#[derive(Debug, Default)]
pub(crate) struct ClassSet {
    ids: HashMap<Traced, ClassId>,
    all: Vec<Traced>,
}

impl ClassSet {
    /// The class of a locale, in order of first appearance.
    pub(crate) fn intern(&mut self, traced: Traced) -> ClassId {
        if let Some(&id) = self.ids.get(&traced) {
            return id;
        }
        let id = ClassId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.all.push(traced.clone());
        self.ids.insert(traced, id);
        id
    }

    /// Locales and sources by class.
    pub(crate) fn finish(self) -> (Vec<Locale>, Vec<Origins>) {
        drop(self.ids);
        self.all.into_iter().map(|traced| (traced.locale, traced.origins)).unzip()
    }
}
