//! Credentials of stores, out of the environment. They are no part of the configuration: nothing shows them, no pod's
//! command line has them.

use super::{ConfigErrors, fault::Fault};
use crate::storage::{
    Credentials, IpfsCredentials, S3Credentials, Secret, Targets,
    secret_keys::{self, Names, WEB_IDENTITY_TOKEN_FILE},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// What both places of results want to know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreCredentials {
    /// For [`Targets::outputs`].
    pub outputs: Credentials,
    /// For [`Targets::adminlogs`].
    pub adminlogs: Credentials,
}

/// The credentials for `targets` that `environment` has, under the names of [`secret_keys`]. An empty variable counts as
/// not set.
///
/// # Errors
/// Everything that is wrong with them; no message says a value. What is missing is for the store to miss.
pub fn credentials(environment: &[(String, String)], targets: &Targets) -> Result<StoreCredentials, ConfigErrors> {
    let mut reader = Reader { environment, faults: Vec::new() };
    let outputs = reader.of(&secret_keys::OUTPUTS);
    let own = reader.of(&secret_keys::ADMINLOGS);
    let shared = targets.adminlogs.as_ref().is_none_or(|own| secret_keys::same_server(&targets.outputs, own));
    let adminlogs = Credentials {
        s3: own.s3.or_else(|| outputs.s3.clone().filter(|_| shared)),
        web_identity_token_file: own.web_identity_token_file,
        ipfs: if own.ipfs == IpfsCredentials::default() && shared { outputs.ipfs.clone() } else { own.ipfs },
    };
    if reader.faults.is_empty() {
        Ok(StoreCredentials { outputs, adminlogs })
    } else {
        Err(ConfigErrors { faults: reader.faults })
    }
}

struct Reader<'a> {
    environment: &'a [(String, String)],
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn of(&mut self, names: &Names) -> Credentials {
        Credentials {
            s3: self.s3(names),
            web_identity_token_file: self.value(WEB_IDENTITY_TOKEN_FILE).map(Into::into),
            ipfs: IpfsCredentials {
                api_key: self.header(names.ipfs_api_key),
                client: self.header(names.ipfs_client),
                authorization: self.authorization(names.ipfs_authorization),
            },
        }
    }

    /// Without the line's end that Secrets made by hand often have.
    fn value(&self, name: &str) -> Option<String> {
        let found = self.environment.iter().rfind(|(given, _)| given == name);
        found.map(|(_, value)| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn fault(&mut self, name: &str, message: &str) {
        let source = format!("environment variable {name}");
        self.faults.push(Fault { key: String::new(), value: None, source, message: message.to_owned() });
    }

    fn s3(&mut self, names: &Names) -> Option<S3Credentials> {
        let session_token = self.header(names.session_token);
        match (self.header(names.access_key_id), self.header(names.secret_access_key)) {
            (Some(id), Some(key)) => {
                Some(S3Credentials { access_key_id: id.expose().to_owned(), secret_access_key: key, session_token })
            }
            (None, None) => None,
            (Some(_), None) => {
                self.fault(names.access_key_id, &format!("is set without {}", names.secret_access_key));
                None
            }
            (None, Some(_)) => {
                self.fault(names.secret_access_key, &format!("is set without {}", names.access_key_id));
                None
            }
        }
    }

    /// Something that will stand in a header.
    fn header(&mut self, name: &str) -> Option<Secret> {
        let value = self.value(name)?;
        if value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
            return Some(Secret::new(value));
        }
        self.fault(name, "holds characters that no header can have; only visible ASCII is expected");
        None
    }

    fn authorization(&mut self, name: &str) -> Option<Secret> {
        let value = self.header(name)?;
        let header = match value.expose().split_once(':') {
            Some(("bearer", token)) if !token.is_empty() => format!("Bearer {token}"),
            Some(("basic", pair)) if pair.contains(':') => format!("Basic {}", BASE64_STANDARD.encode(pair)),
            _ => {
                self.fault(name, "is neither bearer:TOKEN nor basic:USER:PASSWORD");
                return None;
            }
        };
        Some(Secret::new(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Target;

    fn read(adminlogs: Option<&str>, variables: &[(&str, &str)]) -> Result<StoreCredentials, ConfigErrors> {
        let s3 = |text: &str| -> Target { serde_json::from_str(text).unwrap() };
        let targets =
            Targets { outputs: s3(r#"{"kind":"s3","bucket":"out","region":"x"}"#), adminlogs: adminlogs.map(s3) };
        let environment: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        credentials(&environment, &targets)
    }

    const SAME: &str = r#"{"kind":"s3","bucket":"logs","region":"x"}"#;
    const OTHER: &str = r#"{"kind":"s3","bucket":"logs","region":"x","endpoint":"https://other.example"}"#;

    #[test]
    fn credentials_go_to_the_server_that_they_are_for() {
        let pair = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "hush\n"), ("IPFS_API_KEY", "hush")];
        let same = read(Some(SAME), &pair).unwrap();
        assert_eq!(same.outputs.s3.as_ref().unwrap().secret_access_key.expose(), "hush");
        assert_eq!(same.outputs, same.adminlogs);
        let other = read(Some(OTHER), &pair).unwrap();
        assert_eq!((other.outputs, other.adminlogs), (same.outputs, Credentials::default()));
        let own = [("AWS_ACCESS_KEY_ID_ADMINLOGS", "BK"), ("AWS_SECRET_ACCESS_KEY_ADMINLOGS", "own")];
        for place in [SAME, OTHER] {
            let both = read(Some(place), &[&pair[..], &own].concat()).unwrap();
            assert_eq!(both.adminlogs.s3.unwrap().access_key_id, "BK");
        }
    }

    #[test]
    fn both_ways_of_authorization_become_headers() {
        let header = |value| {
            let read = read(None, &[("IPFS_AUTHORIZATION", value)]).unwrap();
            read.outputs.ipfs.authorization.unwrap().expose().to_owned()
        };
        assert_eq!(header("bearer:abc:d"), "Bearer abc:d");
        assert_eq!(header("basic:ann:hush:hush"), "Basic YW5uOmh1c2g6aHVzaA==");
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_never_by_value() {
        for variables in [
            [("AWS_ACCESS_KEY_ID", "s3cret"), ("AWS_SECRET_ACCESS_KEY", " ")],
            [("AWS_SECRET_ACCESS_KEY", "s3cret"), ("x", "")],
            [("IPFS_AUTHORIZATION", "s3cret"), ("x", "")],
            [("IPFS_AUTHORIZATION_ADMINLOGS", "basic:s3cret"), ("x", "")],
            [("IPFS_API_KEY", "s3cret\u{e9}"), ("x", "")],
            [("IPFS_API_CLIENT", "s3cret\r\nX-More: 1"), ("x", "")],
        ] {
            let errors = read(None, &variables).unwrap_err();
            assert_eq!(errors.faults.len(), 1, "{errors}");
            let text = format!("{errors} {errors:?}");
            assert!(text.contains(variables[0].0) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn nothing_shows_them() {
        let pair = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "s3cret")];
        let more = [("IPFS_API_KEY", "s3cret"), ("IPFS_API_CLIENT", "s3cret"), ("IPFS_AUTHORIZATION", "bearer:s3cret")];
        let read = read(Some(SAME), &[&pair[..], &more].concat()).unwrap();
        assert!(!format!("{read:?} {read:#?}").contains("s3cret"));
    }
}
