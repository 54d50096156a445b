//! The bearer token that lets a node talk to the controller. It is never shown, logged or compared
//! in a time that depends on it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Shorter ones can be guessed: 16 characters of hex are 64 bits.
const CHARS_MIN: usize = 16;
/// Longer ones are not tokens.
const CHARS_MAX: usize = 512;

/// A shared secret of a deployment's controller and nodes.
#[derive(Clone)]
pub struct Token(Arc<str>);

/// Why a token was refused. None of these shows it.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token file `{path}`", path = .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// Others than the owner may read it.
    #[error("the token file `{path}` is open to others; help: chmod 600", path = .0.display())]
    Open(PathBuf),
    /// Too short, too long, or not printable ASCII.
    #[error("the token must be {CHARS_MIN} to {CHARS_MAX} printable characters without spaces")]
    Shape,
}

impl Token {
    /// Takes a token's text, without white space around it.
    ///
    /// # Errors
    /// When it is no token.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let fits = (CHARS_MIN..=CHARS_MAX).contains(&text.len());
        if fits && text.bytes().all(|octet| octet.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(TokenError::Shape)
        }
    }

    /// Reads a token from a file that only its owner may read.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or holds no token.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let unreadable = |error| TokenError::Read(path.to_owned(), error);
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(TokenError::Open(path.to_owned()));
        }
        Self::new(&fs::read_to_string(path).map_err(unreadable)?)
    }

    /// As the value of an `Authorization` header.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether an `Authorization` header carries this token. Compares hashes, so that the time tells
    /// nothing (`blake3::Hash` compares in constant time).
    pub(crate) fn matches(&self, header: &[u8]) -> bool {
        blake3::hash(header) == blake3::hash(self.header().as_bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
