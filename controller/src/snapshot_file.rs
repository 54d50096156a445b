//! The last good snapshot on a node's disk, so that it serves from it after a restart, cut off.
//!
//! One file per channel and generation, so that health (many times a minute) does not rewrite the
//! map (megabytes); a *slot* is a small frame that names three of them with their hashes. `active`
//! is what was taken last; `good` is an older pair that has been in service for a while, for the
//! day `active` turns out damaged. Order of every write: contents, fsync, directory fsync, slot to
//! a temporary file, fsync, rename, directory fsync. Rule: a slot is read whole or not at all, and
//! nothing that a slot names is ever removed.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use model::codec::{self, CodecError};
use serde::{Deserialize, Serialize};
use steering::Generation;

use crate::publication::{Channel, Content, Mismatch, Part, PartError, Publication};

/// The largest file read back: a full map is tens of megabytes.
pub const FILE_OCTETS_MAX: u64 = 1 << 30;

/// Which of the two slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Slot {
    /// Taken last.
    Active,
    /// Proven in service.
    Good,
}

impl Slot {
    /// Its file name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Good => "good",
        }
    }
}

/// Why a snapshot could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFileError {
    /// The file system refused.
    #[error("cannot {what} `{path}`", path = .path.display())]
    Io {
        /// What we were doing.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another process holds the directory.
    #[error("`{path}` is in use by another process; help: give each process its own state directory",
        path = .0.display())]
    InUse(PathBuf),
    /// The slot's own frame is not sound.
    #[error("slot `{slot}` is not readable", slot = .0.as_str())]
    Slot(Slot, #[source] CodecError),
    /// A content is not the one the slot names.
    #[error("`{path}` is not what its slot names", path = .0.display())]
    Hash(PathBuf),
    /// A content does not decode.
    #[error("`{path}` is damaged", path = .0.display())]
    Part(PathBuf, #[source] PartError),
    /// The contents do not belong together.
    #[error("the contents of slot `{slot}` do not belong together", slot = .0.as_str())]
    Mismatch(Slot, #[source] Mismatch),
}

/// What was found on disk.
#[derive(Debug)]
pub struct Loaded {
    /// The newest sound snapshot; `None` on a new node, or when nothing is readable.
    pub publication: Option<(Slot, Publication)>,
    /// What was wrong with slots that could not be used; empty on a new node.
    pub problems: Vec<SnapshotFileError>,
}

/// A directory of snapshots, held by one process.
#[derive(Debug)]
pub struct SnapshotDir {
    path: PathBuf,
    active: Option<SlotFile>,
    good: Option<SlotFile>,
    /// Held for its lock, which ends with the process.
    _lock: File,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    generation: Generation,
    hash: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct SlotFile {
    entries: [Entry; 3],
}

impl SnapshotDir {
    /// Opens (and makes) a directory, locks it for this process and reads what it holds.
    ///
    /// # Errors
    /// When it cannot be made or is in use.
    pub fn open(path: &Path) -> Result<(Self, Loaded), SnapshotFileError> {
        let io = |what, source| SnapshotFileError::Io { what, path: path.to_owned(), source };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|error| io("make the directory", error))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(|error| io("open the lock in", error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(SnapshotFileError::InUse(path.to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(io("lock", error)),
        }
        let mut dir = Self { path: path.to_owned(), active: None, good: None, _lock: lock };
        let loaded = dir.load();
        Ok((dir, loaded))
    }

    fn load(&mut self) -> Loaded {
        let (mut publication, mut problems) = (None, Vec::new());
        for slot in [Slot::Active, Slot::Good] {
            let file = self.read_slot(slot).unwrap_or_else(|problem| {
                problems.push(problem);
                None
            });
            match slot {
                Slot::Active => self.active = file,
                Slot::Good => self.good = file,
            }
            let Some(file) = file.filter(|_| publication.is_none()) else { continue };
            match self.read_contents(slot, &file) {
                Ok(read) => publication = Some((slot, read)),
                Err(problem) => problems.push(problem),
            }
        }
        Loaded { publication, problems }
    }

    /// Writes what is missing of a publication and makes it the active slot. The first one becomes
    /// the good one too.
    ///
    /// # Errors
    /// When the disk refuses; the slots are then as before.
    pub fn store(&mut self, publication: &Publication) -> Result<(), SnapshotFileError> {
        let Publication { policy, map, health } = publication;
        let frames = [
            (policy.generation, &policy.frame),
            (map.generation, &map.frame),
            (health.generation, &health.frame),
        ];
        let known = self.active.map(|slot| slot.entries);
        let mut entries = known.unwrap_or_default();
        let mut wrote = false;
        for (channel, (generation, frame)) in Channel::ALL.into_iter().zip(frames) {
            let entry = &mut entries[channel.index()];
            if known.is_some() && entry.generation == generation {
                continue;
            }
            *entry = Entry { generation, hash: *blake3::hash(frame).as_bytes() };
            write_synced(&self.content_path(channel, generation), frame)?;
            wrote = true;
        }
        if wrote {
            self.sync_dir()?;
        }
        let slot = SlotFile { entries };
        self.write_slot(Slot::Active, &slot)?;
        self.active = Some(slot);
        if self.good.is_none() {
            self.promote()?;
        }
        self.remove_unnamed()
    }

    /// Makes what is active now the good slot.
    ///
    /// # Errors
    /// When the disk refuses; the slots are then as before.
    pub fn promote(&mut self) -> Result<(), SnapshotFileError> {
        if let Some(active) = self.active {
            self.write_slot(Slot::Good, &active)?;
            self.good = Some(active);
        }
        Ok(())
    }

    fn read_contents(&self, slot: Slot, file: &SlotFile) -> Result<Publication, SnapshotFileError> {
        let SlotFile { entries: [policy, map, health] } = file;
        let publication = Publication {
            policy: self.read_part(policy)?,
            map: self.read_part(map)?,
            health: self.read_part(health)?,
        };
        publication.verify().map_err(|mismatch| SnapshotFileError::Mismatch(slot, mismatch))?;
        Ok(publication)
    }

    fn read_slot(&self, slot: Slot) -> Result<Option<SlotFile>, SnapshotFileError> {
        let path = self.path.join(slot.as_str());
        match read(&path) {
            Ok(frame) => {
                codec::decode(&frame).map(Some).map_err(|e| SnapshotFileError::Slot(slot, e))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SnapshotFileError::Io { what: "read", path, source }),
        }
    }

    fn read_part<T: Content>(&self, entry: &Entry) -> Result<Part<T>, SnapshotFileError> {
        let path = self.content_path(T::CHANNEL, entry.generation);
        let frame = match read(&path) {
            Ok(frame) => frame,
            Err(source) => return Err(SnapshotFileError::Io { what: "read", path, source }),
        };
        if blake3::hash(&frame).as_bytes() != &entry.hash {
            return Err(SnapshotFileError::Hash(path));
        }
        match Part::decode(Bytes::from(frame)) {
            Ok(part) if part.generation == entry.generation => Ok(part),
            Ok(_) => Err(SnapshotFileError::Hash(path)),
            Err(error) => Err(SnapshotFileError::Part(path, error)),
        }
    }

    fn write_slot(&self, slot: Slot, file: &SlotFile) -> Result<(), SnapshotFileError> {
        let frame = codec::encode(file).map_err(|error| SnapshotFileError::Slot(slot, error))?;
        let path = self.path.join(slot.as_str());
        let temporary = self.path.join(format!("{}.new", slot.as_str()));
        write_synced(&temporary, &frame)?;
        if let Err(source) = fs::rename(&temporary, &path) {
            return Err(SnapshotFileError::Io { what: "rename to", path, source });
        }
        self.sync_dir()
    }

    /// Removes contents that no slot names.
    fn remove_unnamed(&self) -> Result<(), SnapshotFileError> {
        let mut named = HashSet::new();
        for slot in [&self.active, &self.good].into_iter().flatten() {
            for (channel, entry) in Channel::ALL.into_iter().zip(&slot.entries) {
                named.insert(self.content_path(channel, entry.generation));
            }
        }
        let listing =
            |source| SnapshotFileError::Io { what: "list", path: self.path.clone(), source };
        for file in fs::read_dir(&self.path).map_err(listing)? {
            let path = file.map_err(listing)?.path();
            let content = path.extension().is_some_and(|extension| extension == "frame");
            if content && !named.contains(&path) {
                // A leftover costs disk only; the next write tries again.
                let _ = fs::remove_file(&path);
            }
        }
        Ok(())
    }

    fn content_path(&self, channel: Channel, generation: Generation) -> PathBuf {
        let Generation { epoch, counter } = generation;
        self.path.join(format!("{}-{epoch}-{counter}.frame", channel.as_str()))
    }

    fn sync_dir(&self) -> Result<(), SnapshotFileError> {
        let synced = File::open(&self.path).and_then(|dir| dir.sync_all());
        synced.map_err(|source| SnapshotFileError::Io {
            what: "sync",
            path: self.path.clone(),
            source,
        })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.take(FILE_OCTETS_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

fn write_synced(path: &Path, octets: &[u8]) -> Result<(), SnapshotFileError> {
    let written = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(octets).and_then(|()| file.sync_all()));
    written.map_err(|source| SnapshotFileError::Io { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
