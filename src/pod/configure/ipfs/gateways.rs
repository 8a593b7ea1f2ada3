//! Blocks from gateways that are not trusted: asked for by content id, checked by their hash, from another one if need be.
//!
//! specs.ipfs.tech/http-gateways/trustless-gateway is what a gateway must do: `GET /ipfs/{cid}?format=raw` answers with the
//! block's bytes.

use super::super::{
    answer::Question,
    fault::FetchError,
    http::Http,
    journal::shown,
    policy::FetchPolicy,
    retry::{Backoff, Jitter},
};
use crate::storage::unixfs::{MAX_BLOCK, UnknownHash, inline, is_of};
use bytes::Bytes;
use cid::Cid;
use reqwest::{Method, Url};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Lines that are kept for the log of one file. A gateway that fails for every block fails for the same reason.
const MAX_NOTES: usize = 20;

/// The gateways of the configuration. Clones share what is known of them.
#[derive(Debug, Clone)]
pub(in super::super) struct Gateways(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    urls: Vec<Url>,
    policy: FetchPolicy,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The one to ask first: the one that answered last.
    first: usize,
    /// Those that gave wrong bytes; they are not asked again.
    lied: BTreeSet<usize>,
    jitter: Jitter,
    notes: Vec<String>,
}

impl Gateways {
    /// Fails if the admin named none.
    pub(in super::super) fn new(http: Http, policy: &FetchPolicy, jitter: Jitter) -> Result<Self, FetchError> {
        let urls: Vec<Url> = policy.ipfs_gateways.iter().filter_map(|url| url.parse().ok()).collect();
        if urls.is_empty() {
            return Err(FetchError::NoGateway { scheme: "ipfs", key: "fetch.ipfs_gateways" });
        }
        let state = State { first: 0, lied: BTreeSet::new(), jitter, notes: Vec::new() };
        Ok(Self(Arc::new(Inner { http, urls, policy: policy.clone(), state: Mutex::new(state) })))
    }

    /// The bytes that `cid` stands for; nothing else is ever answered.
    pub(super) async fn block(&self, cid: &Cid) -> Result<Bytes, FetchError> {
        match inline(cid) {
            Ok(Some(bytes)) => return Ok(bytes),
            Ok(None) => {}
            Err(UnknownHash(code)) => return Err(FetchError::UnknownHash(code)),
        }
        let mut backoff = Backoff::new(&self.0.policy);
        let mut attempts = 0;
        loop {
            attempts += 1;
            let error = match self.round(cid).await {
                Err(error) if error.may_pass() => error,
                answer => return answer,
            };
            let Some(wait) = backoff.next(error.retry_after(), &mut self.state().jitter) else {
                return Err(FetchError::GaveUp { attempts, last: Box::new(error) });
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// What there is to tell since the last time.
    pub(in super::super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut self.state().notes)
    }

    /// Every gateway once, until one answers. Of their errors the one that another round may cure.
    async fn round(&self, cid: &Cid) -> Result<Bytes, FetchError> {
        let (first, count) = (self.state().first, self.0.urls.len());
        let mut worst = None;
        for (index, gateway) in self.0.urls.iter().enumerate().cycle().skip(first).take(count) {
            if self.state().lied.contains(&index) {
                continue;
            }
            let error = match self.ask(gateway, cid).await {
                Ok(bytes) => {
                    self.state().first = index;
                    return Ok(bytes);
                }
                Err(error) => error,
            };
            let lied = matches!(error, FetchError::WrongBlock(_));
            let next = if count > 1 { "; another gateway is tried" } else { "" };
            self.note(format!("gateway {}: {error}{next}", shown(gateway)));
            if lied {
                self.state().lied.insert(index);
            }
            if worst.as_ref().is_none_or(|worst: &FetchError| !worst.may_pass()) {
                worst = Some(error);
            }
        }
        Err(worst.unwrap_or_else(|| FetchError::WrongBlock(cid.to_string())))
    }

    async fn ask(&self, gateway: &Url, cid: &Cid) -> Result<Bytes, FetchError> {
        let mut url = gateway.clone();
        url.set_path(&format!("{}/ipfs/{cid}", gateway.path().trim_end_matches('/')));
        url.set_query(Some("format=raw"));
        let accept = "application/vnd.ipld.raw";
        let question = Question { method: Method::GET, url, accept, body: None, max: MAX_BLOCK };
        let mut hops = Vec::new();
        let bytes = self.0.http.ask(&question, &mut hops).await?;
        if is_of(cid, &bytes) { Ok(bytes) } else { Err(FetchError::WrongBlock(cid.to_string())) }
    }

    fn note(&self, line: String) {
        let mut state = self.state();
        if state.notes.len() < MAX_NOTES {
            state.notes.push(line);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
