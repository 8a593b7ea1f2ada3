//! Asset ids: the DIDs of data sets and algorithms, as path components.

use std::{fmt, str::FromStr};

/// The id of a data set or algorithm without its `did:op:` prefix. Safe as one path component: it matches
/// `[A-Za-z0-9._-]{1,64}` and is neither `.` nor `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(String);

impl AssetId {
    /// What Ocean's DIDs begin with; the old engine removed it before it named folders and `DIDS`.
    pub const PREFIX: &str = "did:op:";
    /// The longest id, in characters. Ocean's own have 64 (a SHA-256 in hex).
    pub const MAX_LEN: usize = 64;

    /// The id without its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no asset id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an id is 1 to {max} characters of A-Z a-z 0-9 . _ - after an optional 'did:op:', and not '.' or '..'", max = AssetId::MAX_LEN)]
pub struct InvalidAssetId;

impl FromStr for AssetId {
    type Err = InvalidAssetId;

    fn from_str(text: &str) -> Result<Self, InvalidAssetId> {
        let id = text.strip_prefix(Self::PREFIX).unwrap_or(text);
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let sized = (1..=Self::MAX_LEN).contains(&id.len());
        if sized && id != "." && id != ".." && id.bytes().all(allowed) {
            Ok(Self(id.to_owned()))
        } else {
            Err(InvalidAssetId)
        }
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_removed_once() {
        assert_eq!("did:op:aa".parse::<AssetId>().unwrap().as_str(), "aa");
        assert!("did:op:did:op:aa".parse::<AssetId>().is_err());
    }

    #[test]
    fn nothing_that_leaves_its_folder_is_an_id() {
        for id in ["", "did:op:", ".", "..", "did:op:..", "a/b", "../x", "a\0", "é", &"x".repeat(65)] {
            assert!(id.parse::<AssetId>().is_err(), "{id:?}");
        }
    }
}
