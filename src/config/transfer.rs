//! `[fetch]`, `[storage]`, `[notify]` and `[http]`: what comes in, where results go, and who hears of it.

use super::{duration, network::Network, values::Values};
use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

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

/// `[storage]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    /// Where results go.
    pub target: StorageTarget,
    /// How long they are kept; none: for ever.
    pub expiry: Option<Duration>,
}

/// Where results go; each kind with exactly what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageTarget {
    /// Nowhere.
    None,
    /// An absolute path.
    Directory(PathBuf),
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Kind {
    #[default]
    None,
    Directory,
}

impl Storage {
    pub(super) fn read(values: &mut Values) -> Self {
        let kind = values.choice("storage.kind", &[("none", Kind::None), ("directory", Kind::Directory)]);
        let directory = values.checked_text("storage.directory", |text| {
            let path = PathBuf::from(text);
            let usable = text.is_empty() || path.is_absolute();
            if usable {
                Ok(path)
            } else {
                Err("must be an absolute path: processes have different working folders".to_owned())
            }
        });
        let named = !directory.as_os_str().is_empty();
        let keys = ["storage.kind", "storage.directory"];
        values.rule(&keys, named || kind != Kind::Directory, "storage.kind = \"directory\" needs storage.directory");
        values.rule(&keys, !named || kind == Kind::Directory, "storage.directory needs storage.kind = \"directory\"");
        Self {
            target: if kind == Kind::Directory { StorageTarget::Directory(directory) } else { StorageTarget::None },
            expiry: values.optional_duration("storage.expiry", Duration::from_secs(1)..=duration::MAX),
        }
    }
}

/// `[notify]`.
#[derive(Clone, PartialEq)]
pub struct Notify {
    /// Told of starts. May hold credentials: never to be logged as it is.
    pub start_url: Option<String>,
    /// Told of ends. May hold credentials: never to be logged as it is.
    pub stop_url: Option<String>,
}

/// Without queries and credentials.
impl std::fmt::Debug for Notify {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [start, stop] = [&self.start_url, &self.stop_url].map(|url| url.as_deref().map(super::redacted));
        f.debug_struct("Notify").field("start_url", &start).field("stop_url", &stop).finish()
    }
}

impl Notify {
    pub(super) fn read(values: &mut Values) -> Self {
        Self { start_url: values.url("notify.start_url"), stop_url: values.url("notify.stop_url") }
    }
}

/// `[http]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Where pages are served; none: nowhere.
    pub listen: Option<SocketAddr>,
}

impl Http {
    pub(super) fn read(values: &mut Values) -> Self {
        Self { listen: values.optional("http.listen") }
    }
}
