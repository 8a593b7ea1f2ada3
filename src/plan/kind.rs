//! What a workflow is registered as: a ConfigMap, or a Secret where the admin has turned that on.
//!
//! All of the engine calls a workflow by one text: a ConfigMap's is its name, a Secret's is `secret/` and its name, which no
//! ConfigMap can have. So two of one name are never taken for each other; only their job id, and all that is named after it, is
//! the same. Which of the two is the job is [`super::namesake`]'s.

use crate::workflow::{JobId, job::InvalidJobId};

/// What a workflow is registered as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A ConfigMap.
    #[default]
    ConfigMap,
    /// A Secret: its document carries tokens.
    Secret,
}

/// What the name of a Secret begins with.
const SECRET: &str = "secret/";

impl Kind {
    /// That of the workflow called `name`.
    pub fn of(name: &str) -> Self {
        split(name).0
    }

    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// What a workflow is called whose object of this kind is called `object`.
    pub fn call(self, object: &str) -> String {
        match self {
            Self::ConfigMap => object.to_owned(),
            Self::Secret => format!("{SECRET}{object}"),
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::ConfigMap => Self::Secret,
            Self::Secret => Self::ConfigMap,
        }
    }
}

/// Kind and name of the object that is the workflow called `name`.
pub fn split(name: &str) -> (Kind, &str) {
    name.strip_prefix(SECRET).map_or((Kind::ConfigMap, name), |object| (Kind::Secret, object))
}

/// The job id of the workflow called `name`.
///
/// # Errors
///
/// People call their objects what they like.
pub fn job(name: &str) -> Result<JobId, InvalidJobId> {
    split(name).1.parse()
}

/// What a workflow of the other kind and the same job id is called.
pub fn namesake(name: &str) -> String {
    let (kind, object) = split(name);
    kind.other().call(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_and_a_config_map_of_one_name_are_one_job_and_two_workflows() {
        assert_eq!((split("wf"), split("secret/wf")), ((Kind::ConfigMap, "wf"), (Kind::Secret, "wf")));
        assert_eq!(job("wf").unwrap(), job("secret/wf").unwrap());
        assert_eq!((namesake("wf").as_str(), namesake("secret/wf").as_str()), ("secret/wf", "wf"));
        for kind in [Kind::ConfigMap, Kind::Secret] {
            assert_eq!(split(&kind.call("secret")), (kind, "secret"));
        }
    }

    #[test]
    fn no_config_map_is_called_like_a_secret() {
        assert!("secret/wf".parse::<JobId>().is_err());
        assert!(job("secret/secret/wf").is_err() && job("secret/").is_err());
    }
}
