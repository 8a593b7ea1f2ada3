//! Files on their way: sent to a place that no list shows, then entered at their own.

use super::{MfsStore, STAGING};
use crate::storage::ipfs::{
    commands::{OLDEST, ipfs_path},
    failure::{Complaint, Failure},
    is_new_enough,
    upload::{Begun, Upload, added, begin, together},
};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::Ordering,
};

/// How often a rival may get in the way of a replacement.
const TRIES: usize = 5;

/// A whole file that is at no place yet. It is to be [entered](MfsStore::enter) or [dropped](MfsStore::unstage).
#[derive(Debug)]
pub(super) struct Staged {
    pub cid: String,
    path: String,
}

impl MfsStore {
    /// Sends a file, whose bytes `write` gives.
    pub(super) async fn stage<Writing>(&self, write: impl FnOnce(Upload) -> Writing) -> Result<Staged, Failure>
    where
        Writing: Future<Output = Result<(), Failure>>,
    {
        self.prepare().await?;
        let staged = self.send(write).await;
        if staged.is_err() {
            // It may be that MFS was lost.
            self.prepared.store(false, Ordering::Relaxed);
        }
        staged
    }

    async fn send<Writing>(&self, write: impl FnOnce(Upload) -> Writing) -> Result<Staged, Failure>
    where
        Writing: Future<Output = Result<(), Failure>>,
    {
        let [a, b] = [0; 2].map(|_: u8| RandomState::new().hash_one(0));
        let path = format!("{}/{STAGING}/{a:016x}{b:016x}", self.folder);
        let Begun { upload, body, content_type, alive } = begin()?;
        let reading = async {
            let mut answer = self.rpc.add(&[("pin", "false"), ("to-files", &path)], body, content_type).await?;
            let mut last = None;
            while let Some(line) = added(&mut answer).await? {
                alive.notify_one();
                last = Some(line.hash);
            }
            last.ok_or_else(|| Failure::Unreachable("its answer ended before it was complete".into()))
        };
        let (cid, ()) = together(&alive, self.rpc.patience.write, reading, write(upload)).await?;
        Ok(Staged { cid, path })
    }

    /// Makes sure once that the node is new enough and has the folder.
    async fn prepare(&self) -> Result<(), Failure> {
        if self.prepared.load(Ordering::Relaxed) {
            return Ok(());
        }
        let version = self.rpc.version().await?;
        if !is_new_enough(&version) {
            let (major, minor) = OLDEST;
            return Err(Failure::Foreign(format!("it is older than Kubo {major}.{minor}, which is needed: update it")));
        }
        self.rpc.make_folder(&format!("{}/{STAGING}", self.folder)).await?;
        self.prepared.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Enters it at `path`, and makes that survive a crash.
    pub(super) async fn enter(&self, staged: Staged, path: &str, overwrite: bool) -> Result<(), Failure> {
        let copied = self.copy_cid(&staged.cid, path, overwrite).await;
        let unstaged = self.unstage(staged).await;
        copied.and(unstaged)
    }

    /// Enters what has this content id at `path`.
    pub(super) async fn copy_cid(&self, cid: &str, path: &str, overwrite: bool) -> Result<(), Failure> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let failure = match self.rpc.copy(&ipfs_path(cid), path, overwrite).await {
                Err(failure) => failure,
                copied => return copied,
            };
            let by_a_rival = matches!(failure.complaint(), Some(Complaint::Exists | Complaint::Absent));
            if overwrite && by_a_rival && tries > 0 {
                continue;
            }
            // The acknowledgement may have got lost.
            if failure.complaint().is_none() && self.rpc.stat(path).await?.is_some_and(|found| found.cid == cid) {
                return Ok(());
            }
            return Err(failure);
        }
    }

    /// Removes what is staged. Flushed at once: see [`crate::storage::ipfs::commands`].
    pub(super) async fn unstage(&self, staged: Staged) -> Result<(), Failure> {
        self.rpc.remove_path(&staged.path).await
    }

    /// Removes what was staged and never entered, by whomever: uploads that are in progress fail, and may be tried again.
    ///
    /// # Errors
    ///
    /// Any that a request may have.
    pub async fn drop_unfinished(&self) -> object_store::Result<()> {
        let path = format!("{}/{STAGING}", self.folder);
        self.prepared.store(false, Ordering::Relaxed);
        self.rpc.remove_path(&path).await.map_err(|failure| super::failed(&super::Path::default(), failure))
    }
}
