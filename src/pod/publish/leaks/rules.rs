//! The rules, as the admin sets them and as the publish stage is told them.

use super::super::walk::Found;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// What may not leave. Absent members have their defaults; unknown members are an error, because a mistyped rule would be no
/// rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LeakRules {
    /// The most bytes of outputs and logs; none: no bound.
    pub max_bytes: Option<u64>,
    /// The most files in them; none: no bound.
    pub max_files: Option<u64>,
    /// What they may be; empty: anything.
    pub allowed_types: Vec<TypeRule>,
    /// Whether copies of inputs are looked for.
    pub refuse_copies: bool,
    /// Inputs of fewer bytes are looked for as whole files only.
    pub shortest_copy: u64,
    /// How long the search for copies may take, in milliseconds.
    pub max_time_ms: u64,
}

impl Default for LeakRules {
    /// No rule; the numbers are those of `config/default.toml`, and a test holds them equal.
    fn default() -> Self {
        Self {
            max_bytes: None,
            max_files: None,
            allowed_types: Vec::new(),
            refuse_copies: false,
            shortest_copy: 1 << 10,
            max_time_ms: 3_600_000,
        }
    }
}

impl LeakRules {
    /// Whether there is anything to check.
    pub fn any(&self) -> bool {
        let Self { max_bytes, max_files, allowed_types, refuse_copies, .. } = self;
        max_bytes.is_some() || max_files.is_some() || !allowed_types.is_empty() || *refuse_copies
    }

    pub(super) fn allows(&self, found: &Found) -> bool {
        self.allowed_types.is_empty() || self.allowed_types.iter().any(|rule| rule.allows(found))
    }
}

/// What a file may be, by its name: `.csv`, `text/csv` or `image/*`. The content is not looked at: whatever it begins with,
/// anything can follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypeRule(String);

/// A text that is no [`TypeRule`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a type of files: write an ending (.csv), a content type (text/csv) or a family of these (image/*)")]
pub struct InvalidTypeRule;

impl TypeRule {
    fn allows(&self, found: &Found) -> bool {
        let Self(rule) = self;
        if rule.starts_with('.') {
            let name = found.relative.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
            return name.len() > rule.len() && name.ends_with(rule);
        }
        let content_type = found.content_type();
        match rule.strip_suffix('*') {
            Some(family) => content_type.starts_with(family),
            None => content_type == *rule,
        }
    }
}

impl FromStr for TypeRule {
    type Err = InvalidTypeRule;

    fn from_str(text: &str) -> Result<Self, InvalidTypeRule> {
        let text = text.to_ascii_lowercase();
        let good = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+'))
        };
        let right = match (text.strip_prefix('.'), text.split_once('/')) {
            (Some(ending), _) => good(ending),
            (None, Some((family, kind))) => good(family) && (kind == "*" || good(kind)),
            (None, None) => false,
        };
        if right { Ok(Self(text)) } else { Err(InvalidTypeRule) }
    }
}

impl TryFrom<String> for TypeRule {
    type Error = InvalidTypeRule;

    fn try_from(text: String) -> Result<Self, InvalidTypeRule> {
        text.parse()
    }
}

impl From<TypeRule> for String {
    fn from(TypeRule(text): TypeRule) -> Self {
        text
    }
}

impl fmt::Display for TypeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
