//! `[fetch]`: what configure may download.

use super::{duration, network::Network, values::Values};
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
            max_redirects: values.whole("fetch.max_redirects", 0..=20),
        }
    }
}
