//! IP to locale: one interval table per family, compiled from many databases, merged by field.
//!
//! Pure: bytes in, tables out. The shell reads files and draws progress bars. Prefixes of public
//! resolvers' egress are not in any table here: they are the operator's own (`LocaleMap`), because
//! databases put them where the company is registered.

pub mod build;
pub mod centre;
mod embedded;
pub mod file;
pub mod fold;
mod home;
pub mod isp;
mod layer;
mod merge;
pub mod read;
pub mod report;
pub mod source;
mod spot;
mod subdivision;
pub mod table;

pub use centre::Centres;
pub use source::{Field, Origins, Source, SourceId};
pub use table::{ClassId, Hit, LocaleTable};
