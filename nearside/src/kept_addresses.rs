//! The addresses that Gateways got out of a pool, kept over restarts.
//!
//! Records in DNS and rules in firewalls name them, so a Gateway that asks for none in particular must
//! find its own again, even where another one came first in the meantime. One file for each site in the
//! state directory, written anew when something changed; a damaged one is as none, and Gateways get the
//! addresses that their names lead to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use model::SiteName;
use model::name::ObjectRef;

/// Gateways and their addresses.
pub(crate) type Assigned = BTreeMap<ObjectRef, Vec<IpAddr>>;

/// 65,536 Gateways, the most that a pool is searched for, with names of the usual length.
const OCTETS_MAX: u64 = 8 << 20;
/// Of the directory below the state directory.
const DIRECTORY: &str = "gateway-addresses";

/// The file of one site.
#[derive(Debug)]
pub(crate) struct KeptAddresses {
    path: PathBuf,
    written: Mutex<Assigned>,
}

impl KeptAddresses {
    /// Reads the file of a site, if there is one.
    pub(crate) fn open(state_dir: &Path, site: &SiteName) -> Self {
        let path = state_dir.join(DIRECTORY).join(format!("{site}.json"));
        let assigned = read(&path).unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                tracing::warn!(path = %path.display(), %error, "no addresses of Gateways are remembered");
            }
            Assigned::new()
        });
        Self { path, written: Mutex::new(assigned) }
    }

    /// What the file holds.
    pub(crate) fn assigned(&self) -> Assigned {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes what has changed. Nothing is said of Gateways that are gone: a Gateway that comes back
    /// within one run of the process, or none, makes no claim.
    pub(crate) fn keep(&self, assigned: Assigned) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == assigned {
            return;
        }
        match write(&self.path, &assigned) {
            Ok(()) => *written = assigned,
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "addresses of Gateways are not kept");
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Assigned> {
    let mut octets = Vec::new();
    File::open(path)?.take(OCTETS_MAX).read_to_end(&mut octets)?;
    let rows: Vec<(ObjectRef, Vec<IpAddr>)> = serde_json::from_slice(&octets)?;
    Ok(rows.into_iter().collect())
}

/// Writes beside and renames, so that a restart never reads half of it.
fn write(path: &Path, assigned: &Assigned) -> io::Result<()> {
    let rows: Vec<_> = assigned.iter().collect();
    let octets = serde_json::to_vec(&rows)?;
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(&octets)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests;
