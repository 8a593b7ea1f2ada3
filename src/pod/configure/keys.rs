//! The keys that provisioning may use: the operator's, for providers, and the admin's, for his buckets.
//!
//! They come from variables of this process, which the engine sets for workflows that need them and for no others.

use crate::ethereum::{InvalidKey, OperatorKey};
use std::fmt;

/// The operator's private key.
pub const OPERATOR_KEY: &str = "OPERATOR_PRIVATE_KEY";
/// The keys of S3, by the names that everything of Amazon's has for them. The last one may be missing.
pub const S3_KEYS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Keys. They are never shown.
#[derive(Clone, Default)]
pub struct Keys {
    pub(super) operator: Option<Result<OperatorKey, InvalidKey>>,
    pub(super) s3: Option<S3Keys>,
}

/// Keys of S3.
#[derive(Clone)]
pub(super) struct S3Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

impl Keys {
    /// Those among `variables`; empty ones are none.
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let (mut keys, mut found) = (Self::default(), [const { None }; 3]);
        for (name, value) in variables.into_iter().filter(|(_, value)| !value.is_empty()) {
            if name == OPERATOR_KEY {
                keys.operator = Some(value.parse());
            } else if let Some((_, slot)) = S3_KEYS.iter().zip(&mut found).find(|(key, _)| **key == name) {
                *slot = Some(value);
            }
        }
        if let [Some(id), Some(secret), token] = found {
            keys.s3 = Some(S3Keys { id, secret, token });
        }
        keys
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("operator", &self.operator)
            .field("s3", &self.s3.as_ref().map(|_| "(not shown)"))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_no_key_and_no_key_is_shown() {
        let of = |pairs: &[(&str, &str)]| Keys::of(pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())));
        assert!(of(&[("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "")]).s3.is_none());
        let keys = of(&[
            ("AWS_SECRET_ACCESS_KEY", "c4nary"),
            ("AWS_ACCESS_KEY_ID", "c4nary"),
            ("OPERATOR_PRIVATE_KEY", &"c4".repeat(32)),
        ]);
        assert!(keys.s3.as_ref().is_some_and(|keys| keys.token.is_none()));
        assert!(!format!("{keys:?}").contains("c4"), "{keys:?}");
        let wrong = of(&[("OPERATOR_PRIVATE_KEY", "c4nary")]);
        assert!(matches!(wrong.operator, Some(Err(_))) && !format!("{wrong:?}").contains("c4"));
    }
}
