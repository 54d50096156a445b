//! The per-site layer-7 gateway: routes of Ingress and Gateway API documents to endpoints, on
//! Pingora, behind an accept loop of our own.
//!
//! A connection walks `listen` -> `accept` -> `opening` (PROXY header, TLS by its hello) and is then
//! a `stream` of octets or carries requests. A request walks `client_io`, which passes only heads that `head` has
//! judged -> `proxy` -> `route` -> `balance` -> Pingora connects -> on failure `retry` -> the
//! endpoint learns from the outcome. Decisions are pure and take the time and the randomness as
//! arguments; `gateway`, `accept`, `client_io`, `proxy`, `errand`, `check`, `clock` and `random` are the
//! shell. One immutable view is swapped by reload; a request keeps the one it began with.

mod accept;
mod access_log;
mod address_rules;
mod asked;
mod attach;
mod backend_tls;
mod balance;
mod basic_auth;
mod breaker;
mod certificate;
mod check;
mod chunk;
mod client_io;
mod clock;
mod cluster;
mod compression;
mod cors;
mod crowd;
mod datagram;
mod drain;
mod dump;
mod endpoint;
mod errand;
mod error_page;
mod explain;
mod external_auth;
mod flow;
mod forecast;
mod forward;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod handshake;
mod head;
mod header_edit;
mod hello;
mod host;
mod inherited;
mod insight;
mod jwt;
mod kept;
mod ledger;
mod listen;
mod meter;
mod mirror;
mod octet;
mod opening;
mod origin_io;
mod origin_peer;
mod origin_tls;
mod path;
mod plan;
mod proxy;
mod proxy_protocol;
mod random;
mod rate_limit;
mod redirect_port;
mod relay;
mod report;
mod retry;
mod rewrite;
mod route;
mod rule;
mod session;
mod slots;
mod socket;
mod status;
mod stream;
mod tally;
mod termination;
mod ticket;
mod tls;
mod topology;
mod trace;
mod transport;
mod turn;
mod view;

pub use access_log::AccessLog;
pub use attach::Addressing;
pub use dump::{
    CertificateDump, EntryDump, GatewayDump, GatewaySummary, LeftOut, PlaceDump, RuleDump,
    ServerNameDump, SocketDump, StatusDump,
};
pub use explain::{
    BackendShown, CandidateShown, EndpointShown, PlaceShown, Question, QuestionError,
    RouteExplanation, RuleShown, TlsShown, explain_documents,
};
pub use forecast::forecast;
pub use gateway::{Config, ExposeSite, Gateway, Limits, StartError};
pub use head::HeadLimits;
pub use inherited::Inherited;
pub use insight::{Insight, metrics_text};
pub use socket::{Place, PlaceState, Wire};
pub use status::{INGRESS_CONTROLLER, News, ObjectStatus, StatusUpdate, Statuses};
pub use ticket::{TicketSecrets, TicketSecretsError};
pub use topology::Locality;
pub use view::Warning;
