//! The keys that provisioning may use: the operator's, for providers, and the admin's, for his buckets.
//!
//! They come from variables of this process, which the engine sets for workflows that need them and for no others.

use crate::{
    ethereum::{InvalidKey, OperatorKey},
    storage::{
        S3Credentials, Secret,
        secret_keys::{OPERATOR_KEY, OUTPUTS},
    },
};

/// Keys. They are never shown.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    pub(super) operator: Option<Result<OperatorKey, InvalidKey>>,
    pub(super) s3: Option<S3Credentials>,
}

impl Keys {
    /// The variables that have the operator's key.
    pub const OPERATOR: [&str; 1] = [OPERATOR_KEY];
    /// The variables that have the keys of buckets.
    pub const S3: [&str; 3] = [OUTPUTS.access_key_id, OUTPUTS.secret_access_key, OUTPUTS.session_token];

    /// Those among `variables`; what is empty or half is none.
    pub fn of(variables: &[(String, String)]) -> Self {
        // Secrets made by hand often end in a line's end.
        let value = |name: &str| {
            let found = variables.iter().rfind(|(given, _)| given == name);
            found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let s3 = value(OUTPUTS.access_key_id).zip(value(OUTPUTS.secret_access_key));
        Self {
            operator: value(OPERATOR_KEY).map(|key| key.parse()),
            s3: s3.map(|(access_key_id, key)| S3Credentials {
                access_key_id,
                secret_access_key: Secret::new(key),
                session_token: value(OUTPUTS.session_token).map(Secret::new),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Keys {
        Keys::of(&pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>())
    }

    #[test]
    fn half_a_pair_is_no_key_and_no_key_is_shown() {
        assert!(of(&[("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", " ")]).s3.is_none());
        let key = format!("0x{}\n", "c4".repeat(32));
        let keys = of(&[
            ("AWS_SECRET_ACCESS_KEY", "c4nary\n"),
            ("AWS_ACCESS_KEY_ID", "AK"),
            ("OPERATOR_PRIVATE_KEY", &key),
            ("AWS_SESSION_TOKEN", ""),
        ]);
        let s3 = keys.s3.as_ref().unwrap();
        assert!(s3.session_token.is_none() && s3.secret_access_key.expose() == "c4nary");
        assert!(matches!(keys.operator, Some(Ok(_))) && !format!("{keys:?}").contains("c4"), "{keys:?}");
        let wrong = of(&[("OPERATOR_PRIVATE_KEY", "c4nary")]);
        assert!(matches!(wrong.operator, Some(Err(_))) && !format!("{wrong:?}").contains("c4"));
    }
}
