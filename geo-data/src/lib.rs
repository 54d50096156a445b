//! IP to locale: one interval table per family, compiled from many databases, merged by field.
//!
//! Pure: bytes in, tables out. The shell reads files and draws progress bars.

pub mod table;

pub use table::{ClassId, Hit, LocaleTable};
