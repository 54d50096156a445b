//! Frames on disk and on the wire: magic, format version, length, BLAKE3 of the payload, payload.
//!
//! A reader accepts a frame whole or not at all. A torn or flipped frame is an error, never a
//! shorter value.

use serde::{Serialize, de::DeserializeOwned};

/// First octets of every frame.
pub const MAGIC: [u8; 8] = *b"NRSIDE\r\n";
/// The newest format this build writes, and the only one it reads.
pub const FORMAT: u16 = 4;
/// The largest payload, in octets (1 GiB).
pub const PAYLOAD_OCTETS_MAX: usize = 1 << 30;
const HEAD_OCTETS: usize = 8 + 2 + 8 + 32;

/// Why a frame was refused.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The magic is not ours.
    #[error("this is not a nearside frame")]
    BadMagic,
    /// Written by another format version.
    #[error("format {found} is not supported (this build reads {FORMAT})")]
    BadFormat {
        /// What the frame says.
        found: u16,
    },
    /// Shorter or longer than its header says.
    #[error("the frame is torn: {found} octets where {wanted} were announced")]
    Torn {
        /// Announced.
        wanted: usize,
        /// There.
        found: usize,
    },
    /// The hash does not match.
    #[error("the frame is damaged: its checksum does not match")]
    Damaged,
    /// The payload does not decode.
    #[error("cannot decode the payload")]
    Payload(#[source] postcard::Error),
    /// The payload is larger than [`PAYLOAD_OCTETS_MAX`].
    #[error("the payload is larger than 1 GiB")]
    TooLarge,
}

/// Encodes a value as one frame.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let head = vec![0; HEAD_OCTETS];
    let mut frame = postcard::to_extend(value, head).map_err(CodecError::Payload)?;
    let (head, payload) = frame.split_at_mut(HEAD_OCTETS);
    if payload.len() > PAYLOAD_OCTETS_MAX {
        return Err(CodecError::TooLarge);
    }
    head[..8].copy_from_slice(&MAGIC);
    head[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    head[10..18].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    head[18..].copy_from_slice(blake3::hash(payload).as_bytes());
    Ok(frame)
}

/// Decodes one whole frame.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, CodecError> {
    let Some((head, payload)) = frame.split_at_checked(HEAD_OCTETS) else {
        return Err(if frame.starts_with(&MAGIC) || MAGIC.starts_with(frame) {
            CodecError::Torn { wanted: HEAD_OCTETS, found: frame.len() }
        } else {
            CodecError::BadMagic
        });
    };
    if head[..8] != MAGIC {
        return Err(CodecError::BadMagic);
    }
    let format = u16::from_le_bytes([head[8], head[9]]);
    if format != FORMAT {
        return Err(CodecError::BadFormat { found: format });
    }
    let mut length = [0; 8];
    length.copy_from_slice(&head[10..18]);
    let wanted = usize::try_from(u64::from_le_bytes(length)).map_err(|_| CodecError::TooLarge)?;
    if wanted > PAYLOAD_OCTETS_MAX {
        return Err(CodecError::TooLarge);
    }
    if payload.len() != wanted {
        return Err(CodecError::Torn { wanted, found: payload.len() });
    }
    if blake3::hash(payload).as_bytes() != &head[18..] {
        return Err(CodecError::Damaged);
    }
    postcard::from_bytes(payload).map_err(CodecError::Payload)
}

#[cfg(test)]
mod tests;
