//! What was watched, on disk: a log of changes from which a restart resumes, also cut off.
//!
//! One record for each change, each with its length and checksum, appended in the order in which
//! they were taken. Whatever is torn or flipped ends the reading, and every beginning of the log is a
//! state that was true once, with the version to go on from: so a damaged tail costs freshness, never
//! truth. Objects are not kept in memory for it; when more than half of the log is out of date it is
//! written anew beside the old one and renamed over it. Secrets are in it: the file is its owner's
//! alone (0600), as the keys in the state directory are.

use std::collections::{BTreeMap, HashMap};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use model::gateway::ObjectKind;
use model::name::ObjectRef;
use serde::{Deserialize, Serialize};

use crate::resource::plural;

/// The first octets; the digit is the format.
const MAGIC: &[u8; 8] = b"NRSLOG1\n";
/// Length and checksum before each record.
const HEAD_OCTETS: usize = 4 + 8;
/// The largest record: an object of a server is at most 1.5 MiB, and JSON may double it.
const RECORD_OCTETS_MAX: usize = 8 << 20;
/// The largest log that is read: 40,000 routes with their endpoints are below 100 MB.
const LOG_OCTETS_MAX: u64 = 1 << 30;
/// A log smaller than this is never written anew.
const REWRITE_OCTETS_MIN: u64 = 4 << 20;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// Which server the rest is about; the first record.
    Server(String),
    /// An object as it is now.
    Put {
        /// Plural name; kinds that a later program does not know are left out.
        kind: String,
        namespace: String,
        name: String,
        version: u64,
        /// Digest of its status.
        status: u64,
        /// The object, as JSON.
        json: Vec<u8>,
    },
    /// An object is gone.
    Remove { kind: String, namespace: String, name: String },
    /// Everything of a kind up to a version is above.
    Reached { kind: String, version: u64 },
    /// The server does not have the kind.
    Absent { kind: String },
}

/// What is known of a kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadedKind {
    /// How far it was followed; `None` when the server did not have it, or it was never listed.
    pub(crate) reached: Option<Reached>,
    /// Its objects.
    pub(crate) objects: BTreeMap<ObjectRef, LoadedObject>,
}

/// An object as it was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadedObject {
    pub(crate) version: u64,
    pub(crate) status: u64,
    pub(crate) json: Vec<u8>,
}

/// How far a kind was followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// To a version.
    Version(u64),
    /// The server did not have it.
    Absent,
}

/// What was on disk.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// By kind.
    pub(crate) kinds: BTreeMap<ObjectKind, LoadedKind>,
    /// Octets at the end that were not readable.
    pub(crate) lost_octets: u64,
}

/// Why the log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
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
    /// Another process holds it.
    #[error("`{path}` is in use by another process\n  help: give each process its own state directory", path = .0.display())]
    InUse(PathBuf),
}

/// An open log.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    /// Where the next record goes.
    end: u64,
    /// Octets of records that still say something.
    live: u64,
    /// Where the last record of each subject is.
    places: HashMap<u128, Spot>,
    /// Held for its lock, which ends with the process.
    _lock: File,
}

#[derive(Debug, Clone, Copy)]
struct Spot {
    at: u64,
    octets: u32,
}

impl Journal {
    /// Opens (and makes) the log in a directory and reads what is there about `server`.
    ///
    /// # Errors
    /// When it cannot be made or is in use. A damaged log is not an error.
    pub(crate) fn open(directory: &Path, server: &str) -> Result<(Self, Loaded), JournalError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(io("make the directory", directory))?;
        let lock_path = directory.join("lock");
        let lock = private().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io("lock", &lock_path)(error)),
        }
        let path = directory.join("objects.log");
        let file = private().create(true).truncate(false).read(true).write(true).open(&path);
        let file = file.map_err(io("open", &path))?;
        let mut journal = Self { path, file, end: 0, live: 0, places: HashMap::new(), _lock: lock };
        let loaded = journal.load(server).map_err(io("read", &journal.path))?;
        Ok((journal, loaded))
    }

    /// Reads record by record: of a log of 40,000 routes only what it says is in memory, not the log.
    fn load(&mut self, server: &str) -> io::Result<Loaded> {
        let octets = self.file.metadata()?.len().min(LOG_OCTETS_MAX);
        let file = self.file.try_clone()?;
        let mut reader = io::BufReader::new(file.take(octets));
        let mut loaded = Loaded::default();
        let mut magic = [0; MAGIC.len()];
        let is_log = filled(&mut reader, &mut magic)? && magic == *MAGIC;
        let first = if is_log { next(&mut reader)? } else { None };
        let Some((Record::Server(of), length)) = first.filter(|(first, _)| is_about(first, server))
        else {
            loaded.lost_octets = octets;
            self.begin(server)?;
            return Ok(loaded);
        };
        let mut at = MAGIC.len() as u64;
        self.note(&Record::Server(of), Spot { at, octets: length });
        at += u64::from(length);
        while let Some((record, length)) = next(&mut reader)? {
            self.note(&record, Spot { at, octets: length });
            loaded.take(record);
            at += u64::from(length);
        }
        loaded.lost_octets = octets - at;
        self.end = at;
        self.file.set_len(self.end)?;
        Ok(loaded)
    }

    fn begin(&mut self, server: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(MAGIC)?;
        self.end = MAGIC.len() as u64;
        self.live = 0;
        self.places.clear();
        self.append(&[Record::Server(server.to_owned())])
    }

    /// Appends records; they are on their way to the disk, not there yet.
    ///
    /// # Errors
    /// When the file system refuses. What was appended before stays readable.
    pub(crate) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let mut frames = Vec::new();
        for record in records {
            let begin = frames.len();
            encode(record, &mut frames)?;
            let octets = u32::try_from(frames.len() - begin).unwrap_or(u32::MAX);
            self.note(record, Spot { at: self.end + begin as u64, octets });
        }
        self.file.write_all_at(&frames, self.end)?;
        self.end += frames.len() as u64;
        let is_stale = self.end > REWRITE_OCTETS_MIN && self.end > 2 * self.live;
        if is_stale { self.rewrite() } else { Ok(()) }
    }

    /// Waits until what was appended is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Remembers where a subject's last word is.
    fn note(&mut self, record: &Record, spot: Spot) {
        let Some(subject) = subject(record) else { return };
        let removed = match record {
            // A removal is the last word only until the log is written anew.
            Record::Remove { .. } => self.places.remove(&subject),
            _ => self.places.insert(subject, spot),
        };
        if !matches!(record, Record::Remove { .. }) {
            self.live += u64::from(spot.octets);
        }
        self.live -= removed.map_or(0, |old| u64::from(old.octets));
    }

    /// Writes what still says something to a new log and puts it in the place of the old one.
    fn rewrite(&mut self) -> io::Result<()> {
        let temporary = self.path.with_extension("new");
        let mut file =
            private().create(true).truncate(true).read(true).write(true).open(&temporary)?;
        let mut spots: Vec<(u128, Spot)> =
            self.places.iter().map(|(&of, &spot)| (of, spot)).collect();
        spots.sort_unstable_by_key(|(_, spot)| spot.at);
        let mut places = HashMap::with_capacity(spots.len());
        let mut end = MAGIC.len() as u64;
        let mut writer = io::BufWriter::new(&mut file);
        writer.write_all(MAGIC)?;
        let mut frame = Vec::new();
        for (of, spot) in spots {
            frame.resize(spot.octets as usize, 0);
            self.file.read_exact_at(&mut frame, spot.at)?;
            writer.write_all(&frame)?;
            places.insert(of, Spot { at: end, octets: spot.octets });
            end += u64::from(spot.octets);
        }
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        std::fs::rename(&temporary, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        (self.file, self.end, self.live, self.places) = (file, end, end, places);
        Ok(())
    }
}

impl Loaded {
    fn kind(&mut self, name: &str) -> Option<&mut LoadedKind> {
        let kind = ObjectKind::ALL.into_iter().find(|one| plural(*one) == name)?;
        Some(self.kinds.entry(kind).or_default())
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Server(_) => {}
            Record::Put { kind, namespace, name, version, status, json } => {
                if let Some(kind) = self.kind(&kind) {
                    let object = LoadedObject { version, status, json };
                    kind.objects.insert(ObjectRef::new(&namespace, &name), object);
                }
            }
            Record::Remove { kind, namespace, name } => {
                if let Some(kind) = self.kind(&kind) {
                    kind.objects.remove(&ObjectRef::new(&namespace, &name));
                }
            }
            Record::Reached { kind, version } => {
                if let Some(kind) = self.kind(&kind) {
                    kind.reached = Some(Reached::Version(version));
                }
            }
            Record::Absent { kind } => {
                if let Some(kind) = self.kind(&kind) {
                    *kind = LoadedKind { reached: Some(Reached::Absent), objects: BTreeMap::new() };
                }
            }
        }
    }
}

/// What a record is about, so that a later one takes its place.
fn subject(record: &Record) -> Option<u128> {
    let mut hasher = blake3::Hasher::new();
    match record {
        Record::Server(_) => hasher.update(b"server"),
        Record::Put { kind, namespace, name, .. } | Record::Remove { kind, namespace, name } => {
            hasher.update(format!("object {kind} {namespace}/{name}").as_bytes())
        }
        Record::Reached { kind, .. } | Record::Absent { kind } => {
            hasher.update(format!("kind {kind}").as_bytes())
        }
    };
    let digest = hasher.finalize();
    digest.as_bytes().first_chunk().map(|first| u128::from_le_bytes(*first))
}

fn encode(record: &Record, frames: &mut Vec<u8>) -> io::Result<()> {
    let payload = postcard::to_stdvec(record).map_err(io::Error::other)?;
    let octets = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= RECORD_OCTETS_MAX);
    let octets = octets.ok_or_else(|| io::Error::other("the object is too large"))?;
    frames.extend_from_slice(&octets.to_le_bytes());
    frames.extend_from_slice(&checksum(&payload));
    frames.extend_from_slice(&payload);
    Ok(())
}

/// The next record and its whole length; `None` at the end, and where a record is not sound.
fn next(reader: &mut impl io::Read) -> io::Result<Option<(Record, u32)>> {
    let mut head = [0; HEAD_OCTETS];
    if !filled(reader, &mut head)? {
        return Ok(None);
    }
    let (length, sum) = head.split_at(4);
    let length = length.first_chunk().map_or(0, |length| u32::from_le_bytes(*length)) as usize;
    if length > RECORD_OCTETS_MAX {
        return Ok(None);
    }
    let mut payload = vec![0; length];
    if !filled(reader, &mut payload)? || checksum(&payload) != sum {
        return Ok(None);
    }
    let record = postcard::from_bytes(&payload).ok();
    Ok(record.zip(u32::try_from(length + HEAD_OCTETS).ok()))
}

/// Whether there was enough to fill a buffer with.
fn filled(reader: &mut impl io::Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_about(record: &Record, server: &str) -> bool {
    matches!(record, Record::Server(of) if of == server)
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let digest = blake3::hash(payload);
    digest.as_bytes().first_chunk().copied().unwrap_or_default()
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(test)]
mod tests;
