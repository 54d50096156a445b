//! What is published: policy, map and health, each with its generation and its frame.
//!
//! A frame (model::codec) is the same octets on the wire and on disk. A map and a health belong to
//! exactly one policy, because their ids index it. Invariant: the three parts of a publication name
//! the same policy generation.

use std::sync::Arc;

use axum::body::Bytes;
use model::Policy;
use model::codec::{self, CodecError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use steering::{Generation, Health, Snapshot, SteeringMap};

/// A channel of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Channel {
    /// Documents.
    Policy,
    /// The compiled map.
    Map,
    /// Verdicts, readiness and drains.
    Health,
}

impl Channel {
    /// In the order in which they depend on each other.
    pub const ALL: [Self; 3] = [Self::Policy, Self::Map, Self::Health];

    /// Its place in arrays by channel.
    pub fn index(self) -> usize {
        match self {
            Self::Policy => 0,
            Self::Map => 1,
            Self::Health => 2,
        }
    }

    /// As in file names and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Map => "map",
            Self::Health => "health",
        }
    }
}

/// The generations a node has; all zero before its first snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Of the policy.
    pub policy: Generation,
    /// Of the map.
    pub map: Generation,
    /// Of health.
    pub health: Generation,
}

impl Have {
    /// What a snapshot holds.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            policy: snapshot.policy_generation,
            map: snapshot.map_generation,
            health: snapshot.health_generation,
        }
    }

    /// Whether every channel is at least as new as in `other`.
    pub fn reaches(&self, other: &Self) -> bool {
        self.policy >= other.policy && self.map >= other.map && self.health >= other.health
    }
}

/// One channel's content with its frame.
#[derive(Debug, Clone)]
pub struct Part<T> {
    /// Its generation.
    pub generation: Generation,
    /// The policy whose ids it uses (its own generation for a policy).
    pub policy_generation: Generation,
    /// The content.
    pub value: Arc<T>,
    /// The content as it travels and lies on disk.
    pub frame: Bytes,
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    channel: Channel,
    generation: Generation,
    policy_generation: Generation,
    value: Arc<T>,
}

/// Why a frame is not the part it should be.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// Torn, damaged or of another format.
    #[error("cannot read the {channel} frame", channel = .0.as_str())]
    Frame(Channel, #[source] CodecError),
    /// A sound frame of another channel.
    #[error("the frame is of the {found} channel where {wanted} was expected",
        found = .found.as_str(), wanted = .wanted.as_str())]
    Channel {
        /// Expected.
        wanted: Channel,
        /// There.
        found: Channel,
    },
}

/// What a channel carries.
pub trait Content: Serialize + DeserializeOwned {
    /// Its channel.
    const CHANNEL: Channel;
}

impl Content for Policy {
    const CHANNEL: Channel = Channel::Policy;
}
impl Content for SteeringMap {
    const CHANNEL: Channel = Channel::Map;
}
impl Content for Health {
    const CHANNEL: Channel = Channel::Health;
}

impl<T: Content> Part<T> {
    /// Encodes a content.
    ///
    /// # Errors
    /// When it is larger than a frame may be.
    pub fn encode(
        generation: Generation,
        policy_generation: Generation,
        value: Arc<T>,
    ) -> Result<Self, PartError> {
        let envelope = Envelope { channel: T::CHANNEL, generation, policy_generation, value };
        let frame =
            codec::encode(&envelope).map_err(|error| PartError::Frame(T::CHANNEL, error))?;
        Ok(Self { generation, policy_generation, value: envelope.value, frame: frame.into() })
    }

    /// Decodes a frame, whole or not at all.
    ///
    /// # Errors
    /// When the frame is not sound or of another channel.
    pub fn decode(frame: Bytes) -> Result<Self, PartError> {
        let unreadable = |error| PartError::Frame(T::CHANNEL, error);
        let envelope: Envelope<T> = codec::decode(&frame).map_err(unreadable)?;
        let Envelope { channel, generation, policy_generation, value } = envelope;
        if channel != T::CHANNEL {
            return Err(PartError::Channel { wanted: T::CHANNEL, found: channel });
        }
        Ok(Self { generation, policy_generation, value, frame })
    }
}

/// Everything that is published now.
#[derive(Debug, Clone)]
pub struct Publication {
    /// The documents.
    pub policy: Part<Policy>,
    /// The map made for them.
    pub map: Part<SteeringMap>,
    /// Health by their ids.
    pub health: Part<Health>,
}

impl Publication {
    /// Its generations.
    pub fn have(&self) -> Have {
        Have {
            policy: self.policy.generation,
            map: self.map.generation,
            health: self.health.generation,
        }
    }

    /// As the data planes read it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            policy_generation: self.policy.generation,
            map_generation: self.map.generation,
            health_generation: self.health.generation,
            policy: Arc::clone(&self.policy.value),
            map: Arc::clone(&self.map.value),
            health: Arc::clone(&self.health.value),
        }
    }

    /// Whether the parts belong together; says what does not.
    ///
    /// # Errors
    /// The first mismatch.
    pub fn verify(&self) -> Result<(), Mismatch> {
        let wanted = self.policy.generation;
        for (channel, found) in [
            (Channel::Policy, self.policy.policy_generation),
            (Channel::Map, self.map.policy_generation),
            (Channel::Health, self.health.policy_generation),
        ] {
            if found != wanted {
                return Err(Mismatch::Policy { channel, wanted, found });
            }
        }
        let policy = &self.policy.value;
        let (services, sites) = (policy.services.len(), policy.sites.len());
        let health = &self.health.value;
        let fits = |list: usize| list == 0 || list == sites;
        let map_fits = self.map.value.of_service.len() == services
            && self.map.value.policy_generation == wanted.counter;
        let health_fits = fits(health.drained.len())
            && fits(health.sites.len())
            && health.services.iter().all(|by_site| fits(by_site.len()))
            && health.readiness.iter().all(|by_site| fits(by_site.len()));
        match (map_fits, health_fits) {
            (false, _) => Err(Mismatch::Shape(Channel::Map)),
            (_, false) => Err(Mismatch::Shape(Channel::Health)),
            (true, true) => Ok(()),
        }
    }

    /// What a node with `have` is missing; `None` when it has everything.
    pub fn offer(&self, have: &Have) -> Option<Offer> {
        let policy = self.policy.generation > have.policy;
        // A new policy renumbers the sites: what belongs to it comes along.
        let map = policy || self.map.generation > have.map;
        let health = policy || self.health.generation > have.health;
        (policy || map || health).then(|| Offer {
            policy: policy.then(|| self.policy.clone()),
            map: map.then(|| self.map.clone()),
            health: health.then(|| self.health.clone()),
        })
    }

    /// This publication with the parts of an offer put in.
    #[must_use]
    pub fn with(&self, offer: Offer) -> Self {
        let Offer { policy, map, health } = offer;
        Self {
            policy: policy.unwrap_or_else(|| self.policy.clone()),
            map: map.unwrap_or_else(|| self.map.clone()),
            health: health.unwrap_or_else(|| self.health.clone()),
        }
    }
}

/// Parts that do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Made for another policy.
    #[error("the {channel} was made for policy {found:?}, not {wanted:?}", channel = .channel.as_str())]
    Policy {
        /// Which part.
        channel: Channel,
        /// The policy that is there.
        wanted: Generation,
        /// The policy it names.
        found: Generation,
    },
    /// As many entries as the policy has sites and services were expected.
    #[error("the {channel} does not cover the policy's sites and services", channel = .0.as_str())]
    Shape(Channel),
}

/// The channels that are newer than what a node has.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// The documents.
    pub policy: Option<Part<Policy>>,
    /// The map.
    pub map: Option<Part<SteeringMap>>,
    /// Health.
    pub health: Option<Part<Health>>,
}

impl Offer {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.policy.is_none() && self.map.is_none() && self.health.is_none()
    }
}

#[cfg(test)]
mod tests;
