//! Credentials of stores, out of the environment. They are no part of the configuration: nothing shows them, no pod's
//! command line has them.

use super::{ConfigErrors, fault::Fault};
use crate::storage::{
    Credentials, IpfsCredentials, S3Credentials, Secret, Target, Targets,
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
    let outputs = reader.of(&targets.outputs, &secret_keys::OUTPUTS);
    let adminlogs = targets.adminlogs.as_ref().map_or_else(Credentials::default, |target| {
        let own = reader.of(target, &secret_keys::ADMINLOGS);
        let shared = secret_keys::same_server(&targets.outputs, target);
        let has_own = own.s3.is_some() || own.ipfs != IpfsCredentials::default();
        if shared && !has_own { outputs.clone() } else { own }
    });
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
    /// Those that a store of this kind takes; others are not looked at.
    fn of(&mut self, target: &Target, names: &Names) -> Credentials {
        match target {
            Target::Directory { .. } => Credentials::default(),
            Target::S3(_) => Credentials {
                s3: self.s3(names),
                web_identity_token_file: self.value(WEB_IDENTITY_TOKEN_FILE).map(Into::into),
                ..Credentials::default()
            },
            Target::Ipfs(_) | Target::IpfsCluster(_) => Credentials {
                ipfs: IpfsCredentials {
                    api_key: self.header(names.ipfs_api_key),
                    client: self.header(names.ipfs_client),
                    authorization: self.authorization(names.ipfs_authorization),
                },
                ..Credentials::default()
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

    const S3: &str = r#"{"kind":"s3","bucket":"out","region":"x"}"#;
    const SAME: &str = r#"{"kind":"s3","bucket":"logs","region":"x"}"#;
    const OTHER: &str = r#"{"kind":"s3","bucket":"logs","region":"x","endpoint":"https://other.example"}"#;
    const IPFS: &str = r#"{"kind":"ipfs","api":"http://k","folder":"/x","urlPrefix":"ipfs://"}"#;

    fn read(
        outputs: &str,
        adminlogs: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<StoreCredentials, ConfigErrors> {
        let target = |text: &str| -> Target { serde_json::from_str(text).unwrap() };
        let targets = Targets { outputs: target(outputs), adminlogs: adminlogs.map(target) };
        let environment: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        credentials(&environment, &targets)
    }

    #[test]
    fn credentials_go_to_the_server_that_they_are_for() {
        let pair = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "hush\n"), ("IPFS_API_KEY", "hush")];
        let same = read(S3, Some(SAME), &pair).unwrap();
        assert_eq!(same.outputs.s3.as_ref().unwrap().secret_access_key.expose(), "hush");
        assert_eq!(same.outputs, same.adminlogs);
        for elsewhere in [OTHER, IPFS] {
            let other = read(S3, Some(elsewhere), &pair).unwrap();
            assert_eq!(other.outputs, same.outputs);
            assert_eq!(other.adminlogs, Credentials::default(), "{elsewhere}");
        }
        let own = [("AWS_ACCESS_KEY_ID_ADMINLOGS", "BK"), ("AWS_SECRET_ACCESS_KEY_ADMINLOGS", "own")];
        for place in [SAME, OTHER] {
            let both = read(S3, Some(place), &[&pair[..], &own].concat()).unwrap();
            assert_eq!(both.adminlogs.s3.unwrap().access_key_id, "BK");
        }
        let odd = [("AWS_SECRET_ACCESS_KEY", "of another program")];
        assert_eq!(read(IPFS, None, &odd).unwrap(), StoreCredentials::default(), "not this store's, not looked at");
    }

    #[test]
    fn both_ways_of_authorization_become_headers() {
        let header = |value| {
            let read = read(IPFS, None, &[("IPFS_AUTHORIZATION", value)]).unwrap();
            read.outputs.ipfs.authorization.unwrap().expose().to_owned()
        };
        assert_eq!(header("bearer:abc:d"), "Bearer abc:d");
        assert_eq!(header("basic:ann:hush:hush"), "Basic YW5uOmh1c2g6aHVzaA==");
    }

    #[test]
    fn what_is_wrong_is_told_by_name_and_never_by_value() {
        for (outputs, name, value) in [
            (S3, "AWS_ACCESS_KEY_ID", "s3cret"),
            (S3, "AWS_SECRET_ACCESS_KEY", "s3cret"),
            (IPFS, "IPFS_AUTHORIZATION", "s3cret"),
            (IPFS, "IPFS_AUTHORIZATION", "basic:s3cret"),
            (IPFS, "IPFS_AUTHORIZATION", "bearer:"),
            (IPFS, "IPFS_API_KEY", "s3cret\u{e9}"),
            (IPFS, "IPFS_API_CLIENT", "s3cret\r\nX-More: 1"),
        ] {
            let errors = read(outputs, None, &[(name, value)]).unwrap_err();
            assert_eq!(errors.faults.len(), 1, "{errors}");
            let text = format!("{errors} {errors:?}");
            assert!(text.contains(name) && !text.contains("s3cret"), "{text}");
        }
    }

    #[test]
    fn nothing_shows_them() {
        let pair = [("AWS_ACCESS_KEY_ID", "AK"), ("AWS_SECRET_ACCESS_KEY", "s3cret"), ("AWS_SESSION_TOKEN", "s3cret")];
        let more = [
            ("IPFS_API_KEY_ADMINLOGS", "s3cret"),
            ("IPFS_API_CLIENT_ADMINLOGS", "s3cret"),
            ("IPFS_AUTHORIZATION_ADMINLOGS", "bearer:s3cret"),
        ];
        let read = read(S3, Some(IPFS), &[&pair[..], &more].concat()).unwrap();
        assert!(read.outputs.s3.is_some() && read.adminlogs.ipfs.authorization.is_some());
        assert!(!format!("{read:?} {read:#?}").contains("s3cret"));
    }
}
