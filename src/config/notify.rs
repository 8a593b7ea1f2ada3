//! `[notify]` and `[http]`: who is told, and where to ask.

use super::{duration, url::redacted, values::Values};
use std::{fmt, net::SocketAddr, time::Duration};

/// `[notify]`.
#[derive(Clone, PartialEq)]
pub struct Notify {
    /// Told of starts. May hold credentials: never to be logged as it is.
    pub start_url: Option<String>,
    /// Told of ends. May hold credentials: never to be logged as it is.
    pub stop_url: Option<String>,
    /// How long a receiver may take.
    pub timeout: Duration,
    /// Whether redirects within a receiver's own server are followed.
    pub redirects: bool,
    /// The pause after a first attempt that failed.
    pub backoff_first: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long after the first attempt the last one may begin.
    pub give_up_after: Duration,
}

/// Without queries and credentials.
impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, stop] = [&self.start_url, &self.stop_url].map(|url| url.as_deref().map(redacted));
        f.debug_struct("Notify").field("start_url", &start).field("stop_url", &stop).finish_non_exhaustive()
    }
}

impl Notify {
    pub(super) fn read(values: &mut Values) -> Self {
        let second = Duration::from_secs(1);
        Self {
            start_url: values.url("notify.start_url"),
            stop_url: values.url("notify.stop_url"),
            timeout: values.duration("notify.timeout", second..=duration::MAX),
            redirects: values.switch("notify.redirects"),
            backoff_first: values.duration("notify.backoff_first", second..=duration::MAX),
            backoff_max: values.duration("notify.backoff_max", second..=duration::MAX),
            give_up_after: values.duration("notify.give_up_after", second..=duration::MAX),
        }
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
