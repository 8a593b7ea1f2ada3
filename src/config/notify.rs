//! `[notify]` and `[http]`: who is told, and where to ask.

use super::{url::redacted, values::Values};
use std::{fmt, net::SocketAddr};

/// `[notify]`.
#[derive(Clone, PartialEq)]
pub struct Notify {
    /// Told of starts. May hold credentials: never to be logged as it is.
    pub start_url: Option<String>,
    /// Told of ends. May hold credentials: never to be logged as it is.
    pub stop_url: Option<String>,
}

/// Without queries and credentials.
impl fmt::Debug for Notify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, stop] = [&self.start_url, &self.stop_url].map(|url| url.as_deref().map(redacted));
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
