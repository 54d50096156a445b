//! The controller's own state in an embedded database: ceilings, drains, audit records, measurement.
//!
//! redb, because each commit is an fsync and there is nothing to run beside it. Only the controller
//! opens it; data planes never do. Without a state directory it lives in memory.
//! Rule: an order (a drain) is on disk before it is published.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::backends::InMemoryBackend;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use model::SiteName;

use crate::generation::Persisted;
use crate::publication::Channel;

const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const DRAINS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("drains");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit");
const BLOBS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("blobs");
/// The oldest audit records beyond this many are dropped.
pub const AUDIT_RECORDS_MAX: u64 = 10_000;
/// redb's page cache; the whole store is a few megabytes.
const CACHE_OCTETS: usize = 4 << 20;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory or file could not be made.
    #[error("cannot open the store `{path}`", path = .0.display())]
    Create(PathBuf, #[source] std::io::Error),
    /// Another process has it.
    #[error("the store `{path}` is in use; help: is a controller running already?", path = .0.display())]
    InUse(PathBuf),
    /// The database refused.
    #[error("the store failed")]
    Database(#[from] redb::Error),
    /// A generation was asked for whose ceiling is not on disk.
    #[error("the generation is not reserved")]
    NotReserved,
    /// A record could not be written as JSON.
    #[error("cannot encode a record")]
    Encode(#[source] serde_json::Error),
}

/// An operator's order that a site takes no new clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Who ordered it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When, in Unix milliseconds.
    pub at_unix_ms: u64,
}

/// One audited act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// When, in Unix milliseconds.
    pub at_unix_ms: u64,
    /// Who.
    pub by: String,
    /// What was done.
    pub act: Act,
    /// The reason given.
    pub reason: String,
}

/// Acts that are audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Act {
    /// A site was drained.
    Drain {
        /// Which.
        site: SiteName,
    },
    /// A drain was lifted.
    Undrain {
        /// Which.
        site: SiteName,
    },
    /// Documents removed this many objects.
    #[serde(rename_all = "camelCase")]
    Remove {
        /// How many.
        objects: u32,
        /// The policy's counter.
        policy_counter: u64,
    },
    /// The guard's refusals were overruled.
    Override {
        /// What it had said.
        refusals: Vec<String>,
    },
}

/// The embedded store.
#[derive(Debug)]
pub struct Store {
    database: Database,
}

impl Store {
    /// Opens (and makes) the store in a directory; `None` keeps it in memory.
    ///
    /// # Errors
    /// When it cannot be made, is in use, or is damaged.
    pub fn open(dir: Option<&Path>) -> Result<Self, StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_OCTETS);
        let Some(dir) = dir else {
            let made = builder.create_with_backend(InMemoryBackend::new());
            return Self::ready(made.map_err(redb::Error::from)?);
        };
        let path = dir.join("store.redb");
        let create = |error| StoreError::Create(path.clone(), error);
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(create)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(create)?;
        match builder.create_file(file) {
            Ok(database) => Self::ready(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse(path)),
            Err(error) => Err(redb::Error::from(error).into()),
        }
    }

    fn ready(database: Database) -> Result<Self, StoreError> {
        let store = Self { database };
        // Tables exist from the first moment, so that readers need no case for their absence.
        store.write(|transaction| {
            transaction.open_table(COUNTERS)?;
            transaction.open_table(DRAINS)?;
            transaction.open_table(AUDIT)?;
            transaction.open_table(BLOBS)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// Epoch and ceilings.
    ///
    /// # Errors
    /// When the database fails.
    pub fn persisted(&self) -> Result<Persisted, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(COUNTERS)?;
            let counter = |key: &str| -> Result<u64, redb::Error> {
                Ok(table.get(key)?.map_or(0, |value| value.value()))
            };
            let mut ceilings = [0; 3];
            for channel in Channel::ALL {
                ceilings[channel.index()] = counter(channel.as_str())?;
            }
            let epoch = u32::try_from(counter("epoch")?).unwrap_or(u32::MAX);
            Ok(Persisted { epoch, ceilings })
        })
    }

    /// Persists a channel's ceiling and the epoch.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub fn reserve(&self, epoch: u32, channel: Channel, ceiling: u64) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(COUNTERS)?;
            table.insert("epoch", u64::from(epoch))?;
            table.insert(channel.as_str(), ceiling)?;
            Ok(())
        })
    }

    /// The operator's drains.
    ///
    /// # Errors
    /// When the database fails.
    pub fn drains(&self) -> Result<BTreeMap<SiteName, Drain>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(DRAINS)?;
            let mut drains = BTreeMap::new();
            for row in table.iter()? {
                let (site, drain) = row?;
                let (Ok(site), Ok(drain)) =
                    (SiteName::new(site.value()), serde_json::from_slice(drain.value()))
                else {
                    continue;
                };
                drains.insert(site, drain);
            }
            Ok(drains)
        })
    }

    /// Orders a drain and records who did.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub fn drain(&self, site: &SiteName, drain: &Drain) -> Result<(), StoreError> {
        let Drain { by, reason, at_unix_ms } = drain.clone();
        let act = Act::Drain { site: site.clone() };
        let record = encode(&AuditRecord { at_unix_ms, by, act, reason })?;
        let drain = encode(drain)?;
        self.write(|transaction| {
            transaction.open_table(DRAINS)?.insert(site.as_str(), drain.as_slice())?;
            append(transaction, &record)
        })
    }

    /// Lifts a drain and records who did.
    ///
    /// # Errors
    /// When the database fails; nothing is changed then.
    pub fn undrain(&self, site: &SiteName, by: &str, at_unix_ms: u64) -> Result<(), StoreError> {
        let act = Act::Undrain { site: site.clone() };
        let reason = String::new();
        let record = encode(&AuditRecord { at_unix_ms, by: by.to_owned(), act, reason })?;
        self.write(|transaction| {
            transaction.open_table(DRAINS)?.remove(site.as_str())?;
            append(transaction, &record)
        })
    }

    /// Appends an audit record.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record(&self, record: &AuditRecord) -> Result<(), StoreError> {
        let record = encode(record)?;
        self.write(|transaction| append(transaction, &record))
    }

    /// The newest audit records, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn audit(&self, records_max: usize) -> Result<Vec<AuditRecord>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(AUDIT)?;
            let mut records = Vec::new();
            for row in table.iter()?.rev().take(records_max) {
                let (_, record) = row?;
                records.extend(serde_json::from_slice(record.value()));
            }
            Ok(records)
        })
    }

    /// A blob by name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn blob(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(BLOBS)?;
            Ok(table.get(name)?.map(|blob| blob.value().to_vec()))
        })
    }

    /// Keeps a blob under a name.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep_blob(&self, name: &str, blob: &[u8]) -> Result<(), StoreError> {
        self.write(|transaction| {
            transaction.open_table(BLOBS)?.insert(name, blob)?;
            Ok(())
        })
    }

    fn read<T>(
        &self,
        body: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let transaction = self.database.begin_read().map_err(redb::Error::from)?;
        Ok(body(&transaction)?)
    }

    fn write(
        &self,
        body: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(redb::Error::from)?;
        body(&transaction)?;
        transaction.commit().map_err(redb::Error::from)?;
        Ok(())
    }
}

fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(StoreError::Encode)
}

fn append(transaction: &redb::WriteTransaction, record: &[u8]) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(AUDIT)?;
    let next = table.last()?.map_or(0, |(key, _)| key.value() + 1);
    table.insert(next, record)?;
    if let Some(oldest) = (next + 1).checked_sub(AUDIT_RECORDS_MAX) {
        table.retain_in(..oldest, |_, _| false)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
