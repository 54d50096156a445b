//! The access log's file, which can be moved away under a running process.
//!
//! Log rotation renames the file and sends SIGHUP; the file is then opened again under its name. No
//! line is lost or cut between the two: the gateways' writers hand over whole lines, each goes to the
//! file that is open at that moment, and the old one is closed when the last writer has let go of it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;

/// A file that all gateways of the process append to.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: Arc<Path>,
    open: Arc<ArcSwap<File>>,
}

impl LogFile {
    /// Opens it, or makes it.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let open = Arc::new(ArcSwap::from_pointee(append_to(path)?));
        Ok(Self { path: path.into(), open })
    }

    /// Opens it again under its name; the one that is open stays when that fails.
    ///
    /// # Errors
    /// Whatever the system says.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        self.open.store(Arc::new(append_to(&self.path)?));
        Ok(())
    }

    /// Its name.
    pub(crate) fn path(&self) -> PathBuf {
        self.path.to_path_buf()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Write for LogFile {
    /// Writes all of it to one file: what is handed over together are whole lines.
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let file = self.open.load_full();
        (&*file).write_all(octets)?;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.open.load_full()).flush()
    }
}

#[cfg(test)]
mod tests;
