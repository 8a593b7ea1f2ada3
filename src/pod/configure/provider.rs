//! Files of a service that a provider sells: Ocean Protocol's download protocol, version 2 of its provider.
//!
//! ```text
//! DDO ── the service of this id ── serviceEndpoint
//!   GET  <serviceEndpoint>                → serviceEndpoints: {fileinfo: [method, path], download: [method, path], …}
//!   POST <serviceEndpoint><fileinfo>      {did, serviceId} → one entry for each file
//!   GET  <serviceEndpoint><download>?…&nonce=…&signature=…   → the file
//! ```
//!
//! A provider accepts a nonce once, and none below the last: each attempt at a file has one of its own, and so a signature of
//! its own. Other pods of the same operator ask with the same key, and may be ahead; a refusal is therefore tried again.
//!
//! Signed URLs are credentials. They are made here, go out in a request, and are shown without their query.

use super::{
    answer::Question,
    fault::FetchError,
    http::{Ask, Http},
    journal::{Journal, shown},
    percent::encoded,
    policy::FetchPolicy,
    retry::{Backoff, Jitter},
};
use crate::{
    ethereum::{OperatorKey, keccak256},
    workflow::{AssetId, digest::Sha256, document::Remote},
};
use async_trait::async_trait;
use bytes::Bytes;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most bytes of an answer. A provider's list of endpoints has one kB; a list of files some hundred bytes a file.
const MAX_ANSWER: usize = 4 << 20;
/// How often a file is asked for again after the provider refused nonce or signature.
const REFUSALS: u32 = 2;

/// Nonces: milliseconds since 1970, but each higher than the one before.
#[derive(Debug, Default)]
pub(super) struct Nonces(AtomicU64);

impl Nonces {
    fn next(&self, now: u64) -> u64 {
        let later = |last: u64| now.max(last.saturating_add(1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(later(last)));
        last.map_or(now, later)
    }
}

/// What providers are asked with.
pub(super) struct Desk<'a, 'j> {
    pub(super) http: &'a Http,
    pub(super) policy: &'a FetchPolicy,
    pub(super) jitter: &'a mut Jitter,
    pub(super) journal: &'a mut Journal<'j>,
}

/// A service whose files are known.
#[derive(Debug)]
pub(super) struct Service {
    download: String,
    did: String,
    remote: Remote,
    key: OperatorKey,
    nonces: Nonces,
    files: Vec<Option<Sha256>>,
}

impl Service {
    /// Finds the service in the asset's DDO, and asks its provider for its files.
    pub(super) async fn open(
        desk: &mut Desk<'_, '_>,
        key: OperatorKey,
        ddo: &[u8],
        did: &str,
        remote: &Remote,
    ) -> Result<Self, FetchError> {
        let base = endpoint(ddo, did, &remote.service_id)?;
        let endpoints = desk.answer(Method::GET, base.clone(), None).await?;
        let fileinfo = Route::of(&endpoints, "fileinfo")?;
        let download = Route::of(&endpoints, "download")?;
        if download.method != Method::GET {
            return Err(FetchError::Provider("its downloads are not to be had by GET"));
        }
        let slash = if desk.policy.provider_double_slash { "//" } else { "/" };
        let body = json!({"did": did, "serviceId": remote.service_id}).to_string();
        let url = fileinfo.below(&base, slash)?;
        let files = desk.answer(fileinfo.method, url, Some(body.into())).await?;
        let files = files.as_array().ok_or(FetchError::Provider("its list of files is none"))?;
        desk.journal.line(format!("{}: {} files of service {}", shown(&base), files.len(), remote.service_id));
        Ok(Self {
            download: download.below(&base, "/")?.into(),
            did: did.to_owned(),
            remote: remote.clone(),
            key,
            nonces: Nonces::default(),
            files: files.iter().map(checksum).collect(),
        })
    }

    /// How many files it has.
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The digest that the document, or else the provider, gives for a file.
    pub(super) fn sha256(&self, index: usize) -> Option<Sha256> {
        self.remote.sha256.get(index).copied().flatten().or_else(|| self.files.get(index).copied().flatten())
    }

    /// A file, to be asked for.
    pub(super) fn file(&self, index: usize) -> Download<'_> {
        Download { service: self, index, refusals: 0 }
    }

    /// A URL that is good for one request. Order and names of the parameters are those of the old engine.
    fn signed(&self, index: usize, nonce: u64) -> String {
        let Self { download, did, remote, key, .. } = self;
        let signature = key.sign(&keccak256(format!("{did}{nonce}").as_bytes()));
        let mut url = format!(
            "{download}?fileIndex={index}&documentId={}&transferTxId={}&serviceId={}&consumerAddress={}&nonce={nonce}\
             &signature={signature}",
            encoded(did),
            encoded(&remote.tx_id),
            encoded(&remote.service_id),
            key.address(),
        );
        if let Some(data) = &remote.user_data {
            url.push_str("&userdata=");
            url.push_str(&encoded(&data.to_string()));
        }
        url
    }
}

/// A file of a service.
#[derive(Debug)]
pub(super) struct Download<'a> {
    service: &'a Service,
    index: usize,
    refusals: u32,
}

#[async_trait]
impl Ask for Download<'_> {
    async fn url(&mut self) -> Result<Url, FetchError> {
        let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or_default();
        let url = self.service.signed(self.index, self.service.nonces.next(now));
        url.parse().map_err(|_| FetchError::Provider("its download endpoint is no URL"))
    }

    fn may_pass(&mut self, error: &FetchError) -> bool {
        let refused = matches!(error, FetchError::Status { status: 400 | 401 | 403, .. });
        self.refusals += u32::from(refused);
        error.may_pass() || (refused && self.refusals <= REFUSALS)
    }
}

impl Desk<'_, '_> {
    async fn answer(&mut self, method: Method, url: Url, body: Option<Bytes>) -> Result<Value, FetchError> {
        let question = Question { method, url, accept: "application/json", body, max: MAX_ANSWER };
        let backoff = Backoff::new(self.policy);
        let answer = self.http.ask_until_answered(&question, backoff, self.jitter, self.journal).await?;
        serde_json::from_slice(&answer).map_err(|_| FetchError::Provider("it did not answer in JSON"))
    }
}

/// The provider of a service, as the asset's DDO has it.
fn endpoint(ddo: &[u8], did: &str, service_id: &str) -> Result<Url, FetchError> {
    let ddo: Value = serde_json::from_slice(ddo).map_err(|_| FetchError::Ddo("is no JSON"))?;
    let plain = |id: &str| id.strip_prefix(AssetId::PREFIX).unwrap_or(id).to_owned();
    if ddo.get("id").is_some_and(|id| id.as_str().map(plain) != Some(plain(did))) {
        return Err(FetchError::Ddo("is the one of another asset"));
    }
    let services = ddo.get("services").and_then(Value::as_array).ok_or(FetchError::Ddo("has no services"))?;
    let has_id = |service: &&Value| service.get("id").and_then(Value::as_str) == Some(service_id);
    let service = services.iter().find(has_id).ok_or(FetchError::Ddo("has no service of this serviceId"))?;
    let url = service.get("serviceEndpoint").and_then(Value::as_str).and_then(|url| url.parse::<Url>().ok());
    url.filter(|url| url.query().is_none() && url.fragment().is_none())
        .ok_or(FetchError::Ddo("has no usable serviceEndpoint for this service"))
}

/// One of a provider's endpoints.
struct Route {
    method: Method,
    path: String,
}

impl Route {
    fn of(endpoints: &Value, name: &str) -> Result<Self, FetchError> {
        let wrong = || FetchError::Provider("its serviceEndpoints have no usable fileinfo and download");
        let route = endpoints.get("serviceEndpoints").and_then(|all| all.get(name)).ok_or_else(wrong)?;
        let text = |index: usize| route.get(index).and_then(Value::as_str).ok_or_else(wrong);
        let (method, path) = (text(0)?, text(1)?);
        let method = match method {
            "GET" => Method::GET,
            "POST" => Method::POST,
            _ => return Err(wrong()),
        };
        Ok(Self { method, path: path.trim_start_matches('/').to_owned() })
    }

    /// Its URL. The old engine wrote two slashes for some.
    fn below(&self, base: &Url, slash: &str) -> Result<Url, FetchError> {
        let text = format!("{}{slash}{}", base.as_str().trim_end_matches('/'), self.path);
        let url: Option<Url> = text.parse().ok();
        url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.host() == base.host())
            .ok_or(FetchError::Provider("one of its endpoints is no path"))
    }
}

/// The digest that a provider gives for a file, if it gives one: most do so only where they are asked to read all of it.
fn checksum(file: &Value) -> Option<Sha256> {
    let is_sha256 = file.get("checksumType").and_then(Value::as_str).is_some_and(|kind| kind == "sha256");
    file.get("checksum").filter(|_| is_sha256)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:op:aa";

    fn service(user_data: Option<Value>) -> Service {
        let remote = Remote { tx_id: "0x01".to_owned(), service_id: "s 1".to_owned(), user_data, sha256: Vec::new() };
        let key = "11".repeat(32).parse().unwrap();
        let download = "https://p.example/api/services/download".to_owned();
        Service { download, did: DID.to_owned(), remote, key, nonces: Nonces::default(), files: vec![None] }
    }

    #[test]
    fn a_download_is_asked_for_in_the_old_order_with_the_old_signature() {
        let expected = "https://p.example/api/services/download?fileIndex=0&documentId=did:op:aa&transferTxId=0x01\
             &serviceId=s%201&consumerAddress=0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A&nonce=1700000000000\
             &signature=0xb765cf26909aed6f2ba1a29d5415fd2619c3656cfa67375eeed1bf9022da8ade1f1f8cac9b2f2f50c05056ddb31987\
             7d675d997703ebccef59a82f871ffdabd11c";
        assert_eq!(service(None).signed(0, 1_700_000_000_000), expected);
        let with = service(Some(json!({"a": "b&c d"}))).signed(0, 1_700_000_000_000);
        assert_eq!(with, format!("{expected}&userdata=%7B%22a%22:%22b%26c%20d%22%7D"));
    }

    #[test]
    fn every_nonce_is_higher_than_the_one_before() {
        let nonces = Nonces::default();
        let given: Vec<_> = [5, 5, 9, 3, 10].into_iter().map(|now| nonces.next(now)).collect();
        assert_eq!(given, [5, 6, 9, 10, 11]);
    }

    #[test]
    fn the_provider_is_the_one_of_the_service_and_no_other() {
        let ddo = json!({"id": DID, "services": [
            7, {"id": 3}, {"id": "x", "serviceEndpoint": "https://x.example"},
            {"id": "s", "serviceEndpoint": "https://s.example/base/"}, {"id": "q", "serviceEndpoint": "https://q.example?a"},
        ]});
        let find = |ddo: &Value, id| {
            endpoint(ddo.to_string().as_bytes(), DID, id).map(String::from).map_err(|e| e.to_string())
        };
        assert_eq!(find(&ddo, "s").unwrap(), "https://s.example/base/");
        for (ddo, id) in [
            (ddo.clone(), "none"),
            (ddo.clone(), "3"),
            (ddo, "q"),
            (json!({"id": "did:op:bb", "services": [{"id": "s", "serviceEndpoint": "https://s.example"}]}), "s"),
            (json!({"services": {}}), "s"),
            (json!([]), "s"),
        ] {
            assert!(find(&ddo, id).unwrap_err().starts_with("the asset's DDO "), "{ddo} {id}");
        }
        assert!(endpoint(b"<html>", DID, "s").is_err());
    }

    #[test]
    fn an_endpoint_stays_below_its_provider() {
        let base: Url = "https://p.example/base/".parse().unwrap();
        let below = |path: &str, slash| {
            let endpoints = json!({"serviceEndpoints": {"fileinfo": ["POST", path]}});
            Route::of(&endpoints, "fileinfo")?.below(&base, slash).map(String::from)
        };
        assert_eq!(below("/api/fileinfo", "/").unwrap(), "https://p.example/base/api/fileinfo");
        assert_eq!(below("/api/fileinfo", "//").unwrap(), "https://p.example/base//api/fileinfo");
        assert_eq!(below("//evil.example/x", "/").unwrap(), "https://p.example/base/evil.example/x");
        for path in ["/a?b", "/a#b"] {
            assert!(below(path, "/").is_err(), "{path}");
        }
        for endpoints in [json!(null), json!({}), json!({"serviceEndpoints": {"fileinfo": ["PUT", "/x"]}})] {
            assert!(Route::of(&endpoints, "fileinfo").is_err(), "{endpoints}");
        }
    }

    #[test]
    fn a_checksum_is_taken_only_for_what_it_is() {
        let digest = Sha256::of("x");
        assert_eq!(checksum(&json!({"checksum": digest, "checksumType": "sha256"})), Some(digest));
        for file in [json!({"checksum": digest}), json!({"checksum": 7, "checksumType": "sha256"}), json!(null)] {
            assert_eq!(checksum(&file), None, "{file}");
        }
    }
}
