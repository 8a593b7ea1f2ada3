//! The names under which credentials travel: the keys of the Secret that publish pods take them from, and the variables
//! that those pods and the engine find them in.
//!
//! They are the old engine's, and for what it could not do, in its manner. Admin logs in a store of their own may have
//! credentials of their own; where they lie on the outputs' server and have none, they share the outputs'.

use super::{S3, Target, Targets};

/// The names of one place's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// Of S3: which key.
    pub access_key_id: &'static str,
    /// Of S3: the key.
    pub secret_access_key: &'static str,
    /// Of S3: the session, for temporary keys.
    pub session_token: &'static str,
    /// Of IPFS: the header `X-API-KEY`.
    pub ipfs_api_key: &'static str,
    /// Of IPFS: the header `CLIENT-ID`.
    pub ipfs_client: &'static str,
    /// Of IPFS: `bearer:TOKEN` or `basic:USER:PASSWORD`.
    pub ipfs_authorization: &'static str,
}

/// For outputs, and all that goes with them.
pub const OUTPUTS: Names = Names {
    access_key_id: "AWS_ACCESS_KEY_ID",
    secret_access_key: "AWS_SECRET_ACCESS_KEY",
    session_token: "AWS_SESSION_TOKEN",
    ipfs_api_key: "IPFS_API_KEY",
    ipfs_client: "IPFS_API_CLIENT",
    ipfs_authorization: "IPFS_AUTHORIZATION",
};

/// For admin logs in a store of their own.
pub const ADMINLOGS: Names = Names {
    access_key_id: "AWS_ACCESS_KEY_ID_ADMINLOGS",
    secret_access_key: "AWS_SECRET_ACCESS_KEY_ADMINLOGS",
    session_token: "AWS_SESSION_TOKEN_ADMINLOGS",
    ipfs_api_key: "IPFS_API_KEY_ADMINLOGS",
    ipfs_client: "IPFS_API_CLIENT_ADMINLOGS",
    ipfs_authorization: "IPFS_AUTHORIZATION_ADMINLOGS",
};

/// The operator's key, which manifests are signed with.
pub const OPERATOR_KEY: &str = "OPERATOR_PRIVATE_KEY";

/// The variable that names a file with a web identity token. It is no secret, and the file's content is no variable.
pub const WEB_IDENTITY_TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";

/// A key of the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretKey {
    /// Its name, and the variable's.
    pub name: &'static str,
    /// Whether publishing cannot do without it. A pod does not start while it is missing, and says which one it is.
    pub required: bool,
}

/// What a publish pod that stores into `targets` takes from the Secret, and nothing else.
pub fn secret_keys(targets: &Targets) -> Vec<SecretKey> {
    let mut keys = vec![SecretKey { name: OPERATOR_KEY, required: false }];
    add(&targets.outputs, &OUTPUTS, true, &mut keys);
    if let Some(adminlogs) = &targets.adminlogs {
        add(adminlogs, &ADMINLOGS, !same_server(&targets.outputs, adminlogs), &mut keys);
    }
    keys
}

fn add(target: &Target, names: &Names, alone: bool, keys: &mut Vec<SecretKey>) {
    let mut key = |name, required| keys.push(SecretKey { name, required });
    match target {
        Target::Directory { .. } => {}
        // The role takes the keys' place.
        Target::S3(S3 { role_arn: Some(_), .. }) => {}
        Target::S3(_) => {
            key(names.access_key_id, alone);
            key(names.secret_access_key, alone);
            key(names.session_token, false);
        }
        Target::Ipfs(_) | Target::IpfsCluster(_) => {
            key(names.ipfs_api_key, false);
            key(names.ipfs_client, false);
            key(names.ipfs_authorization, false);
        }
    }
}

/// Whether two places are on one server, so that credentials for one may be sent to the other.
pub fn same_server(a: &Target, b: &Target) -> bool {
    match (a, b) {
        (Target::Directory { .. }, Target::Directory { .. }) => true,
        (Target::S3(a), Target::S3(b)) => a.endpoint == b.endpoint,
        (Target::Ipfs(a), Target::Ipfs(b)) => a.api == b.api,
        (Target::IpfsCluster(a), Target::IpfsCluster(b)) => (&a.api, &a.node) == (&b.api, &b.node),
        _ => false,
    }
}

/// Whether a publish pod needs a web identity token.
pub fn needs_web_identity(targets: &Targets) -> bool {
    let with_role = |target: &Target| matches!(target, Target::S3(S3 { role_arn: Some(_), .. }));
    with_role(&targets.outputs) || targets.adminlogs.as_ref().is_some_and(with_role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(json: &str) -> Target {
        serde_json::from_str(json).unwrap()
    }

    fn names(outputs: &Target, adminlogs: Option<&Target>) -> (Vec<&'static str>, Vec<&'static str>) {
        let targets = Targets { outputs: outputs.clone(), adminlogs: adminlogs.cloned() };
        let (required, optional): (Vec<_>, Vec<_>) = secret_keys(&targets).into_iter().partition(|key| key.required);
        let names = |keys: Vec<SecretKey>| keys.into_iter().map(|key| key.name).collect();
        (names(required), names(optional))
    }

    #[test]
    fn a_pod_gets_the_credentials_of_its_stores_and_no_others() {
        let directory = target(r#"{"kind":"directory","path":"/r"}"#);
        let s3 = target(r#"{"kind":"s3","bucket":"out","region":"x"}"#);
        let logs = target(r#"{"kind":"s3","bucket":"logs","region":"x"}"#);
        let elsewhere = target(r#"{"kind":"s3","bucket":"logs","region":"x","endpoint":"https://minio"}"#);
        let role = target(r#"{"kind":"s3","bucket":"out","region":"x","roleArn":"arn:aws:iam::1:role/x"}"#);
        let ipfs = target(r#"{"kind":"ipfs","api":"http://k","folder":"/x","urlPrefix":"ipfs://"}"#);
        let ipfs_names = vec![OPERATOR_KEY, "IPFS_API_KEY", "IPFS_API_CLIENT", "IPFS_AUTHORIZATION"];
        let pair = vec!["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
        let own_pair = vec!["AWS_ACCESS_KEY_ID_ADMINLOGS", "AWS_SECRET_ACCESS_KEY_ADMINLOGS"];
        assert_eq!(names(&directory, Some(&directory)), (vec![], vec![OPERATOR_KEY]));
        assert_eq!(names(&role, None), (vec![], vec![OPERATOR_KEY]));
        assert_eq!(names(&ipfs, None), (vec![], ipfs_names));
        assert_eq!(names(&s3, None), (pair.clone(), vec![OPERATOR_KEY, "AWS_SESSION_TOKEN"]));
        let (required, optional) = names(&s3, Some(&logs));
        assert!(required == pair && own_pair.iter().all(|name| optional.contains(name)), "they share the pair");
        assert_eq!(names(&s3, Some(&elsewhere)).0, [pair, own_pair.clone()].concat());
        assert_eq!(names(&ipfs, Some(&logs)).0, own_pair);
    }
}
