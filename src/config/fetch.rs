//! `[fetch]`: what configure may download.

use super::{duration, values::Values};
use crate::pod::configure::{FetchPolicy, Network};
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
        }
    }
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
        };
        let json = serde_json::to_value(fetch.policy()).unwrap();
        let expected = serde_json::json!({
            "maxFileBytes": 1, "maxTotalBytes": 2, "maxFiles": 3, "connectMs": 4, "readMs": 5, "totalMs": 6, "retries": 7,
            "backoffFirstMs": 500, "backoffMaxMs": 30000,
            "allowNetworks": ["10.0.0.0/8"], "denyNetworks": ["192.0.2.0/24"], "maxRedirects": 8,
        });
        assert_eq!(json, expected);
    }
}
