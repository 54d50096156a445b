//! IP to locale: one interval table per family, compiled from many databases, merged by field.
//!
//! Pure: bytes in, tables out. The shell reads files and draws progress bars.

pub mod centre;
pub mod isp;
mod layer;
pub mod source;
pub mod table;

pub use centre::Centres;
pub use source::{Field, Origins, Source, SourceId};
pub use table::{ClassId, Hit, LocaleTable};
