//! When pins and index are not of one mind: after a crash between two acts, or when a node lost its MFS.

use super::{Kubo, commands::ipfs_path, failure::Complaint};
use crate::storage::{Relinked, ResultStore as _, StorageError, Stored, TreeStore as _};
use std::collections::BTreeSet;

enum Fate {
    Entered,
    Present,
    Lost,
    Other,
}

impl Kubo {
    /// Enters recorded results again, after MFS was lost (`ipfs files chroot` is how a node that does not start with "error
    /// loading filesroot" is brought back). What is recorded without a root cannot be found and counts as lost. Doing it again
    /// does no harm. To be done before the node collects garbage.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`], at the first that fails; what was entered stays.
    pub async fn relink(&self, recorded: &[Stored]) -> Result<Relinked, StorageError> {
        self.prepare().await?;
        let mut relinked = Relinked::default();
        for stored in recorded {
            let fate = match self.relink_one(stored).await? {
                Fate::Entered => &mut relinked.entered,
                Fate::Present => &mut relinked.present,
                Fate::Lost => &mut relinked.lost,
                Fate::Other => &mut relinked.other,
            };
            fate.push(stored.clone());
        }
        Ok(relinked)
    }

    async fn relink_one(&self, stored: &Stored) -> Result<Fate, StorageError> {
        let Some(root) = &stored.root else { return Ok(Fate::Lost) };
        match self.find(&stored.job).await? {
            Some(found) if &found == root => return Ok(Fate::Present),
            Some(_) => return Ok(Fate::Other),
            None => {}
        }
        // This goes through all of it, so what is not there is noticed.
        if !self.pin(&stored.job, root).await? {
            return Ok(Fate::Lost);
        }
        match self.rpc.copy(&ipfs_path(root), &self.path(&stored.job), false).await {
            Ok(()) => Ok(Fate::Entered),
            Err(failure) if failure.is(Complaint::Exists) => Ok(Fate::Other),
            Err(failure) => Err(self.failed("enter a result again", failure)),
        }
    }

    /// What is pinned as a result and not entered under its name: publishing ended between the two. It is whole, with its
    /// manifest, and [`ResultStore::remove`](crate::storage::ResultStore::remove) removes it; one that is just being published
    /// is among them.
    ///
    /// # Errors
    ///
    /// Any but [`StorageError::Missing`].
    pub async fn unlinked(&self) -> Result<Vec<Stored>, StorageError> {
        // Pins first: what is entered in between is seen.
        let prefix = self.pin_prefix();
        let pins = self.rpc.pins(&prefix).await.map_err(self.during("list pins"))?;
        let entered: BTreeSet<_> = self.jobs().await?.into_iter().collect();
        let named = |name: &str| name.strip_prefix(&prefix)?.parse().ok();
        let pinned = pins.into_iter().filter_map(|pin| Some(Stored { job: named(&pin.name)?, root: Some(pin.cid) }));
        let mut unlinked: Vec<_> = pinned.filter(|stored| !entered.contains(stored)).collect();
        unlinked.sort();
        Ok(unlinked)
    }
}
