//! Publishing into a store of single objects: files first, the manifest last.

use super::{
    CONCURRENCY, check_len, cover::Cover, fault::Fault, manifest_of, progress, progress::Progress, upload::Sender,
    walk::Found, walk::Walk,
};
use crate::{
    storage::{
        Keys, Storage, StorageError,
        manifest::{self, Manifest},
    },
    workflow::digest::Sha256,
};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use object_store::{ObjectMeta, path::Path};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long to tidy up after a failure, when mostly the store is away.
const TIDY_FOR: Duration = Duration::from_secs(15);

/// A result on its way into the store.
pub(super) struct Publishing<'a> {
    pub(super) sender: Sender,
    pub(super) cover: Cover,
    pub(super) walk: Walk,
    pub(super) storage: &'a Storage,
    pub(super) stop: CancellationToken,
    pub(super) progress: &'a Progress,
}

impl Publishing<'_> {
    /// Brings the store to hold exactly this result. Returns the bytes of its manifest.
    pub(super) async fn complete(&self) -> Result<Vec<u8>, Fault> {
        self.check_manifest_len()?;
        let keys = Keys(&self.cover.result);
        let stored = self.storage.list(&keys.prefix()).await?;
        if let Some(done) = self.stored_already(&stored).await? {
            self.progress.tell("the store holds all of it already");
            return Ok(done);
        }
        self.make_room(&stored).await?;
        let digests = self.for_each_file(Sender::store).await;
        self.tidy(digests.is_ok()).await?;
        let manifest = self.manifest(digests?);
        let bytes = manifest.render();
        for (key, bytes) in [(keys.results(), self.results(&manifest)), (keys.manifest(), bytes.clone())] {
            self.storage.put(&key, Bytes::from(bytes), manifest::CONTENT_TYPE).await?;
        }
        Ok(bytes)
    }

    /// Whether an earlier attempt got to the end: then its acknowledgement was lost, and the result is left alone. The
    /// files are read again, since only the bytes tell.
    async fn stored_already(&self, stored: &[ObjectMeta]) -> Result<Option<Vec<u8>>, Fault> {
        let keys = Keys(&self.cover.result);
        let sizes: BTreeMap<&Path, u64> = stored.iter().map(|meta| (&meta.location, meta.size)).collect();
        let whole = self.walk.files.iter().all(|found| sizes.get(&found.key) == Some(&found.size));
        if !whole || !sizes.contains_key(&keys.results()) || stored.len() != self.walk.files.len() + 2 {
            return Ok(None);
        }
        let Some(old) = self.read(&keys.manifest(), manifest::MAX_LEN).await? else { return Ok(None) };
        let comparable = Manifest::parse(&old).is_some_and(|old| old.facts == self.cover.facts);
        if !comparable {
            return Ok(None);
        }
        let manifest = self.manifest(self.for_each_file(Sender::digest).await?);
        let bytes = manifest.render();
        let results = self.read(&keys.results(), manifest::MAX_LEN).await?;
        let same = old == bytes && results.is_some_and(|results| results == self.results(&manifest));
        Ok(same.then_some(bytes))
    }

    async fn read(&self, key: &Path, max_len: u64) -> Result<Option<Bytes>, Fault> {
        match self.storage.get(key, max_len).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StorageError::Missing { .. } | StorageError::Misconfigured { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the manifest of another result, then its objects that this one does not have. In this order: a manifest
    /// must never outlive a file of it.
    async fn make_room(&self, stored: &[ObjectMeta]) -> Result<(), Fault> {
        let keys = Keys(&self.cover.result);
        if stored.iter().any(|meta| meta.location == keys.manifest()) {
            self.storage.delete(&keys.manifest()).await?;
        }
        self.storage.drop_unfinished(&keys.prefix()).await?;
        let mut kept: BTreeSet<Path> = self.walk.files.iter().map(|found| found.key.clone()).collect();
        kept.extend([keys.results(), keys.manifest()]);
        let stale = stored.iter().map(|meta| &meta.location).filter(|key| !kept.contains(key));
        stream::iter(stale.map(Ok::<_, Fault>))
            .try_for_each_concurrent(CONCURRENCY, |key| async move { Ok(self.storage.delete(key).await?) })
            .await
    }

    /// Ends uploads that nobody knows of: one whose beginning the store acknowledged in vain is not aborted by the one who
    /// began it. After a failure this is tried for a while only.
    async fn tidy(&self, went_well: bool) -> Result<(), Fault> {
        if !self.walk.files.iter().any(|found| self.sender.in_parts(found)) {
            return Ok(());
        }
        let prefix = Keys(&self.cover.result).prefix();
        let dropping = self.storage.drop_unfinished(&prefix);
        if went_well {
            return Ok(dropping.await?);
        }
        // The failure itself says more.
        let _ = timeout(TIDY_FOR, dropping).await;
        Ok(())
    }

    /// Does `act` for every file, [`CONCURRENCY`] at a time, and returns what came of each in the files' order. The first
    /// failure stops the others; all have ended when this returns.
    async fn for_each_file<Acting>(
        &self,
        act: impl Fn(Sender, Found, CancellationToken) -> Acting,
    ) -> Result<Vec<Sha256>, Fault>
    where
        Acting: Future<Output = Result<Sha256, Fault>> + Send + 'static,
    {
        let stop = self.stop.child_token();
        let mut files = self.walk.files.iter().enumerate();
        let mut acts = JoinSet::new();
        let mut digests = BTreeMap::new();
        let mut failure: Option<Fault> = None;
        let mut pulse = progress::pulse();
        loop {
            while acts.len() < CONCURRENCY && !stop.is_cancelled() {
                let Some((number, found)) = files.next() else { break };
                let acting = act(self.sender.clone(), found.clone(), stop.clone());
                acts.spawn(async move { acting.await.map(|digest| (number, digest)) });
            }
            tokio::select! {
                done = acts.join_next() => match done.map(|done| done.unwrap_or(Err(Fault::Interrupted))) {
                    None => break,
                    Some(Ok((number, digest))) => drop(digests.insert(number, digest)),
                    Some(Err(fault)) => {
                        stop.cancel();
                        // What failed by itself says more than what was interrupted by that.
                        if failure.as_ref().is_none_or(Fault::is_interruption) {
                            failure = Some(fault);
                        }
                    }
                },
                _ = pulse.tick() => self.progress.so_far(),
            }
        }
        match failure {
            Some(fault) => Err(fault),
            None if digests.len() < self.walk.files.len() => Err(Fault::Interrupted),
            None => Ok(digests.into_values().collect()),
        }
    }

    /// A manifest that readers would refuse must not be written. All digests are of one length, so it is known before.
    fn check_manifest_len(&self) -> Result<(), Fault> {
        check_len(&self.manifest(vec![Sha256::of(""); self.walk.files.len()]))
    }

    fn manifest(&self, digests: Vec<Sha256>) -> Manifest {
        self.cover.signed(manifest_of(&self.cover, &self.walk, digests))
    }

    fn results(&self, manifest: &Manifest) -> Vec<u8> {
        manifest.results(|file| self.storage.url(&file.key))
    }
}
