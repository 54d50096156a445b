//! A directory of documents on disk: reading it whole, and hearing when it changes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use model::document::{Diagnostic, Documents, Severity, SourceFile, load, octets_max};
use notify::Watcher as _;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The most files one directory may hold.
const FILES_MAX: usize = 100_000;
/// The deepest directory below the given one.
const DEPTH_MAX: usize = 16;
/// An edit is often several events; the directory is read when it was quiet for this long.
const QUIET: Duration = Duration::from_millis(60);
/// A busy directory is read at least this often.
const QUIET_MAX: Duration = Duration::from_millis(400);
/// Some file systems (NFS, some FUSE) tell nothing: look again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Documents that did not load, as a person reads them.
#[derive(Debug)]
pub(crate) struct Refused {
    diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            writeln!(f, "{diagnostic}")?;
        }
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        write!(f, "{errors} {} in the documents", if errors == 1 { "error" } else { "errors" })
    }
}

impl std::error::Error for Refused {}

/// A directory as read: what it means, or why it is refused, and what it holds.
#[derive(Debug)]
pub(crate) struct Read {
    /// Tells whether anything changed since another reading.
    pub(crate) fingerprint: Fingerprint,
    /// The documents, or every error in them.
    pub(crate) documents: Result<Documents, Refused>,
}

/// Reads and checks a directory (or one file).
///
/// # Errors
/// When it cannot be read or holds no document at all.
pub(crate) fn read(path: &Path) -> anyhow::Result<Read> {
    let files = sources(path)?;
    if !files.iter().any(|file| is_document(Path::new(file.path.as_ref()))) {
        bail!(
            "no documents in `{}`\n  help: put `.yaml` files with a Zone, Sites and a GlobalService \
             there; `examples/quickstart` is a working set",
            path.display()
        );
    }
    let documents = load(&files).map_err(|diagnostics| Refused { diagnostics });
    Ok(Read { fingerprint: Fingerprint::of(&files), documents })
}

/// Reads a directory for a process that starts. Errors end the start, unless a snapshot of before is
/// there to serve: then they are logged and `None` is given.
pub(crate) fn read_or_resume(
    path: &Path,
    state_dir: Option<&Path>,
) -> anyhow::Result<Option<(Documents, Fingerprint)>> {
    match read_first(path) {
        Ok(read) => Ok(Some(read)),
        Err(error) if state_dir.is_some_and(|dir| dir.join("snapshot").is_dir()) => {
            tracing::error!("{error:#}");
            tracing::error!("starting from the last good snapshot instead");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads a directory for a process that starts: warnings are logged, errors end the start.
pub(crate) fn read_first(path: &Path) -> anyhow::Result<(Documents, Fingerprint)> {
    let Read { fingerprint, documents } = read(path)?;
    let documents = documents?;
    warn_of(&documents.warnings);
    Ok((documents, fingerprint))
}

/// Logs warnings, one event for each distinct message: a set of documents repeats itself.
pub(crate) fn warn_of(warnings: &[Diagnostic]) {
    let mut first: BTreeMap<&str, (&Diagnostic, usize)> = BTreeMap::new();
    for warning in warnings {
        first.entry(&warning.message).or_insert((warning, 0)).1 += 1;
    }
    for (message, (Diagnostic { path, line, column, .. }, count)) in first {
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        tracing::warn!("{path}:{line}:{column}: {message}{more}");
    }
}

/// The content of a directory, to tell an edit from a touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    fn of(files: &[SourceFile]) -> Self {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        for file in files {
            file.path.hash(&mut hasher);
            file.text.hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}

fn sources(path: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut paths = Vec::new();
    if path.is_dir() {
        list(path, 0, &mut paths)?;
    } else {
        paths.push(path.to_owned());
    }
    paths.sort();
    paths.iter().map(|path| source(path)).collect()
}

fn list(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if depth > DEPTH_MAX {
        bail!("`{}` is more than {DEPTH_MAX} directories deep", directory.display());
    }
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read directory `{}`", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            list(&path, depth + 1, found)?;
        } else if is_document(&path) || path.extension().is_some_and(|end| end == "zone") {
            if found.len() == FILES_MAX {
                bail!("`{}` holds more than {FILES_MAX} files", directory.display());
            }
            found.push(path);
        }
    }
    Ok(())
}

fn is_document(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json")
}

fn source(path: &Path) -> anyhow::Result<SourceFile> {
    let shown = path.display().to_string();
    let octets = std::fs::metadata(path).with_context(|| format!("cannot read `{shown}`"))?.len();
    let octets_max = octets_max(&shown);
    if octets > octets_max as u64 {
        bail!("`{shown}` is {octets} octets\n  help: a file of its kind may have {octets_max}");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{shown}`"))?;
    Ok(SourceFile { path: shown.into(), text: text.into() })
}

/// Tells when a directory may have changed. Dropping it ends the watch.
#[derive(Debug)]
pub(crate) struct Watch {
    changed: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to watch. When the system refuses (too many watches), slow polling takes over.
    pub(crate) fn begin(path: &Path) -> Self {
        let (tell, events) = mpsc::channel(1);
        let watcher = match watcher(path, tell) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                let seconds = LOOK_AGAIN.as_secs();
                tracing::warn!(%error, path = %path.display(),
                    "cannot watch the directory; looking again every {seconds} s");
                None
            }
        };
        let changed = Arc::new(Notify::new());
        let task = tokio::spawn(settle(watcher, events, Arc::clone(&changed)));
        Self { changed, task }
    }

    /// Waits until the directory may have changed and is quiet again. A change is told once, and is
    /// not lost when this future is dropped: the notification waits for the next caller.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn watcher(path: &Path, tell: mpsc::Sender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let handler = move |event: notify::Result<notify::Event>| {
        if !event.as_ref().is_ok_and(|event| event.kind.is_access()) {
            // A full channel already holds the news.
            let _ = tell.try_send(());
        }
    };
    let mut watcher = notify::recommended_watcher(handler)?;
    watcher.watch(path, notify::RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Gathers events until the directory is quiet, then tells; looks again from time to time.
async fn settle(
    watcher: Option<notify::RecommendedWatcher>,
    mut events: mpsc::Receiver<()>,
    changed: Arc<Notify>,
) {
    loop {
        match timeout(LOOK_AGAIN, events.recv()).await {
            Ok(Some(())) => {
                let quiet =
                    async { while let Ok(Some(())) = timeout(QUIET, events.recv()).await {} };
                let _ = timeout(QUIET_MAX, quiet).await;
            }
            // Without a watcher the channel is closed at once: poll.
            Ok(None) if watcher.is_none() => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(None) => return,
            Err(_) => {}
        }
        changed.notify_one();
    }
}
