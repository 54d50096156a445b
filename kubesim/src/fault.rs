//! What is to go wrong, on order.

/// Faults of a server; the default has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many of the next requests are refused.
    pub refuse_next: u32,
    /// With which status (429, 500, 503).
    pub refuse_code: u16,
    /// With which `Retry-After`.
    pub retry_after_s: Option<u32>,
    /// Before every answer.
    pub delay_ms: u64,
    /// A watch is cut in the middle of a line after this many events.
    pub cut_watch_after: Option<u32>,
    /// Half-open: watches say nothing and requests get no answer, while the sockets stay.
    pub silent: bool,
    /// What `sendInitialEvents` gets.
    pub initial_events: InitialEvents,
}

/// How a watch that asks for the initial state is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InitialEvents {
    /// As by a server of today.
    #[default]
    Serve,
    /// 422, as by a server before 1.32.
    Forbid,
    /// An ERROR event that is no 410, as by a server on an etcd too old for it.
    Fail,
}
