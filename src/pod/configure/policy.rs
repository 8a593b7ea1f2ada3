//! What a fetch may cost and where it may go: the admin's limits, handed to the stage as one JSON argument.

use super::network::Network;
use serde::{Deserialize, Serialize};
use std::{str::FromStr, time::Duration};

/// The limits of provisioning one workflow. Absent members have their defaults; unknown members are an error, because a
/// mistyped limit would be no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FetchPolicy {
    /// The most bytes of one file.
    pub max_file_bytes: u64,
    /// The most bytes of all files and DDOs together.
    pub max_total_bytes: u64,
    /// The most files of all inputs and the algorithm together.
    pub max_files: u64,
    /// The longest that name resolution, TCP and TLS may take together, in milliseconds.
    pub connect_ms: u64,
    /// The longest silence of a server, before and within its answer, in milliseconds.
    pub read_ms: u64,
    /// The longest that everything may take, in milliseconds. Below the pod's own deadline, so that the stage can still
    /// say what was slow.
    pub total_ms: u64,
    /// How often one file is tried again, without progress in between.
    pub retries: u32,
    /// The wait before the first retry, in milliseconds; it doubles with each.
    pub backoff_first_ms: u64,
    /// The longest wait before a retry, in milliseconds, also where a server asks for more (`Retry-After`).
    pub backoff_max_ms: u64,
    /// Networks that may be fetched from although they are not public.
    pub allow_networks: Vec<Network>,
    /// Networks that may not be fetched from although they are public: the cluster's own ranges, where those are not
    /// private ones. Wins over `allow_networks`.
    pub deny_networks: Vec<Network>,
    /// The most redirects of one request.
    pub max_redirects: u32,
    /// Gateways for `ipfs:`, in the order in which they are tried. No credentials, query or fragment.
    pub ipfs_gateways: Vec<String>,
    /// Gateways for `ar:`, likewise.
    pub arweave_gateways: Vec<String>,
    /// What `s3:` may name, and where that is.
    pub s3: S3Policy,
    /// Whether a provider's list of files is asked for with two slashes before its path, as the old engine did.
    pub provider_double_slash: bool,
}

/// The rules for `s3:`. Without a bucket nothing of it is fetched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct S3Policy {
    /// The buckets that workflows may read.
    pub buckets: Vec<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The server's URL, if it is not Amazon's.
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path rather than in the host name.
    pub path_style: bool,
    /// Whether the server may be one of plain `http:`.
    pub allow_http: bool,
}

impl Default for FetchPolicy {
    fn default() -> Self {
        Self {
            max_file_bytes: 10 << 30,
            max_total_bytes: 20 << 30,
            max_files: 1000,
            connect_ms: 10_000,
            read_ms: 60_000,
            total_ms: 55 * 60_000,
            retries: 5,
            backoff_first_ms: 500,
            backoff_max_ms: 30_000,
            allow_networks: Vec::new(),
            deny_networks: Vec::new(),
            max_redirects: 5,
            ipfs_gateways: Vec::new(),
            arweave_gateways: Vec::new(),
            s3: S3Policy { region: "us-east-1".to_owned(), ..S3Policy::default() },
            provider_double_slash: false,
        }
    }
}

impl FetchPolicy {
    pub(super) fn connect(&self) -> Duration {
        Duration::from_millis(self.connect_ms)
    }

    pub(super) fn read(&self) -> Duration {
        Duration::from_millis(self.read_ms)
    }

    pub(super) fn total(&self) -> Duration {
        Duration::from_millis(self.total_ms)
    }
}

/// Reads the JSON form.
impl FromStr for FetchPolicy {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_members_have_their_defaults_and_mistyped_ones_are_refused() {
        let policy: FetchPolicy = r#"{"maxFiles":3,"allowNetworks":["127.0.0.0/8"]}"#.parse().unwrap();
        assert_eq!((policy.max_files, policy.retries), (3, FetchPolicy::default().retries));
        for text in [r#"{"maxfiles":3}"#, r#"{"allowNetworks":["127.0.0.1/8"]}"#, r#"{"retries":-1}"#, "7", ""] {
            assert!(text.parse::<FetchPolicy>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_json_form_says_everything() {
        let policy = FetchPolicy { deny_networks: vec!["2001:db8::/32".parse().unwrap()], ..FetchPolicy::default() };
        let text = serde_json::to_string(&policy).unwrap();
        assert!(text.contains(r#""maxFileBytes":10737418240"#) && text.contains(r#""totalMs":3300000"#), "{text}");
        assert_eq!(text.parse::<FetchPolicy>().unwrap(), policy);
    }
}
