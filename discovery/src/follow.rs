//! Following one resource at an API server: what to ask next, and what an answer means.
//!
//! Pure: `next` names the next request, `on` takes what was seen and gives changes; the shell in
//! `watch` does the requests. The rules, each learned from a real server: a streamed list that fails
//! twice is replaced by pages (some servers fail it for ever); 410 begins anew; a list older than
//! what is held is refused until it has stayed so for a while, because a lagging server is likelier
//! than a restored store; a watch that broke off, or ended without a word, is followed by a look at
//! the version, because a restored server says nothing about a version of its future; a resource that vanishes
//! keeps its objects for a while, because a starting server does not know its CRDs yet.

use model::name::ObjectRef;

/// Failures of a streamed list after which pages are asked for instead.
const STREAM_FAILURES_MAX: u32 = 2;
/// The first wait after a failure; it doubles.
const WAIT_MS_MIN: u64 = 200;
/// The longest wait after a failure, also when the server asks for more: client-go's is 30 s too.
const WAIT_MS_MAX: u64 = 30_000;
/// How patient a follower is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// A watch is asked to end after once to twice this, so that a dead link is noticed within a
    /// minute; the spread keeps a thousand sites from asking again at the same moment.
    pub watch_s: u64,
    /// How long lists must have been older than what is held before they are believed: longer than a
    /// server behind its peers needs to catch up, or the other server of two to answer.
    pub rewind_after_ms: u64,
    /// Between two such lists.
    pub rewind_again_ms: u64,
    /// How long a kind must be unknown to the server before its objects are given up.
    pub absent_after_ms: u64,
    /// Between two looks for a kind that is not there (yet).
    pub absent_again_ms: u64,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            watch_s: 25,
            rewind_after_ms: 10_000,
            rewind_again_ms: 2_000,
            absent_after_ms: 60_000,
            absent_again_ms: 5_000,
        }
    }
}

/// What to ask the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing for a while.
    Wait {
        /// How long.
        ms: u64,
    },
    /// The state as a stream that goes on as a watch.
    Stream,
    /// A page of the state.
    List {
        /// Where the page begins.
        token: Option<String>,
    },
    /// What happens after a version.
    Watch {
        /// The version.
        after: u64,
    },
    /// The version the server is at, and the one of an object.
    Look {
        /// The object that changed last, as far as we know.
        object: Option<ObjectRef>,
    },
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Seen<T> {
    /// An object was added or modified.
    Object(Told<T>),
    /// An object was deleted; the version is that of the deletion.
    Deleted(Told<T>),
    /// Everything up to a version was told.
    Bookmark {
        /// The version.
        version: u64,
        /// Whether it ends a streamed list.
        place: Place,
    },
    /// A page of a list.
    Page {
        /// The list's version.
        version: u64,
        /// The objects.
        items: Vec<Told<T>>,
        /// Where the next page begins.
        token: Option<String>,
    },
    /// The answer to a look.
    Version {
        /// The version the server is at.
        version: u64,
        /// The version of the object that was looked for, `None` when it is not there.
        object: Option<u64>,
    },
    /// The server refused, or could not be reached.
    Failed(Failure),
    /// The stream ended.
    Ended {
        /// How long it was open.
        open_ms: u64,
    },
}

/// An object and which version of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told<T> {
    /// Which one.
    pub(crate) object: ObjectRef,
    /// Its version.
    pub(crate) version: u64,
    /// The object.
    pub(crate) item: T,
}

/// The last change that was told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Last {
    object: ObjectRef,
    version: u64,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Exists,
    Deleted,
}

impl Last {
    /// Whether a server whose object is at this version knows of the change.
    fn is_known(&self, object: Option<u64>) -> bool {
        match self.fate {
            Fate::Exists => object.is_some_and(|version| version >= self.version),
            Fate::Deleted => object.is_none_or(|version| version > self.version),
        }
    }
}

/// Where in a stream a bookmark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// After the last object of the list.
    ListEnd,
    /// Anywhere else.
    Between,
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status, `None` when the server was not reached or stopped in the middle.
    pub(crate) code: Option<u16>,
    /// When the server wants to be asked again.
    pub(crate) retry_after_ms: Option<u64>,
}

/// What it means for who holds the objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<T> {
    /// These are all.
    Replace {
        /// The list's version.
        version: u64,
        /// All objects.
        items: Vec<T>,
        /// Whether versions may be compared with those held.
        order: Order,
    },
    /// An object is new or changed.
    Put(T),
    /// An object is gone.
    Remove(T),
    /// Everything up to this version was told.
    Reached(u64),
    /// The server does not have the resource.
    Absent,
    /// The server does not let us read it.
    Forbidden,
    /// A list was older than what is held and was not believed.
    Refused {
        /// The list's version.
        version: u64,
        /// What is held.
        held: u64,
    },
}

/// How a list's versions relate to those held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// An equal version is the same object.
    Same,
    /// The server went back in time: versions say nothing.
    Rewound,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Begin,
    Stream,
    List(Option<String>),
    Watch,
    Look,
}

/// The state of following one resource.
#[derive(Debug)]
pub(crate) struct Follow<T> {
    mode: Mode,
    draft: Vec<T>,
    /// The newest in the draft.
    draft_last: Option<Last>,
    /// The newest that was taken.
    last: Option<Last>,
    /// The server was found not to know what it told us: its next list counts, whatever its version.
    forgot: bool,
    /// The highest version that was taken; nothing older is without good reason.
    held: Option<u64>,
    wait_ms: Option<u64>,
    failures: u32,
    stream_failures: u32,
    told: bool,
    older_since_ms: Option<u64>,
    absent_since_ms: Option<u64>,
    /// Index of the API version in use.
    api: usize,
    apis: usize,
    patience: Patience,
}

impl<T> Follow<T> {
    /// Begins to follow a resource that has `apis` API versions, after a version held from before.
    pub(crate) fn new(apis: usize, held: Option<u64>, patience: Patience) -> Self {
        Self {
            mode: if held.is_some() { Mode::Watch } else { Mode::Begin },
            draft: Vec::new(),
            draft_last: None,
            last: None,
            forgot: false,
            held,
            wait_ms: None,
            failures: 0,
            stream_failures: 0,
            told: false,
            older_since_ms: None,
            absent_since_ms: None,
            api: 0,
            apis,
            patience,
        }
    }

    /// Which of the resource's API versions to ask for.
    pub(crate) fn api(&self) -> usize {
        self.api
    }

    /// What to ask next. `jitter` is 0..=255, so that a thousand sites do not come back as one.
    pub(crate) fn next(&mut self, jitter: u8) -> Step {
        if let Some(ms) = self.wait_ms.take() {
            return Step::Wait { ms: ms / 2 + ms * u64::from(jitter) / 255 };
        }
        self.told = false;
        if self.mode == Mode::Begin {
            self.draft.clear();
            self.draft_last = None;
            let stream = self.stream_failures < STREAM_FAILURES_MAX;
            self.mode = if stream { Mode::Stream } else { Mode::List(None) };
        }
        match (&self.mode, self.held) {
            (Mode::List(token), _) => Step::List { token: token.clone() },
            (Mode::Look, _) => {
                Step::Look { object: self.last.as_ref().map(|last| last.object.clone()) }
            }
            (Mode::Watch, Some(after)) => Step::Watch { after },
            (Mode::Watch | Mode::Begin | Mode::Stream, _) => Step::Stream,
        }
    }

    /// Takes what was seen.
    pub(crate) fn on(&mut self, seen: Seen<T>, now_ms: u64) -> Option<Change<T>> {
        match seen {
            Seen::Object(told) => {
                self.told = true;
                if self.mode == Mode::Stream {
                    self.draft(told);
                    return None;
                }
                let Told { object, version, item } = told;
                self.reach(version);
                self.last = Some(Last { object, version, fate: Fate::Exists });
                Some(Change::Put(item))
            }
            Seen::Deleted(Told { object, version, item }) => {
                self.told = true;
                self.reach(version);
                self.last = Some(Last { object, version, fate: Fate::Deleted });
                Some(Change::Remove(item))
            }
            Seen::Bookmark { version, place: Place::ListEnd } if self.mode == Mode::Stream => {
                self.commit(version, now_ms)
            }
            Seen::Bookmark { .. } if self.mode == Mode::Stream => None,
            Seen::Bookmark { version, .. } => {
                self.told = true;
                self.reach(version);
                Some(Change::Reached(version))
            }
            Seen::Page { version, items, token } => {
                for told in items {
                    self.draft(told);
                }
                match token {
                    Some(_) => {
                        self.mode = Mode::List(token);
                        None
                    }
                    None => self.commit(version, now_ms),
                }
            }
            Seen::Version { version, object } => {
                let is_older = self.held.is_some_and(|held| version < held);
                self.forgot = self.last.as_ref().is_some_and(|last| !last.is_known(object));
                self.mode = if is_older || self.forgot { Mode::Begin } else { Mode::Watch };
                None
            }
            Seen::Failed(failure) => self.fail(failure, now_ms),
            Seen::Ended { open_ms } => {
                self.end(open_ms);
                None
            }
        }
    }

    fn draft(&mut self, Told { object, version, item }: Told<T>) {
        self.draft.push(item);
        if self.draft_last.as_ref().is_none_or(|last| last.version < version) {
            self.draft_last = Some(Last { object, version, fate: Fate::Exists });
        }
    }

    fn reach(&mut self, version: u64) {
        self.failures = 0;
        self.absent_since_ms = None;
        self.held = self.held.max(Some(version));
    }

    fn commit(&mut self, version: u64, now_ms: u64) -> Option<Change<T>> {
        let items = std::mem::take(&mut self.draft);
        // Where it was once in doubt, an equal version may be another object.
        let is_doubtful = self.forgot || self.older_since_ms.is_some();
        let mut order = if is_doubtful { Order::Rewound } else { Order::Same };
        if let Some(held) = self.held.filter(|held| version < *held) {
            let since = *self.older_since_ms.get_or_insert(now_ms);
            if now_ms.saturating_sub(since) < self.patience.rewind_after_ms {
                self.mode = Mode::Begin;
                self.wait_ms = Some(self.patience.rewind_again_ms);
                return Some(Change::Refused { version, held });
            }
            order = Order::Rewound;
            self.held = None;
        }
        self.older_since_ms = None;
        self.forgot = false;
        self.last = self.draft_last.take();
        self.told = true;
        self.mode = Mode::Watch;
        self.stream_failures = 0;
        self.reach(version);
        Some(Change::Replace { version, items, order })
    }

    fn fail(&mut self, failure: Failure, now_ms: u64) -> Option<Change<T>> {
        let Failure { code, retry_after_ms } = failure;
        let was_stream = self.mode == Mode::Stream;
        if was_stream || matches!(self.mode, Mode::List(_) | Mode::Look) {
            self.mode = Mode::Begin;
        }
        match code {
            Some(404) => return self.miss(now_ms),
            Some(410) => {
                self.mode = Mode::Begin;
                self.failures += 1;
                // The first time there is nothing to wait for.
                self.wait_ms = (self.failures > 1).then(|| self.wait());
                return None;
            }
            // What the server is able to say but not willing to do says something about the request.
            Some(code) if was_stream && !matches!(code, 401 | 403 | 429 | 503 | 504) => {
                self.stream_failures += 1;
            }
            // Whoever comes back may be another.
            None if self.mode == Mode::Watch => self.mode = Mode::Look,
            _ => {}
        }
        self.failures += 1;
        let asked_ms = retry_after_ms.unwrap_or_default().min(WAIT_MS_MAX);
        // Half of a wait is jitter: twice what was asked for is at least that.
        self.wait_ms = Some(self.wait().max(asked_ms.saturating_mul(2)));
        (code == Some(403)).then_some(Change::Forbidden)
    }

    /// The resource is not there in this API version.
    fn miss(&mut self, now_ms: u64) -> Option<Change<T>> {
        self.api = (self.api + 1) % self.apis.max(1);
        if self.api != 0 {
            return None;
        }
        self.wait_ms = Some(self.patience.absent_again_ms);
        let since = *self.absent_since_ms.get_or_insert(now_ms);
        let is_given_up = now_ms.saturating_sub(since) >= self.patience.absent_after_ms;
        if self.held.is_some() && !is_given_up {
            return None;
        }
        self.held = None;
        self.mode = Mode::Begin;
        Some(Change::Absent)
    }

    fn end(&mut self, open_ms: u64) {
        let is_early = open_ms < self.patience.watch_s * 900;
        match self.mode {
            Mode::Stream => {
                self.mode = Mode::Begin;
                self.stream_failures += 1;
                self.failures += 1;
                self.wait_ms = Some(self.wait());
            }
            // At the end that was asked for, and it had something to say: all is well.
            Mode::Watch if self.told && !is_early => {}
            Mode::Watch => {
                self.mode = Mode::Look;
                if !self.told && is_early {
                    self.failures += 1;
                    self.wait_ms = Some(self.wait());
                }
            }
            Mode::Begin | Mode::List(_) | Mode::Look => {}
        }
    }

    fn wait(&self) -> u64 {
        let doublings = self.failures.saturating_sub(1).min(16);
        (WAIT_MS_MIN << doublings).min(WAIT_MS_MAX)
    }
}

#[cfg(test)]
mod tests;
