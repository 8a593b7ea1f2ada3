//! `[fetch]`: what configure may download.

use super::{duration, pods::object_name, values::Values};
use crate::pod::configure::{FetchPolicy, Network, S3Policy};
use std::{ops::RangeInclusive, time::Duration};

/// `[fetch]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Fetch {
    /// Bytes of the largest file.
    pub max_file: u64,
    /// Bytes over all files of a workflow.
    pub max_total: u64,
    /// Files of a workflow.
    pub max_files: u32,
    /// The limit of connecting.
    pub connect_timeout: Duration,
    /// The longest silence of a server.
    pub read_timeout: Duration,
    /// The limit of everything.
    pub total_timeout: Duration,
    /// Further attempts of one file.
    pub retries: u32,
    /// May be reached although they are not public.
    pub allow_networks: Vec<Network>,
    /// May not be reached although they are public. Wins over `allow_networks`.
    pub deny_networks: Vec<Network>,
    /// Redirects that are followed.
    pub max_redirects: u32,
    /// Gateways for `ipfs:`.
    pub ipfs_gateways: Vec<String>,
    /// Gateways for `ar:`.
    pub arweave_gateways: Vec<String>,
    /// The rules for `s3:`.
    pub s3: S3Policy,
    /// Whether providers are asked with the old engine's two slashes.
    pub provider_double_slash: bool,
    /// The Secret in the jobs' namespace with the keys that inputs may need.
    pub secret: String,
}

impl Fetch {
    pub(super) fn read(values: &mut Values) -> Self {
        const SILENCE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(3600);
        Self {
            max_file: values.size("fetch.max_file", 1),
            max_total: values.size("fetch.max_total", 1),
            max_files: values.whole("fetch.max_files", 1..=1_000_000),
            connect_timeout: values.duration("fetch.connect_timeout", SILENCE),
            read_timeout: values.duration("fetch.read_timeout", SILENCE),
            total_timeout: values.duration("fetch.total_timeout", Duration::from_secs(1)..=duration::MAX),
            retries: values.whole("fetch.retries", 0..=100),
            allow_networks: values.list("fetch.allow_networks"),
            deny_networks: values.list("fetch.deny_networks"),
            max_redirects: values.whole("fetch.max_redirects", 0..=20),
            ipfs_gateways: values.servers("fetch.ipfs_gateways"),
            arweave_gateways: values.servers("fetch.arweave_gateways"),
            s3: s3(values),
            provider_double_slash: values.switch("fetch.provider_double_slash"),
            secret: values.checked_text("fetch.secret", object_name),
        }
    }
}

/// As documents may name them.
fn is_bucket(text: &str) -> bool {
    text.len() >= 3 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

fn s3(values: &mut Values) -> S3Policy {
    let s3 = S3Policy {
        buckets: values.list("fetch.s3_buckets"),
        region: values.text("fetch.s3_region"),
        endpoint: values.server("fetch.s3_endpoint"),
        path_style: values.switch("fetch.s3_path_style"),
        allow_http: values.switch("fetch.s3_allow_http"),
    };
    let plain = s3.endpoint.as_ref().is_some_and(|url| url.starts_with("http:"));
    values.rule(
        &["fetch.s3_endpoint", "fetch.s3_allow_http"],
        !plain || s3.allow_http,
        "fetch.s3_endpoint is plain http, where everybody on the way reads the data; set fetch.s3_allow_http if that is meant",
    );
    values.rule(
        &["fetch.s3_buckets"],
        s3.buckets.iter().all(|bucket| is_bucket(bucket)),
        "fetch.s3_buckets must be the names of buckets, without s3:// and slashes",
    );
    let region =
        !s3.region.is_empty() && s3.region.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    values.rule(
        &["fetch.s3_region"],
        region,
        "fetch.s3_region must be a region, such as \"eu-central-1\", because requests are signed for it",
    );
    s3
}

impl Fetch {
    /// The same as the configure stage is told it. How long it pauses between attempts is not for the admin to say.
    pub fn policy(&self) -> FetchPolicy {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        FetchPolicy {
            max_file_bytes: self.max_file,
            max_total_bytes: self.max_total,
            max_files: u64::from(self.max_files),
            connect_ms: millis(self.connect_timeout),
            read_ms: millis(self.read_timeout),
            total_ms: millis(self.total_timeout),
            retries: self.retries,
            allow_networks: self.allow_networks.clone(),
            deny_networks: self.deny_networks.clone(),
            max_redirects: self.max_redirects,
            ipfs_gateways: self.ipfs_gateways.clone(),
            arweave_gateways: self.arweave_gateways.clone(),
            s3: self.s3.clone(),
            provider_double_slash: self.provider_double_slash,
            ..FetchPolicy::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_reaches_the_stage_and_each_its_own_place() {
        let fetch = Fetch {
            max_file: 1,
            max_total: 2,
            max_files: 3,
            connect_timeout: Duration::from_millis(4),
            read_timeout: Duration::from_millis(5),
            total_timeout: Duration::from_millis(6),
            retries: 7,
            allow_networks: vec!["10.0.0.0/8".parse().unwrap()],
            deny_networks: vec!["192.0.2.0/24".parse().unwrap()],
            max_redirects: 8,
            ipfs_gateways: vec!["https://a".to_owned()],
            arweave_gateways: vec!["https://b".to_owned()],
            s3: S3Policy {
                buckets: vec!["data".to_owned()],
                region: "r".to_owned(),
                endpoint: Some("https://c".to_owned()),
                path_style: true,
                allow_http: false,
            },
            provider_double_slash: true,
            secret: "not told".to_owned(),
        };
        let json = serde_json::to_value(fetch.policy()).unwrap();
        let expected = serde_json::json!({
            "maxFileBytes": 1, "maxTotalBytes": 2, "maxFiles": 3, "connectMs": 4, "readMs": 5, "totalMs": 6, "retries": 7,
            "backoffFirstMs": 500, "backoffMaxMs": 30000,
            "allowNetworks": ["10.0.0.0/8"], "denyNetworks": ["192.0.2.0/24"], "maxRedirects": 8,
            "ipfsGateways": ["https://a"], "arweaveGateways": ["https://b"], "providerDoubleSlash": true,
            "s3": {"buckets": ["data"], "region": "r", "endpoint": "https://c", "pathStyle": true, "allowHttp": false},
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn what_pods_are_told_of_servers_holds_no_credential_and_plain_http_is_spelled_out() {
        let with = |pairs: &[(&str, &str)]| {
            let variables =
                pairs.iter().map(|(key, value)| (format!("OPERATOR_ENGINE__FETCH__{key}"), (*value).to_owned()));
            crate::config::load(&[], variables).map(|loaded| loaded.config.fetch).map_err(|errors| errors.to_string())
        };
        let fetch = with(&[("IPFS_GATEWAYS", "https://a/, http://b:8080/x/")]).unwrap();
        assert_eq!(fetch.ipfs_gateways, ["https://a", "http://b:8080/x"]);
        for key in ["IPFS_GATEWAYS", "ARWEAVE_GATEWAYS", "S3_ENDPOINT"] {
            for url in ["https://u:c4nary@g", "https://g?k=c4nary", "https://g/#c4nary", "ftp://g/c4nary", "c4nary"] {
                let told = with(&[(key, url)]).unwrap_err();
                assert!(!told.contains("c4nary") || url.starts_with("ftp"), "{told}");
            }
        }
        let plain = [("S3_ENDPOINT", "http://minio:9000"), ("S3_ALLOW_HTTP", "true")];
        assert!(with(&plain[..1]).unwrap_err().contains("fetch.s3_allow_http"));
        assert_eq!(with(&plain).unwrap().s3.endpoint.as_deref(), Some("http://minio:9000"));
        for (key, value) in
            [("S3_BUCKETS", "s3://data"), ("S3_BUCKETS", "a/b"), ("S3_REGION", ""), ("S3_REGION", "a b")]
        {
            assert!(with(&[(key, value)]).is_err() || value.is_empty(), "{key} {value}");
        }
    }
}
