//! One object as it came from the server: who it is, which version, and what it means.

use model::document::gateway_object;
use model::gateway::{GatewayObject, ObjectKind};
use model::name::ObjectRef;
use serde_json::Value;

use crate::resource::{api_version, slim};
use crate::status;

/// An object.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Namespace and name.
    pub(crate) object: ObjectRef,
    /// `metadata.resourceVersion`.
    pub(crate) version: u64,
    /// `metadata.generation`, 0 when there is none.
    pub(crate) generation: i64,
    /// Digest of what our controller says in the object's status, without times.
    pub(crate) status: u64,
    /// What it says.
    pub(crate) content: Content,
}

/// What an object says.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// It was read.
    Read {
        /// What it means.
        object: GatewayObject,
        /// What of it is kept on disk, as JSON.
        json: Vec<u8>,
        /// Digest of that, to tell a change of what is read from one of the status or the like.
        digest: u64,
    },
    /// Nothing of it is used (a Secret without certificates), or it was deleted.
    Unused,
    /// It cannot be read.
    Bad {
        /// Why.
        message: String,
        /// `spec.parentRefs`, for the status that says so.
        parents: Vec<Value>,
    },
}

impl Item {
    /// Reads an object; items of lists do not say what they are. `None` when it has no name or no
    /// version, which no server sends.
    pub(crate) fn read(kind: ObjectKind, api: &str, mut object: Value) -> Option<Self> {
        let mut item = Self::identify(&object)?;
        item.status = status::digest_of(&object);
        let fields = object.as_object_mut()?;
        fields.insert("apiVersion".to_owned(), api_version(kind, api).into());
        fields.insert("kind".to_owned(), kind.name().into());
        item.content = slim(kind, object).as_ref().map_or(Content::Unused, Content::read);
        Some(item)
    }

    /// Reads who a deleted object was.
    pub(crate) fn identify(object: &Value) -> Option<Self> {
        let metadata = &object["metadata"];
        Some(Self {
            object: ObjectRef::new(
                metadata["namespace"].as_str().unwrap_or_default(),
                metadata["name"].as_str()?,
            ),
            version: metadata["resourceVersion"].as_str()?.parse().ok()?,
            generation: metadata["generation"].as_i64().unwrap_or_default(),
            status: 0,
            content: Content::Unused,
        })
    }
}

impl Content {
    /// Reads what was kept of an object.
    pub(crate) fn read(slim: &Value) -> Self {
        let json = slim.to_string().into_bytes();
        match gateway_object(slim) {
            Ok(read) => {
                let digest = digest(&json);
                Self::Read { object: read.object, json, digest }
            }
            Err(refused) => {
                let parents = slim["spec"]["parentRefs"].as_array().cloned().unwrap_or_default();
                Self::Bad { message: refused.to_string(), parents }
            }
        }
    }
}

/// 64 bits of a checksum.
pub(crate) fn digest(octets: &[u8]) -> u64 {
    blake3::hash(octets).as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}
