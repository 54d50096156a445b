//! A counter-example: who is answered how, and what should have been said.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first thing that an audit found to be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// The clients, as a prefix.
    pub client: String,
    /// The state of health, as [`super::Trial::name`].
    pub state: String,
    /// What is wrong.
    pub what: What,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {}: {}", self.client, self.state, self.what)
    }
}

/// The ways in which an answer can be wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum What {
    /// The scope takes in clients who should be told otherwise.
    #[error("the scope {scope} holds {other}, who gets something else")]
    TooWide {
        /// As answered.
        scope: String,
        /// One of those.
        other: String,
    },
    /// The scope reaches back over addresses that another scope holds.
    #[error("the scope {scope} overlaps the one before it")]
    Overlaps {
        /// As answered.
        scope: String,
    },
    /// The scope is not the widest that is right.
    #[error("the scope {scope} is not minimal: it could be {right}")]
    NotMinimal {
        /// As answered.
        scope: String,
        /// The widest.
        right: String,
    },
    /// Two clients of one scope are answered differently.
    #[error("{other} of the same scope {scope} is answered differently")]
    Differs {
        /// As answered.
        scope: String,
        /// The second client.
        other: String,
    },
    /// The sites or the reason are wrong.
    #[error("the answer is {told}, it should be {right}")]
    Wrong {
        /// As answered.
        told: String,
        /// As worked out.
        right: String,
    },
    /// The compiled list is wrong, though this answer may be right.
    #[error("the compiled list is {told}, it should be {right}")]
    OtherLeaf {
        /// As compiled.
        told: String,
        /// As worked out.
        right: String,
    },
    /// A source that is too short to say is answered as if it were not.
    #[error("the source {asked} spans several answers and gets the scope {scope}")]
    ShortSource {
        /// As asked.
        asked: String,
        /// As answered.
        scope: String,
    },
}
