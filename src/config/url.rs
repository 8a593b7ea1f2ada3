//! URLs as values: checked, and shown without what may be a credential.

use super::values::{Values, string};
use config::Value;
use serde_json::Value as Json;

impl Values {
    /// An http or https URL, or empty. Its query and credentials are never shown, not even when something is wrong.
    pub(super) fn url(&mut self, key: &'static str) -> Option<String> {
        let shown = |value: &Value| string(value).map(redacted).unwrap_or_else(|_| HIDDEN.to_owned());
        self.read_showing(
            key,
            |value| {
                let text = string(value)?;
                if text.is_empty() {
                    return Ok((None, Json::from("")));
                }
                let url = reqwest::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
                if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                    return Err("must start with http:// or https:// and name a host".to_owned());
                }
                Ok((Some(text.to_owned()), Json::from(redacted(text))))
            },
            |value| Json::from(shown(value)).to_string(),
        )
    }
}

/// A URL that may be shown: without its user, password, query and fragment; nothing of what cannot be read as a URL.
pub fn redacted(url: &str) -> String {
    let Ok(mut parsed) = reqwest::Url::parse(url) else { return HIDDEN.to_owned() };
    let hidden = parsed.set_username("").is_err() || parsed.set_password(None).is_err() || parsed.cannot_be_a_base();
    if hidden {
        return HIDDEN.to_owned();
    }
    parsed.set_query(None);
    parsed.set_fragment(None);
    parsed.to_string()
}

/// What stands for a URL that cannot be shown.
const HIDDEN: &str = "(not shown)";
