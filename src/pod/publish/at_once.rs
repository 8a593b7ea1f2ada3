//! Publishing into a store that takes a whole result in one act.
//!
//! ```text
//!   has the index this result already? ─ yes, and the store has all of it: done, nothing is sent
//!        └─ no: every file, hashed while it is sent ─► results.json ─► manifest.json ─► looked at, entered in the index
//!                                                          └ these two name the content ids of the files before them
//! ```

use super::{
    check_len, cover::Cover, fault::Fault, manifest_of, progress, progress::Progress, reader::Reader, tree::Tree,
    upload, walk::Walk,
};
use crate::{
    storage::{Broken, ContentUrls, Keys, Stored, TreeFile, TreeSource, TreeStore, manifest::Manifest},
    workflow::{ResultId, digest::Sha256},
};
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::sync::CancellationToken;

/// As long as content ids are today, to tell before anything is sent how long a manifest will be.
const CID_LEN: usize = 59;

/// Brings the store to hold exactly this result. Returns the bytes of its manifest, and the content id of the whole.
pub(super) async fn complete(
    store: &dyn TreeStore,
    tree: Tree,
    cover: Cover,
    walk: Walk,
    stop: CancellationToken,
    progress: &Arc<Progress>,
) -> Result<(Vec<u8>, Option<String>), Fault> {
    let (urls, progress) = (store.urls().clone(), progress.clone());
    let result = Outgoing { tree, cover, walk, stop, urls, progress, state: Mutex::default() };
    let longest = result.manifest_with(|_| Some((Sha256::of(""), Some("x".repeat(CID_LEN)))));
    check_len(&result.cover.signed(longest))?;
    let result = Arc::new(result);
    let root = match result.stored_already(store).await? {
        Some(root) => root,
        None => result.send(store).await?,
    };
    // What is there counts: it may be another attempt's, with other content ids of the same files.
    let bytes = store.manifest(&result.stored(&root)).await?;
    let bytes = bytes.ok_or_else(|| Fault::Lost { store: store.name().to_owned() })?;
    Manifest::parse(&bytes).ok_or_else(|| Fault::Lost { store: store.name().to_owned() })?;
    Ok((bytes.into(), Some(root)))
}

/// A result on its way into the store.
struct Outgoing {
    tree: Tree,
    cover: Cover,
    walk: Walk,
    stop: CancellationToken,
    urls: ContentUrls,
    progress: Arc<Progress>,
    state: Mutex<State>,
}

/// What became known on the way.
#[derive(Default)]
struct State {
    /// By the file's index.
    digests: BTreeMap<usize, Sha256>,
    /// Without content ids and signature.
    manifest: Option<Manifest>,
    /// Why the files cannot be read.
    fault: Option<Fault>,
}

impl Outgoing {
    fn job(&self) -> &ResultId {
        &self.cover.result
    }

    fn stored(&self, root: &str) -> Stored {
        Stored { job: self.job().clone(), root: Some(root.to_owned()) }
    }

    fn files(&self) -> Vec<TreeFile> {
        let below_job = |key: &str| key.split_once('/').map_or(key, |(_, path)| path).to_owned();
        let files = self.walk.files.iter();
        files.map(|found| TreeFile { path: below_job(found.key.as_ref()), size: found.size }).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root that the index has, if it is of this very result and whole. The files are read again, since only the bytes
    /// tell.
    async fn stored_already(&self, store: &dyn TreeStore) -> Result<Option<String>, Fault> {
        let Some(root) = store.find(self.job()).await? else { return Ok(None) };
        // One that the store cannot give back any more is replaced.
        let Ok(Some(old)) = store.manifest(&self.stored(&root)).await else { return Ok(None) };
        let signed_alike = self.cover.is_signed_alike(&old);
        let Some(mut old) = Manifest::parse(&old).filter(|_| signed_alike) else { return Ok(None) };
        let sizes = old.files.iter().map(|file| (file.key.as_str(), file.size));
        let comparable = old.facts == self.cover.facts
            && sizes.eq(self.walk.files.iter().map(|found| (found.key.as_ref(), found.size)));
        if !comparable {
            return Ok(None);
        }
        let mut digests = BTreeMap::new();
        let mut pulse = progress::pulse();
        for (index, found) in self.walk.files.iter().enumerate() {
            let digesting = upload::digest(self.tree.clone(), found.clone(), self.stop.clone());
            tokio::pin!(digesting);
            let digest = loop {
                tokio::select! {
                    digest = &mut digesting => break digest?,
                    _ = pulse.tick() => self.progress.tell("comparing with what the store has"),
                }
            };
            digests.insert(index, digest);
        }
        let ours = self.manifest_with(|index| digests.get(&index).map(|digest| (*digest, None)));
        forget_ids(&mut old);
        let kept = old == ours && store.keep(self.job(), &root, &self.files()).await?;
        if kept {
            self.progress.tell("the store holds all of it already");
        }
        Ok(kept.then_some(root))
    }

    async fn send(self: &Arc<Self>, store: &dyn TreeStore) -> Result<String, Fault> {
        let publishing = store.publish(self.job(), Arc::new(Source(self.clone())));
        tokio::pin!(publishing);
        let mut pulse = progress::pulse();
        loop {
            tokio::select! {
                root = &mut publishing => {
                    // What broke by itself says more than what the store made of that.
                    return root.map_err(|error| self.state().fault.take().unwrap_or_else(|| error.into()));
                }
                () = self.stop.cancelled() => return Err(Fault::Interrupted),
                _ = pulse.tick() => self.progress.so_far(),
            }
        }
    }

    /// The next bytes of a file, or none after the last if it stayed what it was.
    async fn read(&self, index: usize, reader: Option<Reader>) -> Result<Option<(Bytes, Option<Reader>)>, Fault> {
        if self.stop.is_cancelled() {
            return Err(Fault::Interrupted);
        }
        let Some(found) = self.walk.files.get(index).cloned() else { return Ok(None) };
        let tree = self.tree.clone();
        let reading = upload::blocking(move || {
            let mut reader = reader.map_or_else(|| Reader::open(&tree, &found), Ok)?;
            Ok(match reader.next(upload::CHUNK)? {
                Some(bytes) => Ok((bytes, reader)),
                None => Err(reader.finish()?),
            })
        });
        let digest = match reading.await? {
            Ok((bytes, reader)) => {
                self.progress.sent(bytes.len() as u64);
                return Ok(Some((bytes, Some(reader))));
            }
            Err(digest) => digest,
        };
        self.state().digests.insert(index, digest);
        self.progress.stored_file();
        Ok(None)
    }

    fn broke(&self, fault: Fault) -> Broken {
        self.state().fault.get_or_insert(fault);
        Broken
    }

    /// The manifest, given what is known of the file at each index.
    fn manifest_with(&self, known: impl Fn(usize) -> Option<(Sha256, Option<String>)>) -> Manifest {
        let known: Vec<_> = (0..self.walk.files.len()).filter_map(known).collect();
        let mut manifest = manifest_of(&self.cover, &self.walk, known.iter().map(|(digest, _)| *digest).collect());
        for (file, (_, cid)) in manifest.files.iter_mut().zip(known) {
            file.cid = cid;
        }
        manifest
    }
}

/// Takes away what differs between trees that say the same: content ids, and the signature over them.
fn forget_ids(manifest: &mut Manifest) {
    (manifest.signer, manifest.signature) = (None, None);
    for file in &mut manifest.files {
        file.cid = None;
    }
}

/// The result as the store asks for it.
struct Source(Arc<Outgoing>);

impl TreeSource for Source {
    fn files(&self) -> Vec<TreeFile> {
        self.0.files()
    }

    fn bytes(&self, index: usize) -> BoxStream<'static, Result<Bytes, Broken>> {
        let result = self.0.clone();
        let read = move |reader| {
            let result = result.clone();
            async move { result.read(index, reader).await.map_err(|fault| result.broke(fault)) }
        };
        stream::try_unfold(None, read).boxed()
    }

    fn last_paths(&self) -> &'static [&'static str] {
        &[Keys::RESULTS, Keys::MANIFEST]
    }

    fn last(&self, cids: Vec<String>) -> Result<Vec<Bytes>, Broken> {
        let result = &self.0;
        let digests = result.state().digests.clone();
        let mut manifest = result.manifest_with(|index| Some((*digests.get(&index)?, Some(cids.get(index)?.clone()))));
        if manifest.files.len() != result.walk.files.len() {
            return Err(result.broke(Fault::Interrupted));
        }
        manifest = result.cover.signed(manifest);
        check_len(&manifest).map_err(|fault| result.broke(fault))?;
        let of_file = |file: &crate::storage::manifest::File| {
            result.urls.of_file(file.cid.as_deref().unwrap_or_default(), file.name())
        };
        let (results, bytes) = (manifest.results(of_file), manifest.render());
        forget_ids(&mut manifest);
        result.state().manifest = Some(manifest);
        Ok(vec![results.into(), bytes.into()])
    }

    fn same(&self, manifest: &[u8]) -> bool {
        let Some(mut other) = Manifest::parse(manifest) else { return false };
        if !self.0.cover.is_signed_alike(manifest) {
            return false;
        }
        forget_ids(&mut other);
        self.0.state().manifest.as_ref() == Some(&other)
    }
}
