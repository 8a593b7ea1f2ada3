//! Requests to a node or a cluster, bounded in time and in what they are answered.

pub(super) use super::answer::Answer;
use super::{answer::MAX_LEN, failure::Failure};
use crate::storage::{IpfsCredentials, Secret, StorageError};
use bytes::Bytes;
use reqwest::{
    Body, Certificate, Client, Method, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use std::{fmt, future::Future, time::Duration};

/// Lookups and a connection take less, or the network is in trouble.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a node may take.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For an answer to a question.
    pub read: Duration,
    /// For a change, and for any sign of life during an upload. A node that collects garbage lets writes wait for that.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { read: Duration::from_secs(60), write: Duration::from_secs(300) }
    }
}

/// A server's address and how to be let in there.
#[derive(Clone)]
pub(super) struct Rpc {
    client: Client,
    base: Url,
    headers: HeaderMap,
    pub(super) patience: Patience,
    /// Whether the node may look for content at others. A node of our own has all that is ours, or it is lost.
    pub(super) online: bool,
}

impl fmt::Debug for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rpc").field(&self.base.as_str()).finish()
    }
}

impl Rpc {
    /// For the server at `api`; `path` is what all its commands begin with. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// [`StorageError::Misconfigured`]; neither address nor credentials stand in it, since either may hold a secret.
    pub(super) fn new(
        api: &str,
        path: &str,
        ca: Option<&str>,
        credentials: &IpfsCredentials,
    ) -> Result<Self, StorageError> {
        Self::build(api, path, ca, credentials).map_err(|cause| StorageError::misconfigured(cause, "IPFS"))
    }

    fn build(api: &str, path: &str, ca: Option<&str>, credentials: &IpfsCredentials) -> Result<Self, String> {
        let mut base = Url::parse(api).map_err(|error| format!("its address is no URL: {error}"))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err("its address has to begin with http:// or https://".into());
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err("its address has to be without user, password and query; credentials go into the Secret".into());
        }
        let given = base.path().trim_end_matches('/');
        let given = given.strip_suffix(path).unwrap_or(given);
        let whole = format!("{given}{path}/");
        base.set_path(&whole);
        base.set_fragment(None);
        // Done already, if it fails.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("operator-engine/", env!("CARGO_PKG_VERSION")))
            .no_proxy() // The node is ours; and a proxy that collects what it passes on would hold up an upload for ever.
            .http1_only() // Trailers have been seen to come through by it.
            .redirect(redirect::Policy::none()) // A POST with our credentials goes where it was sent, or nowhere.
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT);
        if let Some(pem) = ca {
            let certificates = Certificate::from_pem_bundle(pem.as_bytes())
                .map_err(|_| "its CA is no certificate in PEM".to_owned())?;
            if certificates.is_empty() {
                return Err("its CA has no certificate in it".into());
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        let client = builder.build().map_err(|error| format!("no client for it can be set up: {error}"))?;
        Ok(Self { client, base, headers: headers(credentials)?, patience: Patience::default(), online: false })
    }

    /// The server's address for people: without the path of its commands.
    pub(super) fn address(&self) -> String {
        let url = self.base.as_str();
        url.split_once("/api/v0").map_or(url, |(address, _)| address).trim_end_matches('/').to_owned()
    }

    /// Asks, and returns the answer once its head is there. `query` is encoded here.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<(HeaderValue, Body)>,
    ) -> Result<Answer, Failure> {
        let mut url = self.base.join(path).map_err(|error| Failure::Foreign(error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url).headers(self.headers.clone());
        if let Some((content_type, body)) = body {
            request = request.header(http::header::CONTENT_TYPE, content_type).body(body);
        }
        let response = request.send().await.map_err(|error| Failure::of_transfer(&error))?;
        let status = response.status();
        let answer = Answer::new(response, self.patience.read);
        if status.is_success() {
            return Ok(answer);
        }
        // What broke off while it explained itself is told by its status all the same.
        let body = answer.whole(64 * 1024).await.unwrap_or_default();
        Err(Failure::of_status(status, &body))
    }

    /// A command that is a question, answered as a whole. The node is told to stop working on it when we stop waiting, and
    /// not to look for content elsewhere.
    pub(super) async fn ask(&self, command: &str, query: &[(&str, &str)]) -> Result<Bytes, Failure> {
        let (patience, query) = (self.patience.read, self.bounded(query, self.patience.read));
        within(patience, async { self.command(command, &refs(&query)).await?.whole(MAX_LEN).await }).await
    }

    /// A question with a long answer: each part of it may take as long as a short one.
    pub(super) async fn ask_for_stream(&self, command: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        let offline = (!self.online).then_some(("offline", "true"));
        let query: Vec<_> = query.iter().copied().chain(offline).collect();
        within(self.patience.read, self.command(command, &query)).await
    }

    /// A command that changes something. After [`Failure::Unreachable`] it may have taken effect.
    pub(super) async fn change(&self, command: &str, query: &[(&str, &str)]) -> Result<Bytes, Failure> {
        let (patience, query) = (self.patience.write, self.bounded(query, self.patience.write));
        within(patience, async {
            let mut answer = self.command(command, &refs(&query)).await?;
            answer.silence = patience;
            answer.whole(MAX_LEN).await
        })
        .await
    }

    /// With the node's own deadline, which lies before ours, so that its answer can still arrive.
    fn bounded<'a>(&self, query: &[(&'a str, &'a str)], patience: Duration) -> Vec<(&'a str, String)> {
        let timeout = format!("{}ms", (patience - patience / 10).as_millis());
        let given = query.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let offline = (!self.online).then(|| ("offline", "true".to_owned()));
        given.chain(offline).chain([("timeout", timeout)]).collect()
    }

    pub(super) async fn command(&self, command: &str, query: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.send(Method::POST, command, query, None).await
    }
}

fn refs<'a>(query: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    query.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// `doing`, unless it takes longer than `patience`.
pub(super) async fn within<T>(
    patience: Duration,
    doing: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let silent = || Failure::Unreachable(format!("no answer within {} s", patience.as_secs_f32()));
    tokio::time::timeout(patience, doing).await.unwrap_or_else(|_| Err(silent()))
}

fn headers(credentials: &IpfsCredentials) -> Result<HeaderMap, String> {
    let IpfsCredentials { api_key, client, authorization } = credentials;
    let mut headers = HeaderMap::new();
    for (name, secret) in [
        (HeaderName::from_static("x-api-key"), api_key),
        (HeaderName::from_static("client-id"), client),
        (AUTHORIZATION, authorization),
    ] {
        let Some(secret) = secret.as_ref().map(Secret::expose).filter(|secret| !secret.is_empty()) else { continue };
        let mut value = HeaderValue::from_str(secret)
            .map_err(|_| format!("what is to be sent as {name} has a line break or the like in it"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Reads JSON of a server.
pub(super) fn json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|error| Failure::Foreign(format!("its answer cannot be understood: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(api: &str, credentials: &IpfsCredentials) -> Result<Rpc, String> {
        Rpc::build(api, "/api/v0", None, credentials)
    }

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        let none = IpfsCredentials::default();
        for api in ["http://kubo:5001", "http://kubo:5001/", "http://kubo:5001/api/v0", "http://kubo:5001/api/v0/"] {
            let rpc = built(api, &none).unwrap();
            assert_eq!(rpc.base.as_str(), "http://kubo:5001/api/v0/", "{api}");
            assert_eq!(rpc.address(), "http://kubo:5001");
        }
        assert_eq!(built("https://h/ipfs", &none).unwrap().base.as_str(), "https://h/ipfs/api/v0/");
        for api in ["kubo:5001", "ftp://kubo", "http://u:hunter2@kubo", "http://kubo?token=hunter2", "/ip4/127.0.0.1"] {
            let error = built(api, &none).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn secrets_go_into_headers_and_nowhere_else() {
        let secret = || Some(Secret::new("hunter2"));
        let credentials = IpfsCredentials { api_key: secret(), client: secret(), authorization: secret() };
        let rpc = built("http://kubo:5001", &credentials).unwrap();
        for name in ["X-API-KEY", "CLIENT-ID", "Authorization"] {
            assert_eq!(rpc.headers[name], "hunter2");
        }
        assert!(!format!("{rpc:?} {:?}", rpc.headers).contains("hunter2"));
        let broken = IpfsCredentials { api_key: Some(Secret::new("hunter2\n")), ..IpfsCredentials::default() };
        let error = built("http://kubo:5001", &broken).unwrap_err();
        assert!(error.contains("x-api-key") && !error.contains("hunter2"), "{error}");
    }
}
