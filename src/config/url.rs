//! URLs as values: checked, and shown without what may be a credential.

use super::values::{Values, string, texts};
use config::Value;
use serde_json::Value as Json;

impl Values {
    /// An http or https URL, or empty. Its query and credentials are never shown, not even when something is wrong.
    pub(super) fn url(&mut self, key: &'static str) -> Option<String> {
        self.checked_url(key, |text, url| {
            let shown = without_credentials(url).map_or_else(|_| redacted(text), |()| text.to_owned());
            Ok((text.to_owned(), shown))
        })
    }

    /// The URL of a server, or empty. It travels to pods and may hold no credential. Without a slash at its end.
    pub(super) fn server(&mut self, key: &'static str) -> Option<String> {
        self.checked_url(key, |text, url| {
            without_credentials(url)?;
            let server = text.trim_end_matches('/').to_owned();
            Ok((server.clone(), server))
        })
    }

    /// The URLs of servers, as those of [`Values::server`]: an array, or a text with commas.
    pub(super) fn servers(&mut self, key: &'static str) -> Vec<String> {
        self.read_showing(
            key,
            |value| {
                let mut servers = Vec::new();
                for text in texts(value)? {
                    without_credentials(&parse(&text)?)?;
                    servers.push(text.trim_end_matches('/').to_owned());
                }
                Ok((servers.clone(), Json::from(servers)))
            },
            |value| {
                let shown = texts(value).map(|texts| texts.iter().map(|text| redacted(text)).collect::<Vec<_>>());
                shown.map_or_else(|_| HIDDEN.to_owned(), |shown| Json::from(shown).to_string())
            },
        )
    }

    /// What the URLs of files begin with; ends in a slash. `ipfs://` is one.
    pub(super) fn url_prefix(&mut self, key: &'static str) -> String {
        const IPFS: &str = "ipfs://";
        self.read_showing(
            key,
            |value| {
                let text = string(value)?;
                if text == IPFS {
                    return Ok((text.to_owned(), Json::from(text)));
                }
                let url = parse(text).map_err(|message| format!("{message}; or be {IPFS}"))?;
                without_credentials(&url)?;
                let prefix = format!("{}/", text.trim_end_matches('/'));
                Ok((prefix.clone(), Json::from(prefix)))
            },
            shown,
        )
    }

    fn checked_url(
        &mut self,
        key: &'static str,
        check: impl FnOnce(&str, &reqwest::Url) -> Result<(String, String), String>,
    ) -> Option<String> {
        self.read_showing(
            key,
            |value| {
                let text = string(value)?;
                if text.is_empty() {
                    return Ok((None, Json::from("")));
                }
                let (checked, shown) = check(text, &parse(text)?)?;
                Ok((Some(checked), Json::from(shown)))
            },
            shown,
        )
    }
}

fn parse(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("must start with http:// or https:// and name a host".to_owned());
    }
    Ok(url)
}

fn without_credentials(url: &reqwest::Url) -> Result<(), String> {
    let bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if bare && url.fragment().is_none() {
        return Ok(());
    }
    Err("may have no user, password, query or fragment, because pods are told it; credentials belong into a Secret"
        .to_owned())
}

fn shown(value: &Value) -> String {
    Json::from(string(value).map(redacted).unwrap_or_else(|_| HIDDEN.to_owned())).to_string()
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
