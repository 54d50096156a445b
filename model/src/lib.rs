//! The words every part of Nearside shares: documents, names, sites, services, observations.
//!
//! Bytes become a spec (what the document says) and a spec becomes the model (what it means once
//! checked); past that point nobody checks again. This crate is pure: no I/O, no task, no clock.

pub mod codec;
mod continent;
pub mod document;
pub mod gateway;
pub mod geo;
pub mod isp;
pub mod name;
pub mod observe;
pub mod policy;
pub mod record;
pub mod service;
pub mod site;
pub mod zone;

pub use geo::{Area, Continent, Country, Isp, Locale, Point, Subdivision};
pub use name::{DnsName, NameError, ObjectRef, SiteName};
pub use policy::Policy;
