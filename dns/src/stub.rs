//! What recursive resolvers say of a name, for those who are no name server: addresses, and for how
//! long they hold.

use std::net::{IpAddr, SocketAddr};

use model::name::DnsName;

use crate::alias::Kind;
use crate::alias::book::{Outcome, Question};
use crate::alias::resolver::resolve;

/// What a name resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// Of both families, in the order they came; perhaps none.
    pub addresses: Vec<IpAddr>,
    /// The least TTL on the way to them, or of their absence, in seconds.
    pub ttl_s: u32,
}

/// Asks resolvers in turn for the addresses of a name; `None` when an answer is missing for one of the
/// families, so that half an answer never passes for the whole.
pub async fn look_up(servers: &[SocketAddr], name: &DnsName) -> Option<Resolved> {
    let question = |kind| Question { name: name.clone(), kind, block: None };
    let (v4, v6) = (question(Kind::V4), question(Kind::V6));
    let answers = tokio::join!(resolve(servers, &v4), resolve(servers, &v6));
    let mut resolved = Resolved { addresses: Vec::new(), ttl_s: u32::MAX };
    let mut absent_s = u32::MAX;
    for answer in [answers.0, answers.1] {
        let Outcome::Resolved { addresses, ttl_s, .. } = answer else { return None };
        // The absence of one family does not shorten the life of the other.
        let least_s = if addresses.is_empty() { &mut absent_s } else { &mut resolved.ttl_s };
        *least_s = ttl_s.min(*least_s);
        resolved.addresses.extend(addresses);
    }
    if resolved.addresses.is_empty() {
        resolved.ttl_s = absent_s;
    }
    Some(resolved)
}
