//! What stores want to know before they let somebody in. It travels beside a [`super::Target`], never in it.

use std::{fmt, path::PathBuf};

/// The credentials of every kind of store; a store takes those of its kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Keys of an S3 store.
    pub s3: Option<S3Credentials>,
    /// The file that holds a web identity token, for a [`super::S3::role_arn`]. It is read whenever a new session begins,
    /// so whoever writes it may renew it.
    pub web_identity_token_file: Option<PathBuf>,
    /// What an IPFS node or cluster wants.
    pub ipfs: IpfsCredentials,
}

/// Keys of an S3 store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// Which key it is; no secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Secret,
    /// Of temporary keys: the session they belong to.
    pub session_token: Option<Secret>,
}

/// What an IPFS node or cluster, or a proxy before it, wants; each may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpfsCredentials {
    /// The header `X-API-KEY`, as the old engine sent it.
    pub api_key: Option<Secret>,
    /// The header `CLIENT-ID`, as the old engine sent it.
    pub client: Option<Secret>,
    /// The whole header `Authorization`: `Bearer …` or `Basic …`.
    pub authorization: Option<Secret>,
}

/// A text that no log, error or debug output shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_has_no_secret() {
        let secret = || Some(Secret::new("hunter2"));
        let credentials = Credentials {
            s3: Some(S3Credentials {
                access_key_id: "AK".into(),
                secret_access_key: Secret::new("hunter2"),
                session_token: secret(),
            }),
            web_identity_token_file: None,
            ipfs: IpfsCredentials { api_key: secret(), client: secret(), authorization: secret() },
        };
        let text = format!("{credentials:?} {credentials:#?}");
        assert!(text.contains("AK") && !text.contains("hunter2"), "{text}");
    }
}
