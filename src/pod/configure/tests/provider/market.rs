//! A provider and a metadata registry in one server, written from their public behaviour: an order is for one service, a
//! nonce is accepted once, in rising order and while it is fresh, and a signature must be the consumer's over asset and nonce.

use crate::{
    ethereum::{Address, Signature, keccak256},
    workflow::digest::Sha256,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};
use tokio::task::JoinHandle;

pub(super) const DID: &str = "did:op:aa";
pub(super) const TX: &str = "0x0000000000000000000000000000000000000000000000000000000000000abc";
/// The one service of [`DID`] that was ordered.
const ORDERED: &str = "access";
/// How old a nonce may be, in milliseconds.
const FRESH: f64 = 600_000.0;

pub(super) struct Market {
    port: u16,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    port: u16,
    /// The files of each asset, by its id; those of an id that is a path anybody may have.
    assets: BTreeMap<String, Vec<String>>,
    checksum: Option<Sha256>,
    nonces: BTreeMap<String, f64>,
    paths: Vec<String>,
    downloads: Vec<String>,
    user_data: Vec<Option<Value>>,
    refused: usize,
    break_off: usize,
    later: usize,
    metadata_fails: usize,
    redirect: Option<String>,
}

impl Market {
    pub(super) async fn new(files: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { port, ..State::default() }));
        let shared = state.clone();
        let app = Router::new().fallback(move |request: Request| serve(shared.clone(), request));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { port, state, task }.with(DID, files)
    }

    /// Another asset, sold by the same order; or, if it is a path, files that anybody may have.
    pub(super) fn with(self, did: &str, files: &[&str]) -> Self {
        let files = files.iter().map(|text| (*text).to_owned()).collect();
        self.state.lock().unwrap().assets.insert(did.to_owned(), files);
        self
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The next downloads end in the middle.
    pub(super) fn breaks_off(&self, times: usize) {
        self.state.lock().unwrap().break_off = times;
    }

    /// Before the next downloads, somebody else uses the same key.
    pub(super) fn sees_later_nonces(&self, times: usize) {
        self.state.lock().unwrap().later = times;
    }

    pub(super) fn metadata_fails(&self, times: usize) {
        self.state.lock().unwrap().metadata_fails = times;
    }

    pub(super) fn redirects_to(&self, url: &str) {
        self.state.lock().unwrap().redirect = Some(url.to_owned());
    }

    /// What fileinfo gives as the digest of every file.
    pub(super) fn claims(&self, checksum: Sha256) {
        self.state.lock().unwrap().checksum = Some(checksum);
    }

    /// The queries of all downloads that were asked for.
    pub(super) fn downloads(&self) -> Vec<String> {
        self.state.lock().unwrap().downloads.clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.state.lock().unwrap().paths.clone()
    }

    /// What came along with the downloads that were accepted.
    pub(super) fn user_data(&self) -> Vec<Option<Value>> {
        self.state.lock().unwrap().user_data.clone()
    }

    /// Downloads refused for their nonce or signature.
    pub(super) fn refused(&self) -> usize {
        self.state.lock().unwrap().refused
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path().to_owned();
    let mut state = state.lock().unwrap();
    state.paths.push(path.clone());
    match (head.method.as_str(), path.trim_start_matches('/')) {
        ("GET", "") => json_of(&json!({
            "chainIds": [1], "providerAddresses": {"1": "0x0"}, "software": "Provider", "version": "2.1.5",
            "serviceEndpoints": {
                "nonce": ["GET", "/api/services/nonce"],
                "fileinfo": ["POST", "/api/services/fileinfo"],
                "download": ["GET", "/api/services/download"],
            },
        })),
        ("GET", asset) if asset.starts_with("api/aquarius/assets/ddo/") => state.ddo(asset.rsplit('/').next().unwrap()),
        ("POST", "api/services/fileinfo") => state.fileinfo(&serde_json::from_slice(&body).unwrap()),
        ("GET", "api/services/download") => state.download(head.uri.query().unwrap_or_default()),
        ("GET", path) if state.assets.contains_key(path) => state.assets[path].concat().into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl State {
    fn ddo(&mut self, did: &str) -> Response {
        if self.metadata_fails > 0 {
            self.metadata_fails -= 1;
            return StatusCode::BAD_GATEWAY.into_response();
        }
        let endpoint = format!("http://127.0.0.1:{}/", self.port);
        let service = |id: &str| json!({"id": id, "type": "compute", "files": "0x04", "serviceEndpoint": endpoint});
        json_of(
            &json!({"@context": [], "id": did, "version": "4.1.0", "services": [service("other"), service(ORDERED)]}),
        )
    }

    fn fileinfo(&self, question: &Value) -> Response {
        let asset = question["did"].as_str().and_then(|did| self.assets.get(did));
        let Some(files) = asset.filter(|_| question["serviceId"].is_string()) else {
            return refuse(StatusCode::BAD_REQUEST, "The did field is invalid.");
        };
        let file = |(index, text): (usize, &String)| {
            let mut file = json!({"index": index, "valid": true, "contentType": "text/plain",
                "contentLength": text.len().to_string()});
            if let Some(checksum) = self.checksum {
                file["checksum"] = json!(checksum);
                file["checksumType"] = json!("sha256");
            }
            file
        };
        json_of(&files.iter().enumerate().map(file).collect())
    }

    fn download(&mut self, query: &str) -> Response {
        self.downloads.push(query.to_owned());
        let Some([index, did, tx, service, consumer, nonce, signature]) =
            ["fileIndex", "documentId", "transferTxId", "serviceId", "consumerAddress", "nonce", "signature"]
                .map(|name| parameter(query, name))
                .into_iter()
                .collect::<Option<Vec<_>>>()
                .and_then(|all| <[String; 7]>::try_from(all).ok())
        else {
            return refuse(StatusCode::BAD_REQUEST, "a field is required");
        };
        let now = jiff::Timestamp::now().as_millisecond() as f64;
        if self.later > 0 {
            self.later -= 1;
            self.nonces.insert(consumer.clone(), now + 3_600_000.0);
        } else if self.nonces.get(&consumer).is_some_and(|last| *last > now + 1_000_000.0) {
            // That was somebody's wrong clock.
            self.nonces.remove(&consumer);
        }
        let number: f64 = nonce.parse().unwrap_or(0.0);
        let used = self.nonces.get(&consumer).is_some_and(|last| number <= *last);
        if used || number < now - FRESH || !is_signed(&did, &nonce, &consumer, &signature) {
            self.refused += 1;
            return refuse(StatusCode::BAD_REQUEST, "Invalid signature provided.");
        }
        let asset = self.assets.get(&did).filter(|_| (tx.as_str(), service.as_str()) == (TX, ORDERED));
        let Some(files) = asset else {
            return refuse(StatusCode::BAD_REQUEST, "the order is for another service");
        };
        let Some(text) = index.parse().ok().and_then(|index: usize| files.get(index)) else {
            return refuse(StatusCode::BAD_REQUEST, "No such fileIndex");
        };
        self.nonces.insert(consumer, number);
        self.user_data.push(parameter(query, "userdata").map(|text| serde_json::from_str(&text).unwrap()));
        if let Some(to) = &self.redirect {
            return (StatusCode::FOUND, [("location", to.clone())]).into_response();
        }
        if self.break_off > 0 {
            self.break_off -= 1;
            let half = bytes::Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
            let parts = [Ok(half), Err(std::io::Error::other("cut"))];
            return Body::from_stream(futures::stream::iter(parts)).into_response();
        }
        text.clone().into_response()
    }
}

/// Whether the consumer signed this: the hash of asset and nonce, as a message of its own.
fn is_signed(did: &str, nonce: &str, consumer: &str, signature: &str) -> bool {
    let (Ok(consumer), Ok(signature)) = (consumer.parse::<Address>(), signature.parse::<Signature>()) else {
        return false;
    };
    signature.signer(&keccak256(format!("{did}{nonce}").as_bytes())) == Some(consumer)
}

/// A parameter of a query, decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://market/?{query}")).ok()?;
    url.query_pairs().find_map(|(key, value)| (key == name).then(|| value.into_owned()))
}

fn json_of(value: &Value) -> Response {
    ([("content-type", "application/json")], value.to_string()).into_response()
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, json!({"error": {"signature": [why]}}).to_string()).into_response()
}
