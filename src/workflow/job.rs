//! The job id: the name of a workflow's ConfigMap, and the stem of every other name.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names a workflow, its pods (`<job id>-<component>-<attempt>`), its volume (`<job id>-data`) and its results.
///
/// It is a Kubernetes DNS-1123 subdomain of at most [`JobId::MAX_LEN`] characters, so it is a valid label value and a
/// safe path component as it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// 63 characters of a label value, less the room that a suffix such as `-configure` needs where a name of ours
    /// must itself be a label value.
    pub const MAX_LEN: usize = 52;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is no job id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJobId {
    /// Empty, or longer than [`JobId::MAX_LEN`].
    #[error("a job id has 1 to {max} characters, this one has {len}", max = JobId::MAX_LEN)]
    Length {
        /// Characters found.
        len: usize,
    },
    /// A character outside the DNS-1123 subdomain alphabet, or a separator where none may stand.
    #[error(
        "a job id consists of lower-case letters, digits, '-' and '.', each part beginning and ending with a letter or digit"
    )]
    Alphabet,
}

impl FromStr for JobId {
    type Err = InvalidJobId;

    fn from_str(text: &str) -> Result<Self, InvalidJobId> {
        let len = text.chars().count();
        if len == 0 || len > Self::MAX_LEN {
            return Err(InvalidJobId::Length { len });
        }
        let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let part_is_valid = |part: &str| {
            part.starts_with(alphanumeric)
                && part.ends_with(alphanumeric)
                && part.chars().all(|c| alphanumeric(c) || c == '-')
        };
        if text.split('.').all(part_is_valid) { Ok(Self(text.to_owned())) } else { Err(InvalidJobId::Alphabet) }
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidJobId;

    fn try_from(text: String) -> Result<Self, InvalidJobId> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> String {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_of_old_clients_and_of_people_are_accepted() {
        for id in ["fedcba9876543210fedcba9876543210", "wf-1", "a.b-c.d", "0"] {
            assert_eq!(id.parse::<JobId>().unwrap().as_str(), id);
        }
    }

    #[test]
    fn what_could_escape_a_path_or_a_label_is_refused() {
        for id in ["", "..", "a..b", "-a", "a-", "a/b", "A", "ä", "a b", "a.-b", &"x".repeat(53)] {
            assert!(id.parse::<JobId>().is_err(), "{id}");
        }
    }
}
